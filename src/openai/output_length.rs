//! The length of an answer has three names, by route and by age (vLLM 0.32: `max_tokens`, deprecated by
//! `max_completion_tokens` in Chat Completions, and `max_output_tokens` in Responses). Settings say `max_tokens` for all.

use serde_json::{Map, Value};

use super::field_rule::FieldRule;
use super::fields::EndpointSet;

/// The name that settings say, first.
const NAMES: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// For each name, the others.
const OTHERS: [&[&str]; 3] = [
    &["max_completion_tokens", "max_output_tokens"],
    &["max_tokens", "max_output_tokens"],
    &["max_tokens", "max_completion_tokens"],
];

/// Has a limit of `max_tokens` hold for all names that have no limit of their own.
pub(super) fn complete_limits(limits: &mut Vec<FieldRule>) {
    for other in others(limits) {
        limits.push(other);
    }
}

/// Has a default of `max_tokens` stand on each endpoint by a name that it knows, where the client sends none of them. Where
/// `overrides` say one of the names themselves, the default stands for its own name alone.
pub(super) fn complete_defaults(defaults: &mut Vec<FieldRule>, overrides: &Map<String, Value>) {
    let mut known = EndpointSet::with_field(NAMES[0]);
    let is_overridden = NAMES.iter().any(|name| overrides.contains_key(*name));
    for other in others(defaults).into_iter().filter(|_| !is_overridden) {
        let endpoints = other.endpoints.without(known);
        known = known.with(other.endpoints);
        defaults.push(FieldRule { endpoints, is_derived: true, ..other });
    }
    for rule in defaults {
        if let Some(at) = NAMES.iter().position(|name| **name == *rule.key) {
            rule.unless = OTHERS[at];
        }
    }
}

/// The rule of `max_tokens`, if there is one, for each of the other names that have no rule.
fn others(rules: &[FieldRule]) -> Vec<FieldRule> {
    let Some(own) = rules.iter().find(|rule| *rule.key == *NAMES[0]) else { return Vec::new() };
    let is_missing = |name: &&&str| rules.iter().all(|rule| *rule.key != ***name);
    let names = NAMES[1..].iter().filter(is_missing);
    names
        .map(|name| FieldRule { key: (*name).into(), endpoints: EndpointSet::with_field(name), ..own.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use http::HeaderMap;
    use serde_json::{Value, json};

    use crate::openai::testing::set;
    use crate::openai::{Endpoint, Request, Rules, peek, rewrite};

    fn applied(rules: &Rules, endpoint: Endpoint, body: &Value) -> Value {
        let mut bytes = BytesMut::from(body.to_string().as_bytes());
        let peek = peek(&bytes).expect("a body");
        let headers = HeaderMap::new();
        let request = Request { asked: endpoint, endpoint, headers: &headers, caller: None, ask_usage: false };
        rewrite(&mut bytes, &peek, rules, &request, None, None).expect("rewritten");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[test]
    fn a_limit_holds_for_every_name() {
        let rules = Rules::new(&[set(&[], json!({}), json!({ "max_tokens": 100 }), json!({}))]);
        for (endpoint, name) in [
            (Endpoint::ChatCompletions, "max_tokens"),
            (Endpoint::ChatCompletions, "max_completion_tokens"),
            (Endpoint::Completions, "max_tokens"),
            (Endpoint::Messages, "max_tokens"),
            (Endpoint::Responses, "max_output_tokens"),
        ] {
            let sent = |value: Value| json!({ "model": "m", name: value });
            assert_eq!(applied(&rules, endpoint, &sent(json!(99_999))), sent(json!(100)), "{endpoint:?} {name}");
            assert_eq!(applied(&rules, endpoint, &sent(json!(7))), sent(json!(7)));
            // Nothing is put in unasked.
            assert_eq!(applied(&rules, endpoint, &sent(Value::Null)), sent(Value::Null));
            assert_eq!(applied(&rules, endpoint, &json!({ "model": "m" })), json!({ "model": "m" }));
        }
        let own = json!({ "max_tokens": 100, "max_completion_tokens": 5 });
        let rules = Rules::new(&[set(&[], json!({}), own, json!({}))]);
        let chat = applied(&rules, Endpoint::ChatCompletions, &json!({ "model": "m", "max_completion_tokens": 50 }));
        assert_eq!(chat["max_completion_tokens"], 5, "a limit of its own counts");
    }

    #[test]
    fn a_default_stands_by_the_name_that_the_route_knows_where_the_client_sends_none_or_null() {
        let rules = Rules::new(&[set(&[], json!({ "max_tokens": 64 }), json!({ "max_tokens": 100 }), json!({}))]);
        let chat = |body: Value| applied(&rules, Endpoint::ChatCompletions, &body);
        assert_eq!(chat(json!({ "model": "m" })), json!({ "model": "m", "max_tokens": 64 }));
        assert_eq!(chat(json!({ "model": "m", "max_tokens": null })), json!({ "model": "m", "max_tokens": 64 }));
        let other = json!({ "model": "m", "max_completion_tokens": 9 });
        assert_eq!(chat(other.clone()), other);
        let null = json!({ "model": "m", "max_completion_tokens": null });
        assert_eq!(chat(null)["max_tokens"], 64);
        let responses = applied(&rules, Endpoint::Responses, &json!({ "model": "m" }));
        assert_eq!(responses, json!({ "model": "m", "max_output_tokens": 64 }));
        let embeddings = applied(&rules, Endpoint::Embeddings, &json!({ "model": "m" }));
        assert_eq!(embeddings, json!({ "model": "m" }));
    }

    #[test]
    fn null_is_silence_for_every_default() {
        let rules = Rules::new(&[set(&[], json!({ "top_p": 0.5, "x": { "y": 1 } }), json!({}), json!({}))]);
        let sent = json!({ "model": "m", "top_p": null, "x": { "y": null } });
        let got = applied(&rules, Endpoint::ChatCompletions, &sent);
        assert_eq!(got, json!({ "model": "m", "top_p": 0.5, "x": { "y": 1 } }));
    }
}
