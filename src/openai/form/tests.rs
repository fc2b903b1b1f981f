//! Forms before and after rules.

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::openai::Endpoint;
use crate::openai::multipart::peek_form;
use crate::openai::testing::{names, set, settings, when};

fn rules(remove: &[&str], defaults: Value, limits: Value, overrides: Value) -> Rules {
    Rules::new(&[set(remove, defaults, limits, overrides)])
}

fn write(fields: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in fields {
        form += &format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"");
        if *name == "file" {
            form += "; filename=\"a.wav\"\r\nContent-Type: audio/wav";
        }
        form += &format!("\r\n\r\n{value}\r\n");
    }
    form + "--b--\r\n"
}

fn rewritten(form: &str, rules: &Rules, model: Option<&str>) -> String {
    let mut body = BytesMut::from(form);
    let peek = peek_form(&body, "b").expect(form);
    let (asked, headers) = (Endpoint::Transcriptions, HeaderMap::new());
    let request = Request { asked, endpoint: asked, headers: &headers, caller: None, ask_usage: false };
    let done = rewrite_form(&mut body, &peek, rules, &request, model, None).expect("few members");
    assert_eq!(done.changed, body != form.as_bytes());
    let again = peek_form(&body, "b").expect("still a form");
    assert!(model.is_none() || again.model() == model);
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

#[test]
fn the_model_is_renamed_and_the_file_stays() {
    let no = Rules::default();
    let form = write(&[("file", "RIFF"), ("model", "alias"), ("language", "en")]);
    let expected = write(&[("file", "RIFF"), ("model", "openai/whisper-large"), ("language", "en")]);
    assert_eq!(rewritten(&form, &no, Some("openai/whisper-large")), expected);
    assert_eq!(rewritten(&form, &no, Some("alias")), form);
    assert_eq!(rewritten(&write(&[("file", "x")]), &no, Some("m")), write(&[("file", "x"), ("model", "m")]));
    assert_eq!(
        rewritten("--b--", &no, Some("m")),
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--"
    );
}

#[test]
fn what_only_streams_have_is_added_to_streams_alone() {
    let rules = rules(&[], json!({"stream_include_usage": true, "language": "en"}), json!({}), json!({}));
    let plain = write(&[("model", "m"), ("stream", "false")]);
    let streamed = write(&[("model", "m"), ("stream", "True")]);
    assert_eq!(rewritten(&plain, &rules, None), plain.replace("--b--\r\n", "") + &write(&[("language", "en")]));
    let all = write(&[("stream_include_usage", "true"), ("language", "en")]);
    assert_eq!(rewritten(&streamed, &rules, None), streamed.replace("--b--\r\n", "") + &all);
}

/// Found by fuzzing: a control character made the part's head unreadable.
#[test]
fn a_field_whose_name_readers_disagree_on_is_not_added() {
    for name in ["a\"b", "a\\b", "a\rb", "a\u{1c}b", "a\u{7f}b"] {
        let mut defaults = json!({ "language": "en" });
        defaults[name] = 1.into();
        let rules = rules(&[], defaults, json!({}), json!({}));
        let form = rewritten(&write(&[("model", "m")]), &rules, None);
        assert_eq!(form, write(&[("model", "m"), ("language", "en")]), "{name:?}");
    }
}

#[test]
fn the_same_rules_hold_for_fields() {
    let rules = rules(
        &["prompt", "removed"],
        json!({"language": "en", "temperature": 0.5, "absent": null, "removed": 3}),
        json!({"temperature": 0.7, "top_k": 10}),
        json!({"response_format": "json", "options": {"x": 1}, "nothing": null}),
    );
    assert_eq!(
        rewritten(
            &write(&[
                ("prompt", "p"),
                ("file", "RIFF"),
                ("temperature", " 0.9"),
                ("top_k", "1_000"),
                ("top_k", "5"),
                ("model", "m"),
                ("response_format", "text"),
                ("response_format", "srt"),
                ("options", " {\"y\": 2, \"x\": 0} "),
                ("nothing", "n"),
                ("removed", "g"),
                ("language", ""),
            ]),
            &rules,
            None
        ),
        write(&[
            ("file", "RIFF"),
            ("temperature", "0.7"),
            ("top_k", "10"),
            ("top_k", "5"),
            ("model", "m"),
            ("response_format", "json"),
            ("options", " {\"y\": 2, \"x\": 1} "),
            ("removed", "3"),
            ("language", ""),
        ])
    );
    assert_eq!(
        rewritten(&write(&[("model", "m")]), &rules, None),
        write(&[
            ("model", "m"),
            ("language", "en"),
            ("temperature", "0.5"),
            ("removed", "3"),
            ("response_format", "json"),
            ("options", "{\"x\":1}"),
        ])
    );
}

#[test]
fn settings_follow_each_other_and_look_into_objects() {
    let mut first = set(&["o.removed"], json!({"temperature": 1}), json!({}), json!({}));
    first.map = vec![(vec!["language".into()], json!({ "de": "en" }).as_object().cloned().expect("an object"))];
    let then = set(&[], json!({}), json!({}), json!({"seen": 1}));
    let mut second = set(&[], json!({"temperature": 0, "top_k": 3, "max_tokens": 5}), json!({"top_k": 2}), json!({}));
    second.when = vec![when(vec!["o".into(), "x".into()], then.clone()), when(vec!["o".into(), "y".into()], then)];
    let rules = Rules::new(&[first, second]);
    assert_eq!(
        rewritten(&write(&[("language", "de"), ("o", "{\"removed\":1,\"x\":1}")]), &rules, None),
        write(&[
            ("language", "en"),
            ("o", "{\"x\":1}"),
            ("temperature", "0"),
            ("top_k", "2"),
            // What transcriptions call it.
            ("max_completion_tokens", "5"),
            ("seen", "1"),
        ])
    );
}

#[test]
fn a_file_is_never_touched() {
    let form = write(&[("file", "RIFF")]);
    for rules in [
        rules(&["file"], json!({}), json!({}), json!({})),
        rules(&[], json!({}), json!({"file": 1}), json!({"file": 2})),
    ] {
        assert_eq!(rewritten(&form, &rules, None), form);
    }
}

#[test]
fn an_object_in_the_place_of_text_replaces_it() {
    let rules = rules(&[], json!({}), json!({}), json!({"o": {"x": 1}}));
    for text in ["text", "{", "{} {}", "[1]", ""] {
        assert_eq!(rewritten(&write(&[("o", text)]), &rules, None), write(&[("o", "{\"x\":1}")]));
    }
    assert_eq!(rewritten(&write(&[("o", "{}")]), &rules, None), write(&[("o", "{\"x\":1}")]));
}

#[test]
fn a_text_that_would_end_its_field_is_refused() {
    let refused = |form: &str, text: &str, model: Option<&str>| {
        let rules = rules(&[], json!({}), json!({}), json!({ "prompt": text }));
        let mut body = BytesMut::from(form);
        let peek = peek_form(&body, "b").expect(form);
        let (asked, headers) = (Endpoint::Transcriptions, HeaderMap::new());
        let request = Request { asked, endpoint: asked, headers: &headers, caller: None, ask_usage: false };
        let refused = rewrite_form(&mut body, &peek, &rules, &request, model, None).err();
        assert!(refused.is_none() || body == form.as_bytes(), "a refusal changes nothing");
        refused
    };
    let part = "x\r\n--b\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nen";
    for form in [write(&[("file", "RIFF")]), write(&[("prompt", "p")])] {
        for text in [part, "--b", "--b--", "--bc", "x\n--b", "x\r--b", "\r\n--b--\r\n", "--a\n --b\n--b"] {
            assert_eq!(refused(&form, text, None), Some(BadForm::BoundaryInside), "{text:?} in {form}");
        }
        for text in ["a --b", "---b", "-b", "--\r\nb", "b", "\r\n--"] {
            assert_eq!(refused(&form, text, None), None, "{text:?} in {form}");
        }
        assert_eq!(refused(&form, "x", Some("--b")), Some(BadForm::BoundaryInside), "a model's name");
    }
    assert_eq!(refused(&write(&[("file", "RIFF\r\n--a\r\n")]), "--a", None), None, "another boundary");
    assert_eq!(crate::openai::ApiError::from(BadForm::BoundaryInside).status, 400);
}

/// What each field of a form says; objects whatever their order.
fn said(form: &str) -> Vec<(String, Result<serde_json::Value, String>)> {
    let peek = peek_form(form.as_bytes(), "b").expect("a form");
    let value = |text: &str| serde_json::from_str(text).map_err(|_| text.to_owned());
    let text = |span: Span| std::str::from_utf8(span.of(form.as_bytes())).expect("UTF-8");
    peek.parts.iter().map(|part| (part.name.to_string(), value(text(part.value)))).collect()
}

proptest! {
    #[test]
    fn twice_is_once(
        fields in prop::collection::vec((crate::openai::testing::key(), "[a-z0-9{}\":]{0,8}"), 0..6), settings in settings(),
    ) {
        let plain = |name: &str| !name.contains(['"', '\t']);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (&**name, &**value)).filter(|(name, _)| plain(name)).collect();
        let once = rewritten(&write(&fields), &Rules::new(std::slice::from_ref(&settings)), Some("m"));
        // A member that is removed from an object and defaulted in again goes to its end.
        prop_assert_eq!(said(&rewritten(&once, &Rules::new(std::slice::from_ref(&settings)), Some("m"))), said(&once));
    }

    #[test]
    fn fields_without_a_rule_keep_their_bytes(
        fields in prop::collection::vec((crate::openai::testing::key(), "[a-z0-9{}\":]{0,8}"), 0..6), settings in settings(),
    ) {
        let plain = |name: &str| !name.contains(['"', '\t']);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (&**name, &**value)).filter(|(name, _)| plain(name)).collect();
        let rules = Rules::new(std::slice::from_ref(&settings));
        let once = rewritten(&write(&fields), &rules, Some("m"));
        let after = peek_form(once.as_bytes(), "b").expect("a form");
        let kept: Vec<_> = fields.iter().copied().filter(|(name, _)| !names(&settings, name)).collect();
        let found: Vec<_> = after.parts.iter()
            .map(|part| (&*part.name, std::str::from_utf8(part.value.of(once.as_bytes())).expect("UTF-8")))
            .filter(|(name, _)| *name != "model" && plain(name) && !name.contains('%') && !names(&settings, name))
            .collect();
        prop_assert_eq!(kept, found);
    }
}
