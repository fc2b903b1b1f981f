//! Whether a request meets the condition of a `when`.

use serde_json::{Number, Value};

use super::rules::Request;
use super::text::decode;
use crate::settings::{Condition, Test};

/// Larger values are not compared: no condition names one.
const LARGEST: usize = 64 << 10;

/// Whether all of `condition` is true; `field` tests the field of the body at the end of a path.
pub(super) fn is_met<E>(
    condition: &Condition,
    request: &Request<'_>,
    mut field: impl FnMut(&[String], &Test) -> Result<bool, E>,
) -> Result<bool, E> {
    let endpoint = condition.endpoint.is_empty() || condition.endpoint.contains(&request.asked.group());
    let header = |(name, test): &(http::HeaderName, Test)| match test {
        Test::Present(wanted) => request.headers.contains_key(name) == *wanted,
        Test::Any(values) => request.headers.get_all(name).iter().any(|sent| {
            let sent = sent.as_bytes().trim_ascii();
            values.iter().any(|value| value.as_str().is_some_and(|value| value.as_bytes() == sent))
        }),
    };
    let caller = condition.caller.is_empty() || condition.caller.iter().any(|name| name.as_deref() == request.caller);
    if !endpoint || !caller || !condition.header.iter().all(header) {
        return Ok(false);
    }
    for (path, test) in &condition.body {
        if !field(path, test)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether what was `found` passes the test; `equals` compares it with a value.
pub(super) fn passes(found: Option<&[u8]>, test: &Test, equals: fn(&[u8], &Value) -> bool) -> bool {
    match (test, found) {
        (Test::Present(wanted), found) => found.is_some() == *wanted,
        (Test::Any(_), None) => false,
        (Test::Any(values), Some(found)) => values.iter().any(|value| equals(found, value)),
    }
}

/// Whether the JSON `raw` is `value`. Numbers are compared by what they mean: 1.0 is 1.
pub(super) fn json_equals(raw: &[u8], value: &Value) -> bool {
    match (raw, value) {
        ([b'"', inside @ .., b'"'], Value::String(text)) => decode(inside).is_some_and(|inside| inside == *text),
        (_, Value::String(_)) => false,
        ([b'-' | b'0'..=b'9', ..], Value::Number(number)) => {
            std::str::from_utf8(raw).is_ok_and(|raw| is_number(raw, number))
        }
        (b"true", Value::Bool(true)) | (b"false", Value::Bool(false)) | (b"null", Value::Null) => true,
        ([b'{' | b'[', ..], Value::Object(_) | Value::Array(_)) if raw.len() <= LARGEST => {
            serde_json::from_slice::<Value>(raw).is_ok_and(|raw| raw == *value)
        }
        _ => false,
    }
}

/// Whether `text` is `number`: exactly where both are whole, otherwise as 64-bit floats.
pub(super) fn is_number(text: &str, number: &Number) -> bool {
    match (text.parse::<i128>(), number.as_i128()) {
        (Ok(own), Some(number)) => own == number,
        _ => text.parse::<f64>().is_ok_and(|own| number.as_f64() == Some(own)),
    }
}

/// Whether the content of a form field is `value`.
pub(super) fn form_equals(content: &[u8], value: &Value) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    match value {
        Value::String(value) => text == value,
        Value::Number(number) => is_number(text.trim(), number),
        Value::Bool(value) => text.trim().eq_ignore_ascii_case(if *value { "true" } else { "false" }),
        Value::Null => text.is_empty(),
        other => json_equals(text.trim().as_bytes(), other),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;
    use crate::openai::Endpoint;
    use crate::settings::EndpointGroup;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (raw, value, same) in [
            ("1", json!(1.0), true),
            ("1e0", json!(1), true),
            ("9007199254740993", json!(9_007_199_254_740_992_u64), false),
            ("\"\\u0061\"", json!("a"), true),
            ("\"1\"", json!(1), false),
            ("1", json!("1"), false),
            ("null", json!(null), true),
            ("true", json!("true"), false),
            ("{\"a\":[1]}", json!({ "a": [1] }), true),
            ("[1, 2]", json!([1]), false),
        ] {
            assert_eq!(json_equals(raw.as_bytes(), &value), same, "{raw} {value}");
        }
        assert!(
            form_equals(b"0.50", &json!(0.5)) && form_equals(b"True", &json!(true)) && !form_equals(b"x", &json!(1))
        );
    }

    #[test]
    fn headers_endpoints_and_callers() {
        let mut headers = HeaderMap::new();
        headers.append("x-tier", HeaderValue::from_static("silver"));
        headers.append("x-tier", HeaderValue::from_static("gold "));
        let request = Request {
            asked: Endpoint::ChatCompletions,
            endpoint: Endpoint::Completions,
            headers: &headers,
            caller: Some("batch"),
            ask_usage: false,
        };
        let tier = |test| Condition { header: vec![("x-tier".parse().expect("a name"), test)], ..Condition::default() };
        let none = |_: &[String], _: &Test| Ok::<_, ()>(false);
        for (condition, expected) in [
            (Condition::default(), true),
            (tier(Test::Any(vec![json!("gold")])), true),
            (tier(Test::Any(vec![json!("lead")])), false),
            (tier(Test::Present(true)), true),
            (tier(Test::Present(false)), false),
            (Condition { endpoint: vec![EndpointGroup::Responses], ..Condition::default() }, false),
            (Condition { caller: vec![Some("batch".into())], ..Condition::default() }, true),
            (Condition { caller: vec![None, Some("chatbot".into())], ..Condition::default() }, false),
            (Condition { endpoint: vec![EndpointGroup::Responses, EndpointGroup::Chat], ..Condition::default() }, true),
        ] {
            assert_eq!(is_met(&condition, &request, none), Ok(expected), "{condition:?}");
        }
    }
}
