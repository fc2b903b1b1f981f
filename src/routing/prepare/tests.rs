//! Requests made ready: names, splits, fallbacks, mirrors, translations, Gym's rules; and what holds for any of them.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::engines::EngineRegistry;
use crate::telemetry::Metrics;

const YAML: &str = "
models:
  big: { source: s, limits: { max_tokens: 100 } }
  small: { source: s }
  far: { urls: ['http://h:1'], served_name: org/far }
aliases:
  quick: { model: big, defaults: { temperature: 0.5 }, fallback: [small, far] }
  parts: { split: { big: 1, small: 1 } }
  seen: { model: big, mirror: { to: far, percent: 25 } }
  spoken: { model: small, dialect: { responses: chat, messages: chat } }
  gym: { model: small, gym: {}, fallback: [far] }
";

fn snapshot() -> Snapshot {
    let config = crate::config::parse(YAML, &|_| None).expect("a configuration");
    let (registry, _) = EngineRegistry::new(config.models.iter().map(|model| model.name.clone()));
    for (pool, model) in registry.pools().iter().zip(&config.models) {
        pool.set_served_name(model.served_name.clone());
    }
    Snapshot::new(&config, &registry, &Arc::new(Metrics::new().expect("metrics")), HashMap::new())
}

const NO_CHANCE: Chance = Chance { split: 0, mirror: 1.0 };

fn head<'a>(headers: &'a HeaderMap, endpoint: Endpoint, entry: Option<&'a str>) -> RequestHead<'a> {
    RequestHead { endpoint, boundary: None, headers, caller: None, entry }
}

fn prepared(model: &str, endpoint: Endpoint, entry: Option<&str>, chance: Chance) -> Result<Prepared, Unprepared> {
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 500 });
    let headers = HeaderMap::new();
    prepare(
        &snapshot(),
        &head(&headers, endpoint, entry),
        (BytesMut::from(body.to_string().as_bytes()), &PlainRuns::default()),
        chance,
        &mut |_| Ok(()),
        &mut |_, _| {},
    )
}

fn chat(model: &str) -> Result<Prepared, Unprepared> {
    prepared(model, Endpoint::ChatCompletions, None, NO_CHANCE)
}

fn models(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    plan.legs.iter().map(|at| snapshot.target(*at).expect("a target").route.model.to_string()).collect()
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[test]
fn a_name_is_resolved_and_its_settings_are_applied() {
    let Prepared { plan, request, original, previous, is_background } = chat("big").expect("prepared");
    assert_eq!((models(&snapshot(), &plan), plan.mirror, plan.protocol), (vec!["big".into()], None, Protocol::Plain));
    assert!(original.is_none() && previous.is_none() && !is_background, "nobody else will want it");
    assert_eq!((&json_of(&request.body)["max_tokens"], request.endpoint), (&json!(100), Endpoint::ChatCompletions));
    assert_eq!(json_of(&chat("far").expect("prepared").request.body)["model"], "org/far");
}

#[test]
fn an_alias_with_fallbacks_has_a_leg_for_each_and_keeps_the_original() {
    let Prepared { plan, request, original, .. } = chat("quick").expect("prepared");
    assert_eq!(models(&snapshot(), &plan), ["big", "small", "far"]);
    assert_eq!(json_of(&request.body)["temperature"], 0.5);
    let original = original.expect("for the other legs");
    assert_eq!(json_of(&original)["model"], "quick");
    let (snapshot, headers) = (snapshot(), HeaderMap::new());
    let again = BytesMut::from(&original[..]);
    let head = head(&headers, Endpoint::ChatCompletions, None);
    let second = prepare_for(&snapshot, plan.legs[1], &head, again, None, &mut |_| Ok(())).expect("prepared");
    let body = json_of(&second.body);
    assert_eq!(
        (&body["model"], &body["temperature"], &body["max_tokens"]),
        (&json!("small"), &json!(0.5), &json!(500))
    );
}

#[test]
fn chance_decides_about_splits_and_mirrors_and_nothing_else_does() {
    let part = |split| {
        let prepared = prepared("parts", Endpoint::ChatCompletions, None, Chance { split, mirror: 1.0 });
        models(&snapshot(), &prepared.expect("prepared").plan)
    };
    assert_eq!((part(0), part(1), part(2)), (vec!["big".into()], vec!["small".into()], vec!["big".to_owned()]));
    let mirrored = |mirror| {
        let prepared = prepared("seen", Endpoint::ChatCompletions, None, Chance { split: 0, mirror });
        let Prepared { plan, original, .. } = prepared.expect("prepared");
        (plan.mirror.is_some(), original.is_some())
    };
    assert_eq!((mirrored(0.2499), mirrored(0.25)), ((true, true), (false, false)));
}

#[test]
fn what_is_asked_in_another_api_is_translated_before_its_settings_are_applied() {
    let spoken = |endpoint| prepared("spoken", endpoint, None, NO_CHANCE).expect("prepared").request;
    let messages = spoken(Endpoint::Messages);
    assert_eq!(messages.endpoint, Endpoint::ChatCompletions);
    assert!(messages.translator.as_ref().is_some_and(|translator| !translator.counts));
    assert_eq!(json_of(&messages.body)["model"], "small");
    let count = spoken(Endpoint::CountTokens);
    assert_eq!(count.endpoint, Endpoint::Tokenize);
    assert!(count.translator.is_some_and(|translator| translator.counts));
    assert!(chat("spoken").expect("prepared").request.translator.is_none());
}

#[test]
fn gyms_requests_pass_untouched_with_all_their_legs() {
    let Prepared { plan, request, .. } = chat("gym").expect("prepared");
    assert!(matches!(plan.protocol, Protocol::Gym(_)));
    assert_eq!(models(&snapshot(), &plan), ["small", "far"]);
    assert_eq!(json_of(&request.body)["model"], "gym");
    let other = prepared("gym", Endpoint::Embeddings, None, NO_CHANCE).expect("prepared");
    assert_eq!(other.plan.protocol, Protocol::Plain, "Gym's servers know nothing of these");
    let headers = HeaderMap::new();
    let head = head(&headers, Endpoint::ChatCompletions, Some("gym"));
    assert!(
        prepare(
            &snapshot(),
            &head,
            (BytesMut::from("{"), &PlainRuns::default()),
            NO_CHANCE,
            &mut |_| Ok(()),
            &mut |_, _| {}
        )
        .is_ok(),
        "Gym has its own words for that"
    );
}

#[test]
fn at_an_entry_of_its_own_an_alias_is_all_there_is() {
    let at = |entry| prepared("no such thing", Endpoint::ChatCompletions, Some(entry), NO_CHANCE);
    assert_eq!(models(&snapshot(), &at("parts").expect("prepared").plan), ["big"]);
    assert_eq!(at("gone").map(|_| ()).map_err(|refused| refused.error.status), Err(404));
}

#[test]
fn where_a_request_goes_is_told_with_its_body_as_it_came_also_if_it_is_wrong() {
    let told = |name: &str, body: &str, entry: Option<&str>| {
        let (snapshot, headers, mut told) = (snapshot(), HeaderMap::new(), Vec::new());
        let mut resolved = |at: usize, body: &[u8]| {
            let route = snapshot.target(at).map(|target| target.route.name.to_string());
            told.push((route.expect("a target"), String::from_utf8_lossy(body).into_owned()));
        };
        let (head, body) = (head(&headers, Endpoint::ChatCompletions, entry), BytesMut::from(body));
        let body = (body, &PlainRuns::default());
        let is_ok = prepare(&snapshot, &head, body, NO_CHANCE, &mut |_| Ok(()), &mut resolved).is_ok();
        (is_ok, told, name.to_owned())
    };
    let own = |text: &str| text.to_owned();
    for name in ["quick", "parts", "gym", "big"] {
        let body = format!(r#"{{ "model":"{name}","messages":[] }}"#);
        assert_eq!(told(name, &body, None), (true, vec![(own(name), body.clone())], own(name)));
    }
    assert_eq!(told("", "{", Some("quick")), (false, vec![(own("quick"), own("{"))], own("")));
    assert_eq!(told("", "{", None), (false, vec![], own("")));
}

#[test]
fn what_is_wrong_is_told() {
    let code = |result: Result<Prepared, Unprepared>| result.map(|_| ()).map_err(|refused| refused.error.code);
    let unknown = chat("quikc").expect_err("nothing is served under it");
    assert_eq!(
        (unknown.error.code, unknown.model.as_deref(), unknown.target),
        ("model_not_found", Some("quikc"), None)
    );
    assert!(unknown.error.message.contains("Did you mean `quick`?"));
    // What an alias cannot do is said of the alias.
    let body = BytesMut::from(json!({ "model": "spoken", "input": "hi", "conversation": "c" }).to_string().as_bytes());
    let (snapshot_now, headers) = (snapshot(), HeaderMap::new());
    let refused = prepare(
        &snapshot_now,
        &head(&headers, Endpoint::Responses, None),
        (body, &PlainRuns::default()),
        NO_CHANCE,
        &mut |_| Ok(()),
        &mut |_, _| {},
    );
    assert_eq!(refused.expect_err("not translatable").target, snapshot_now.find("spoken").ok());
    let raw = |body: &str, endpoint| {
        let headers = HeaderMap::new();
        code(prepare(
            &snapshot(),
            &head(&headers, endpoint, None),
            (BytesMut::from(body), &PlainRuns::default()),
            NO_CHANCE,
            &mut |_| Ok(()),
            &mut |_, _| {},
        ))
    };
    assert_eq!(raw("{}", Endpoint::ChatCompletions), Err("missing_model"));
    assert_eq!(raw("{", Endpoint::ChatCompletions), Err("invalid_json"));
    assert_eq!(raw("", Endpoint::ChatCompletions), Err("missing_body"));
    assert_eq!(raw("--x--", Endpoint::Transcriptions), Err("missing_boundary"));
}

proptest! {
    /// Whatever the body: no panic, and a prepared request names something that is served, in legs that are there.
    #[test]
    fn anything_is_prepared_or_refused(
        model in prop::sample::select(vec!["big", "quick", "parts", "seen", "spoken", "gym", "far", "none", ""]),
        more in "[ -~]{0,40}",
        endpoint in prop::sample::select(Endpoint::ALL.to_vec()),
        (split, mirror) in (any::<u64>(), 0.0_f64..1.0),
        torn in any::<bool>(),
    ) {
        let mut body = json!({ "model": model, "prompt": more, "messages": [] }).to_string();
        if torn {
            body.pop();
        }
        let (snapshot, headers) = (snapshot(), HeaderMap::new());
        let head = head(&headers, endpoint, None);
        if let Ok(prepared) = prepare(&snapshot, &head, (BytesMut::from(body.as_bytes()), &PlainRuns::default()), Chance { split, mirror }, &mut |_| Ok(()), &mut |_, _| {}) {
            prop_assert!(!torn && endpoint.body() == BodyKind::Json);
            prop_assert!(!prepared.plan.legs.is_empty());
            for at in prepared.plan.legs.iter().chain(&prepared.plan.mirror) {
                prop_assert!(snapshot.target(*at).is_some());
            }
            let wanted = prepared.plan.protocol == Protocol::Plain
                && (prepared.plan.legs.len() > 1 || prepared.plan.mirror.is_some());
            prop_assert_eq!(prepared.original.is_some(), wanted);
            prop_assert!(serde_json::from_slice::<Value>(&prepared.request.body).is_ok());
        }
    }
}
