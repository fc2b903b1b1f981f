//! What settings say of one field: its value, its bound, and where it may stand.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};
use smallvec::SmallVec;

use super::fields::{self, EndpointSet};
use super::text::decode;

/// What becomes of which value, each by its text.
pub(super) type Replacements = [(Box<str>, Replacement)];

/// A field of defaults, limits or overrides.
#[derive(Clone, Debug)]
pub(super) struct FieldRule {
    pub(super) key: Cow<'static, str>,
    /// Where it may be added.
    pub(super) endpoints: EndpointSet,
    pub(super) value: Replacement,
    /// The fields of an object.
    pub(super) members: Option<Vec<FieldRule>>,
    /// The bound, of a limit.
    pub(super) bound: Option<UpperBound>,
    /// Of a default: other names of the same field. A client that sends one of them is not silent.
    pub(super) unless: &'static [&'static str],
    /// Of a default: it stands for one by another name, and steps back also where a default has one of these names.
    pub(super) is_derived: bool,
    /// Of a default that is an object: overrides make an object of the field, whatever the client sent.
    pub(super) becomes_object: bool,
}

/// A value ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Replacement {
    /// Most are numbers and words: they stand in place, where reading them does not mean to wait for other memory.
    pub(super) json: SmallVec<[u8; 32]>,
    /// As the content of a form field; `None` for `null`, which a form cannot say.
    pub(super) text: Option<Box<[u8]>>,
}

impl Replacement {
    pub(super) fn new(value: &Value) -> Self {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.as_bytes().into()),
            other => Some(other.to_string().into_bytes().into()),
        };
        Self { json: value.to_string().into_bytes().into(), text }
    }
}

/// An upper bound.
#[derive(Clone, Debug)]
pub(super) struct UpperBound(Number);

impl UpperBound {
    /// Whether the JSON value `raw` is a number above the bound, or a string that says one: vLLM reads `"5"` as 5.
    pub(super) fn exceeded_by_json(&self, raw: &[u8]) -> bool {
        match raw {
            [b'"', inside @ .., b'"'] => decode(inside).is_some_and(|text| self.exceeded_by_text(&text)),
            [b'-' | b'0'..=b'9', ..] => std::str::from_utf8(raw).is_ok_and(|text| self.exceeded_by(text)),
            _ => false,
        }
    }

    /// The same for text that is not JSON, in the spellings Python takes for numbers.
    pub(super) fn exceeded_by_text(&self, text: &str) -> bool {
        let text = text.trim();
        if text.contains('_') { self.exceeded_by(&text.replace('_', "")) } else { self.exceeded_by(text) }
    }

    /// Whole numbers are compared exactly, others as 64-bit floats.
    fn exceeded_by(&self, text: &str) -> bool {
        match (text.parse::<i128>(), self.0.as_i128()) {
            (Ok(own), Some(bound)) => own > bound,
            _ => match (text.parse::<f64>(), self.0.as_f64()) {
                (Ok(own), Some(bound)) => own > bound,
                _ => false,
            },
        }
    }
}

/// The rules for `members`; `top`: of the body itself, whose `model` is not theirs to change.
pub(super) fn field_rules(members: &Map<String, Value>, top: bool) -> Vec<FieldRule> {
    let rule = |(key, value): (&String, &Value)| FieldRule {
        key: fields::name(key),
        endpoints: EndpointSet::with_field(key),
        value: Replacement::new(value),
        members: value.as_object().map(|members| field_rules(members, false)),
        bound: value.as_number().cloned().map(UpperBound),
        unless: &[],
        is_derived: false,
        becomes_object: false,
    };
    members.iter().filter(|(key, _)| !top || *key != "model").map(rule).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bounds_compare_exactly_where_they_can() {
        let limit = |bound: Value| UpperBound(bound.as_number().cloned().expect("a number"));
        for (bound, raw, exceeded) in [
            (json!(5), "5", false),
            (json!(5), "6", true),
            (json!(5), "5.0", false),
            (json!(5), "5.1", true),
            (json!(5), "1e3", true),
            (json!(5), "1e999", true),
            (json!(5), "-1e999", false),
            (json!(5), "-6", false),
            (json!(1.5), "2", true),
            (json!(9_007_199_254_740_992_u64), "9007199254740993", true),
            (json!(u64::MAX), "18446744073709551615", false),
            (json!(u64::MAX), "18446744073709551616", true),
            (json!(5), "99999999999999999999999999999999999999999999999999", true),
            (json!(5), "\"6\"", true),
            (json!(5), "\" 1_000 \"", true),
            (json!(5), "\"\\u0036\"", true),
            (json!(5), "\"six\"", false),
            (json!(5), "null", false),
            (json!(5), "[6]", false),
            (json!(5), "true", false),
        ] {
            assert_eq!(limit(bound.clone()).exceeded_by_json(raw.as_bytes()), exceeded, "{raw} over {bound}");
        }
    }

    #[test]
    fn forms_get_text_and_no_null() {
        let text = |value: Value| Replacement::new(&value).text.map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(text(json!("a\"b")).as_deref(), Some("a\"b"));
        assert_eq!(text(json!(0.5)).as_deref(), Some("0.5"));
        assert_eq!(text(json!({"a": [1]})).as_deref(), Some(r#"{"a":[1]}"#));
        assert_eq!(text(json!(null)), None);
    }
}
