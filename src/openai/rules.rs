//! What is changed in requests: settings in the order in which they are applied, compiled.
//!
//! The order of one's parts: remove, map, defaults, limits, overrides, prompt; then its `when` settings whose condition is
//! met. Objects merge deeply; arrays and scalars replace. A field that the defaults of one have added is replaced by the
//! defaults of a later one: the client is still silent about it. Fields are added only to endpoints that have them
//! ([`super::fields`]).
//!
//! Where overrides make an object of a field, a client that sent something else there has said nothing about what is in
//! it: defaults for it hold, too. So settings that are applied again change nothing more (`map`, `when` and a `prompt`
//! beside the client's own aside).

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Number, Value};

use super::Endpoint;
use super::fields::EndpointSet;
use super::output_length;
use super::text::decode;
use crate::settings::{Condition, FieldPath, Prompt, Settings};

/// What rules may look at beside the body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The route that the client asked, for conditions.
    pub asked: Endpoint,
    /// The route that the body is for: another one when it was translated.
    pub endpoint: Endpoint,
    /// The client's headers.
    pub headers: &'a HeaderMap,
    /// Who sent it, by its key.
    pub caller: Option<&'a str>,
    /// Whether the engine is to be asked for the token counts of a stream.
    pub ask_usage: bool,
}

/// Compiled settings in the order in which they are applied.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    all: Vec<CompiledSettings>,
}

impl Rules {
    /// Compiles settings. `model` is not theirs to change: what they say of it is left out.
    #[must_use]
    pub fn new(settings: &[Settings]) -> Self {
        Self { all: settings.iter().filter_map(|settings| compile(settings, &settings.origin)).collect() }
    }

    /// Whether nothing is ever changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn all(&self) -> &[CompiledSettings] {
        &self.all
    }
}

/// [`Settings`], compiled.
#[derive(Clone, Debug)]
pub(super) struct CompiledSettings {
    /// `alias quick, when #2`.
    pub(super) origin: Arc<str>,
    pub(super) remove: Vec<FieldPath>,
    pub(super) map: Vec<(FieldPath, Box<Replacements>)>,
    pub(super) defaults: Vec<FieldRule>,
    pub(super) limits: Vec<FieldRule>,
    pub(super) overrides: Vec<FieldRule>,
    pub(super) prompt: Option<Prompt>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) when: Vec<(Condition, Self)>,
}

/// What becomes of which value, each by its text.
pub(super) type Replacements = [(Box<str>, Replacement)];

/// A field of defaults, limits or overrides.
#[derive(Clone, Debug)]
pub(super) struct FieldRule {
    pub(super) key: Box<str>,
    /// Where it may be added.
    pub(super) endpoints: EndpointSet,
    pub(super) value: Replacement,
    /// The fields of an object.
    pub(super) members: Option<Vec<FieldRule>>,
    /// The bound, of a limit.
    pub(super) bound: Option<UpperBound>,
    /// Of a default: other names of the same field. A client that sends one of them is not silent.
    pub(super) unless: &'static [&'static str],
    /// Of a default that is an object: overrides make an object of the field, whatever the client sent.
    pub(super) becomes_object: bool,
}

/// A value ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Replacement {
    pub(super) json: Box<[u8]>,
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

/// `None`: they change nothing.
fn compile(settings: &Settings, origin: &Arc<str>) -> Option<CompiledSettings> {
    if settings.is_empty() {
        return None;
    }
    let is_theirs = |path: &FieldPath| path.first().is_some_and(|key| key != "model");
    let map = settings.map.iter().filter(|(path, _)| is_theirs(path)).map(|(path, values)| {
        (path.clone(), values.iter().map(|(from, to)| (from.as_str().into(), Replacement::new(to))).collect())
    });
    let when = settings.when.iter().enumerate().filter_map(|(at, when)| {
        let origin = format!("{origin}, when #{}", at + 1).into();
        Some((when.condition.clone(), compile(&when.settings, &origin)?))
    });
    let mut defaults = field_rules(&settings.defaults, true);
    output_length::complete_defaults(&mut defaults);
    let mut limits = field_rules(&settings.limits, true);
    output_length::complete_limits(&mut limits);
    mark_objects(&mut defaults, &settings.overrides);
    let compiled = CompiledSettings {
        origin: origin.clone(),
        remove: settings.remove.iter().filter(|path| is_theirs(path)).cloned().collect(),
        map: map.collect(),
        defaults,
        limits,
        overrides: field_rules(&settings.overrides, true),
        prompt: settings.prompt.clone(),
        headers: settings.headers.clone(),
        when: when.collect(),
    };
    (!compiled.is_empty()).then_some(compiled)
}

impl CompiledSettings {
    fn is_empty(&self) -> bool {
        let rules = [&self.defaults, &self.limits, &self.overrides];
        self.remove.is_empty()
            && self.map.is_empty()
            && rules.iter().all(|rules| rules.is_empty())
            && self.prompt.is_none()
            && self.headers.is_empty()
            && self.when.is_empty()
    }
}

fn field_rules(members: &Map<String, Value>, top: bool) -> Vec<FieldRule> {
    let rule = |(key, value): (&String, &Value)| FieldRule {
        key: key.as_str().into(),
        endpoints: EndpointSet::with_field(key),
        value: Replacement::new(value),
        members: value.as_object().map(|members| field_rules(members, false)),
        bound: value.as_number().cloned().map(UpperBound),
        unless: &[],
        becomes_object: false,
    };
    members.iter().filter(|(key, _)| !top || *key != "model").map(rule).collect()
}

/// Notes which of the `defaults` stand in objects that `overrides` make.
fn mark_objects(defaults: &mut [FieldRule], overrides: &Map<String, Value>) {
    for rule in defaults {
        if let (Some(members), Some(Value::Object(overrides))) = (&mut rule.members, overrides.get(&*rule.key)) {
            rule.becomes_object = true;
            mark_objects(members, overrides);
        }
    }
}

/// The texts by which the map of settings finds a JSON scalar.
pub(super) fn scalar(raw: &[u8]) -> Option<Cow<'_, str>> {
    match raw {
        [b'"', inside @ .., b'"'] => decode(inside),
        [b'{' | b'[', ..] => None,
        other => std::str::from_utf8(other).ok().map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openai::testing::set;

    #[test]
    fn nothing_to_do_is_empty_and_the_model_is_not_a_setting() {
        assert!(Rules::new(&[Settings::default()]).is_empty());
        let model = json!({ "model": "a" });
        assert!(Rules::new(&[set(&["model", "model.x"], model.clone(), model.clone(), model)]).is_empty());
        assert!(!Rules::new(&[set(&["a"], json!({}), json!({}), json!({}))]).is_empty());
    }

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
