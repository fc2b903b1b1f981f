//! JSON bodies before and after rules, by example and beside a naive tree.

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::openai::json::Span;
use crate::openai::testing::{Naive, all_settings, chat, names, object, set, settings, when};
use crate::openai::text::equals;
use crate::openai::{Endpoint, peek};
use crate::settings::{Condition, EndpointGroup, Settings, When};

fn rules(remove: &[&str], defaults: Value, limits: Value, overrides: Value) -> Rules {
    only(&set(remove, defaults, limits, overrides))
}

fn only(settings: &Settings) -> Rules {
    Rules::new(std::slice::from_ref(settings))
}

fn none() -> Value {
    json!({})
}

fn rewritten(body: &str, rules: &Rules, model: Option<&str>) -> String {
    rewritten_at(Endpoint::ChatCompletions, body, rules, model)
}

fn rewritten_at(endpoint: Endpoint, body: &str, rules: &Rules, model: Option<&str>) -> String {
    let mut bytes = BytesMut::from(body);
    let peek = peek(&bytes).expect(body);
    let headers = HeaderMap::new();
    let request = Request { asked: endpoint, endpoint, headers: &headers, caller: None, ask_usage: false };
    let done = rewrite(&mut bytes, &peek, rules, &request, model, None).expect("few members");
    assert_eq!(done.changed, bytes != body.as_bytes(), "{body}");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn the_model_is_renamed_and_nothing_else() {
    let no = Rules::default();
    for (body, expected) in [
        (r#"{"model":"a","x":1.50}"#, r#"{"model":"engine \"1\"","x":1.50}"#),
        (r#" { "x" : "\u00e9" , "mod\u0065l" : "a" } "#, r#" { "x" : "\u00e9" , "mod\u0065l" : "engine \"1\"" } "#),
        (r#"{"model":"engine \u00221\u0022"}"#, r#"{"model":"engine \u00221\u0022"}"#),
        (r#"{"x":1}"#, r#"{"x":1,"model":"engine \"1\""}"#),
        ("{ }", r#"{"model":"engine \"1\"" }"#),
        ("\u{feff}{}", r#"{"model":"engine \"1\""}"#),
    ] {
        assert_eq!(rewritten(body, &no, Some("engine \"1\"")), expected);
    }
    assert_eq!(rewritten(r#"{"model":"a"}"#, &no, None), r#"{"model":"a"}"#);
    assert_eq!(rewritten("\u{feff}{\"model\":\"a\"}", &no, None), r#"{"model":"a"}"#);
}

#[test]
fn removal_takes_exactly_one_comma() {
    let rules = rules(&["a", "b"], none(), none(), none());
    for (body, expected) in [
        (r#"{"a":1}"#, "{}"),
        (r#"{ "a" : 1 }"#, "{  }"),
        (r#"{"a":1,"b":2}"#, "{}"),
        (r#"{"a":1,"x":3,"b":2}"#, r#"{"x":3}"#),
        (r#"{"x":3,"a":1,"b":[{"a":1}]}"#, r#"{"x":3}"#),
        (r#"{"x":3 , "a":1 , "b":2 , "y":{"a":1} }"#, r#"{"x":3 , "y":{"a":1} }"#),
        (r#"{"a":1,"a":2,"x":3,"\u0061":4}"#, r#"{"x":3}"#),
    ] {
        assert_eq!(rewritten(body, &rules, None), expected);
    }
}

#[test]
fn removed_then_filled_is_replaced_in_place() {
    let rules = rules(&["a"], json!({"a": 7}), none(), none());
    assert_eq!(rewritten(r#"{"a":1,"x":2}"#, &rules, None), r#"{"a":7,"x":2}"#);
    assert_eq!(rewritten(r#"{"x":2}"#, &rules, None), r#"{"x":2,"a":7}"#);
}

#[test]
fn defaults_speak_where_the_client_is_silent() {
    let rules = rules(&[], json!({"t": 0.6, "o": {"x": 1, "y": {"z": 2}}}), none(), none());
    for (body, expected) in [
        ("{}", r#"{"t":0.6,"o":{"x":1,"y":{"z":2}}}"#),
        (r#"{"t":null,"o":null}"#, r#"{"t":0.6,"o":{"x":1,"y":{"z":2}}}"#),
        (r#"{"t":1,"o":"no"}"#, r#"{"t":1,"o":"no"}"#),
        (r#"{"t":1,"o":{}}"#, r#"{"t":1,"o":{"x":1,"y":{"z":2}}}"#),
        (r#"{"t":1,"o":{ "y" : { } , "x" : 5 }}"#, r#"{"t":1,"o":{ "y" : {"z":2 } , "x" : 5 }}"#),
        (r#"{"t":1,"t":2,"o":7}"#, r#"{"t":1,"t":2,"o":7}"#),
    ] {
        assert_eq!(rewritten(body, &rules, None), expected);
    }
}

#[test]
fn limits_clamp_numbers_only() {
    let rules = rules(&[], none(), json!({"m": 8192, "o": {"n": 2.5}}), none());
    for (body, expected) in [
        (r#"{"m":8193}"#, r#"{"m":8192}"#),
        (r#"{"m":1e9,"o":{"n":2.50001,"m":9999}}"#, r#"{"m":8192,"o":{"n":2.5,"m":9999}}"#),
        (r#"{"m":8192.0}"#, r#"{"m":8192.0}"#),
        (r#"{"m":null,"o":[9]}"#, r#"{"m":null,"o":[9]}"#),
        (r#"{"m":"9000"}"#, r#"{"m":8192}"#),
        (r#"{"m":1,"m":9000}"#, r#"{"m":8192}"#),
        (r#"{"m":9000,"x":0,"m":1}"#, r#"{"x":0,"m":1}"#),
        ("{}", "{}"),
    ] {
        assert_eq!(rewritten(body, &rules, None), expected);
    }
}

#[test]
fn overrides_win_and_objects_merge() {
    let rules = rules(&[], none(), none(), json!({"k": {"think": false}, "l": [1], "s": "x"}));
    for (body, expected) in [
        ("{}", r#"{"k":{"think":false},"l":[1],"s":"x"}"#),
        (r#"{"k":{"a":1},"l":[2,3],"s":1}"#, r#"{"k":{"a":1,"think":false},"l":[1],"s":"x"}"#),
        (
            r#"{"k":{"think":true,"a":{"think":true}},"l":{},"s":null}"#,
            r#"{"k":{"think":false,"a":{"think":true}},"l":[1],"s":"x"}"#,
        ),
        (r#"{"k":"no","l":[1],"s":"x"}"#, r#"{"k":{"think":false},"l":[1],"s":"x"}"#),
        (r#"{"k":{"think":0,"think":1},"s":0,"l":[1],"s":1}"#, r#"{"k":{"think":false},"l":[1],"s":"x"}"#),
    ] {
        assert_eq!(rewritten(body, &rules, None), expected);
    }
}

#[test]
fn what_overrides_make_an_object_has_its_defaults() {
    let rules =
        rules(&[], json!({"k": {"a": 1, "l": {"x": 1}}, "s": {"t": 1}}), none(), json!({"k": {"b": 2, "l": {"y": 2}}}));
    for (body, expected) in [
        (r#"{"s":5,"k":5}"#, r#"{"s":5,"k":{"a":1,"l":{"x":1,"y":2},"b":2}}"#),
        (r#"{"s":{},"k":{"l":null,"b":0}}"#, r#"{"s":{"t":1},"k":{"l":{"x":1,"y":2},"b":2,"a":1}}"#),
        (r#"{"s":{"t":0},"k":{"l":{"x":0},"a":0}}"#, r#"{"s":{"t":0},"k":{"l":{"x":0,"y":2},"a":0,"b":2}}"#),
    ] {
        assert_eq!(rewritten(body, &rules, None), expected);
        assert_eq!(rewritten(expected, &rules, None), expected);
    }
}

#[test]
fn order_is_remove_defaults_limits_overrides() {
    let rules = rules(&["a"], json!({"a": 9, "b": 9}), json!({"a": 5, "b": 5, "c": 5}), json!({"c": 9}));
    assert_eq!(rewritten(r#"{"a":1,"b":7,"c":1}"#, &rules, Some("m")), r#"{"a":5,"b":5,"c":9,"model":"m"}"#);
}

#[test]
fn nested_members_are_removed_mapped_and_noted() {
    let mut settings = set(&["k.a", "k.removed.x"], none(), none(), none());
    let values = json!({ "medium": "high", "1": null, "true": [1] }).as_object().cloned().expect("an object");
    settings.map = vec![(vec!["k".into(), "m".into()], values.clone()), (vec!["m".into()], values)];
    for (body, expected) in [
        (r#"{"k":{"a":1,"m":"medium"},"m":"med\u0069um"}"#, r#"{"k":{"m":"high"},"m":"high"}"#),
        (r#"{"k":{"b":2,"a":1,"a":2},"m":1}"#, r#"{"k":{"b":2},"m":null}"#),
        (r#"{"k":{ "a" : {} },"m":true}"#, r#"{"k":{  },"m":[1]}"#),
        (r#"{"k":[{"a":1}],"m":"low"}"#, r#"{"k":[{"a":1}],"m":"low"}"#),
        (r#"{"k":{"removed":{"x":1}},"m":{"medium":1}}"#, r#"{"k":{"removed":{}},"m":{"medium":1}}"#),
    ] {
        assert_eq!(rewritten(body, &only(&settings), None), expected);
    }
    let body = r#"{"k":{"a":1,"m":"medium"}}"#;
    let (mut changes, headers) = (Vec::new(), HeaderMap::new());
    let mut bytes = BytesMut::from(body);
    let seen = peek(&bytes).expect("JSON");
    rewrite(&mut bytes, &seen, &only(&settings), &chat(&headers), Some("m"), Some(&mut changes)).expect("few members");
    let noted: Vec<_> = changes
        .iter()
        .map(|change| (change.part, &*change.field, change.old.as_deref(), change.new.as_deref()))
        .collect();
    let expected = [
        ("remove", "k.a", Some("1"), None),
        ("map", "k.m", Some("\"medium\""), Some("\"high\"")),
        ("name", "model", None, Some("\"m\"")),
    ];
    assert_eq!(noted, expected);
}

#[test]
fn later_defaults_replace_earlier_ones_but_never_what_the_client_sent() {
    let model = set(&[], json!({"t": 1, "k": {"a": 1, "b": 1}}), none(), none());
    let alias = set(&[], json!({"t": 2, "k": {"b": 2, "c": 2}}), none(), none());
    let rules = Rules::new(&[model, alias]);
    for (body, expected) in
        [("{}", r#"{"t":2,"k":{"a":1,"b":2,"c":2}}"#), (r#"{"t":0,"k":{"b":0}}"#, r#"{"t":0,"k":{"b":0,"a":1,"c":2}}"#)]
    {
        assert_eq!(rewritten(body, &rules, None), expected);
    }
}

#[test]
fn members_are_added_where_they_mean_something() {
    let defaults = json!({"temperature": 1, "dimensions": 8, "mine": 1});
    let rules = rules(&[], defaults, json!({"max_tokens": 5}), json!({"chat_template_kwargs": {"think": false}}));
    for (endpoint, body, expected) in [
        (Endpoint::Embeddings, r#"{"input":"x"}"#, r#"{"input":"x","dimensions":8,"mine":1}"#),
        (Endpoint::RerankV1, r#"{"query":"x"}"#, r#"{"query":"x","mine":1}"#),
        (Endpoint::Tokenize, r#"{"prompt":"x"}"#, r#"{"prompt":"x","mine":1}"#),
        (
            Endpoint::Tokenize,
            r#"{"messages":[]}"#,
            r#"{"messages":[],"mine":1,"chat_template_kwargs":{"think":false}}"#,
        ),
        (Endpoint::Completions, r#"{"max_tokens":9}"#, r#"{"max_tokens":5,"temperature":1,"mine":1}"#),
        (
            Endpoint::Score,
            r#"{"temperature":0,"chat_template_kwargs":{}}"#,
            r#"{"temperature":0,"chat_template_kwargs":{"think":false},"mine":1}"#,
        ),
    ] {
        assert_eq!(rewritten_at(endpoint, body, &rules, None), expected);
    }
}

#[test]
fn what_only_streams_have_is_added_to_streams_alone() {
    let options = json!({"stream_options": {"include_usage": true}, "stream_interval": 5, "t": 1});
    for rules in [rules(&[], options.clone(), none(), none()), rules(&[], none(), none(), options)] {
        for (body, expected) in [
            (r#"{"a":1}"#, r#"{"a":1,"t":1}"#),
            (r#"{"stream":false,"stream_options":null}"#, r#"{"stream":false,"t":1}"#),
            (
                r#"{"stream":true}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true},"stream_interval":5,"t":1}"#,
            ),
            (
                r#"{"stream":true,"stream_options":null}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true},"stream_interval":5,"t":1}"#,
            ),
            // What the client says itself is for the engine to refuse.
            (r#"{"stream_options":{"include_usage":true}}"#, r#"{"stream_options":{"include_usage":true},"t":1}"#),
        ] {
            assert_eq!(rewritten(body, &rules, None), expected);
        }
    }
}

#[test]
fn whether_a_request_is_a_stream_is_what_its_settings_make_of_it() {
    let options = set(&[], json!({"stream_options": {"include_usage": true}}), none(), none());
    let stream = |is| set(&[], none(), none(), json!({"stream": is}));
    let on = Rules::new(&[options.clone(), stream(true)]);
    assert_eq!(rewritten("{}", &on, None), r#"{"stream_options":{"include_usage":true},"stream":true}"#);
    let off = Rules::new(&[options.clone(), stream(false)]);
    assert_eq!(rewritten(r#"{"stream":true}"#, &off, None), r#"{"stream":false}"#);
    let outer = Settings { when: vec![when(vec!["a".into()], options)], ..Settings::default() };
    assert_eq!(rewritten(r#"{"a":1}"#, &only(&outer), None), r#"{"a":1}"#);
    let streamed = r#"{"a":1,"stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(rewritten(r#"{"a":1,"stream":true}"#, &only(&outer), None), streamed);
}

#[test]
fn a_condition_is_about_the_body_before_the_settings_around_it() {
    let then = set(&[], none(), none(), json!({"seen": 1}));
    let mut outer = set(&["a"], json!({"b": 1}), none(), none());
    outer.when = vec![when(vec!["a".into(), "x".into()], then.clone()), when(vec!["b".into()], then)];
    assert_eq!(rewritten(r#"{"a":{"x":1}}"#, &only(&outer), None), r#"{"b":1,"seen":1}"#);
    assert_eq!(rewritten(r#"{"a":1}"#, &only(&outer), None), r#"{"b":1}"#);
}

#[test]
fn headers_come_from_all_settings_that_apply() {
    let header = |name: &str, value: &str| (name.parse().expect("a name"), value.parse().expect("a value"));
    let set = |name: &str, value: &str| Settings { headers: vec![header(name, value)], ..Settings::default() };
    let when = |group| {
        let condition = Condition { endpoint: vec![group], ..Condition::default() };
        When { condition, settings: set("x-b", "2") }
    };
    let mut settings = set("x-a", "1");
    settings.when = vec![when(EndpointGroup::Chat), when(EndpointGroup::Responses)];
    let (mut bytes, headers) = (BytesMut::from("{}"), HeaderMap::new());
    let seen = peek(&bytes).expect("JSON");
    let done = rewrite(&mut bytes, &seen, &only(&settings), &chat(&headers), None, None).expect("few members");
    assert_eq!(
        done,
        Rewritten { changed: false, hides_usage: false, headers: vec![header("x-a", "1"), header("x-b", "2")] }
    );
}

#[test]
fn too_many_nested_members_are_refused_where_rules_look() {
    let body = format!(r#"{{"k":{{{}"think":true}}}}"#, r#""think":1,"#.repeat(5000));
    let mut bytes = BytesMut::from(&*body);
    let (seen, headers) = (peek(&bytes).expect("JSON"), HeaderMap::new());
    let rules = rules(&[], none(), none(), json!({"k": {"think": false}}));
    let refused = rewrite(&mut bytes, &seen, &rules, &chat(&headers), None, None);
    assert_eq!(refused, Err(BadBody::TooManyNested));
    let others = self::rules(&[], none(), none(), json!({"l": {"think": false}}));
    assert!(rewrite(&mut bytes, &seen, &others, &chat(&headers), None, None).is_ok());
}

/// An object written with odd spacing and escaped keys, with duplicates possible.
fn odd_body() -> impl Strategy<Value = String> {
    let member = (object(2), 0usize..3, any::<bool>());
    prop::collection::vec(member, 0..4).prop_map(|objects| {
        let mut members = Vec::new();
        for (map, space, escape) in objects {
            let space = &" \n\t"[..space];
            for (key, value) in map {
                let mut key = Value::from(key).to_string();
                if escape {
                    key = key.replacen('a', "\\u0061", 1);
                }
                members.push(format!("{space}{key}{space}:{space}{value:#}{space}"));
            }
        }
        format!(" {{{}}}\n", members.join(","))
    })
}

proptest! {
    #[test]
    fn equals_the_naive_tree(
        body in odd_body(), all in prop::collection::vec(all_settings(), 0..4), model in prop::option::of("[a-z\"é]{0,8}"),
    ) {
        let rules = Rules::new(&all);
        let mut tree = Naive::of(serde_json::from_str(&body).expect("JSON"));
        all.iter().for_each(|settings| tree.apply(settings));
        if let Some(model) = &model {
            tree.body["model"] = Value::from(model.clone());
        }
        let once = rewritten(&body, &rules, model.as_deref());
        let got: Value = serde_json::from_str(&once).expect("the result parses");
        prop_assert_eq!(&got, &tree.body, "{} -> {}", body, once);
    }

    #[test]
    fn twice_is_once(body in odd_body(), settings in settings()) {
        let rules = only(&settings);
        let once = rewritten(&body, &rules, Some("m"));
        prop_assert_eq!(&rewritten(&once, &rules, Some("m")), &once);
    }

    #[test]
    fn members_without_a_rule_keep_their_bytes_and_order(body in odd_body(), settings in all_settings()) {
        let once = rewritten(&body, &only(&settings), Some("m"));
        let unnamed = |text: &str| -> Vec<(String, String)> {
            let peek = peek(text.as_bytes()).expect("JSON");
            let text = |span: Span| String::from_utf8_lossy(span.of(text.as_bytes())).into_owned();
            let named = |key: &str| {
                let decoded: String = serde_json::from_str(&format!("\"{key}\"")).expect("a key");
                names(&settings, &decoded) || equals(key.as_bytes(), "model")
            };
            peek.members.iter().map(|m| (text(m.key), text(m.value))).filter(|(key, _)| !named(key)).collect()
        };
        prop_assert_eq!(unnamed(&body), unnamed(&once));
    }

    /// A peek of other bytes is a caller's mistake, but not a crash.
    #[test]
    fn a_wrong_peek_never_panics(body in odd_body(), other in ".{0,40}", settings in all_settings()) {
        let (peek, headers) = (peek(body.as_bytes()).expect("JSON"), HeaderMap::new());
        let rules = only(&settings);
        let edits = edits(other.as_bytes(), &peek, &rules, &chat(&headers), None, &mut ChangeLog::new(None));
        prop_assert!(edits.is_ok_and(|done| done.edits.len() < 10_000));
    }
}
