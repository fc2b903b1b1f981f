//! Applies rules to the text fields of a multipart form, in place; files are never touched.
//!
//! Scalars become their text, objects and arrays their JSON; `null`, which a form cannot say, means no field.

use bytes::BytesMut;
use serde_json::Value;
use smallvec::SmallVec;

use super::json::{Scanner, Span};
use super::multipart::{FormPeek, Part};
use super::patch::{Edit, Edits, apply};
use super::rules::{Fill, Limit, Present, Rules};
use super::splice::nested;

/// Applies `rules` to the form `body` and names it `model`, where given and other than what the client said.
///
/// A name may stand several times in a form (that is how forms say lists): fixed values replace all of them by one field,
/// limits hold for each. A name sent with a file is left alone.
///
/// `form` must come from these very bytes, and is stale afterwards if they changed. Returns whether they did.
/// In place where `body` has room for the result.
pub fn rewrite_form(body: &mut BytesMut, form: &FormPeek, rules: &Rules, model: Option<&str>) -> bool {
    let rename = model.filter(|model| form.model() != Some(model)).map(|model| Fill::new("model", &Value::from(model)));
    if rules.is_empty() && rename.is_none() {
        return false;
    }
    let appended = missing(form, rules, rename.as_ref());
    let mut edits = Edits::new();
    for (index, part) in form.parts.iter().enumerate() {
        if part.file {
            continue;
        }
        match &rename {
            Some(rename) if &*part.name == "model" => replace(&mut edits, body, part, Some(rename)),
            _ => field(&mut edits, body, part, form.parts.get(index + 1..).unwrap_or_default(), rules),
        }
    }
    if !appended.is_empty() {
        edits.push(Edit { old: Span { start: form.close, end: form.close }, new: &appended });
    }
    let changed = !edits.is_empty();
    if changed {
        apply(body, &edits);
    }
    changed
}

/// Edits of one text field that `later` parts follow.
fn field<'a>(edits: &mut Edits<'a>, body: &[u8], part: &Part, later: &[Part], rules: &'a Rules) {
    let Some(node) = rules.find_text(&part.name).and_then(|index| rules.nodes().get(index)) else { return };
    match &node.present {
        Present::Keep => {}
        Present::Strip => replace(edits, body, part, None),
        Present::Fixed(fill) => {
            let again = later.iter().any(|later| !later.file && later.name == part.name);
            replace(edits, body, part, Some(fill).filter(|_| !again));
        }
        Present::Shape { limit, children, other } => {
            let value = part.value.of(body);
            if let Some(object) = object_in(value, part.value) {
                nested(edits, body, object, children);
            } else if other.is_some() {
                replace(edits, body, part, other.as_ref());
            } else if let Some(limit) = limit
                && exceeded(limit, value)
            {
                replace(edits, body, part, Some(&limit.fill));
            }
        }
    }
}

/// The content becomes that of `fill`; without text to say, the whole part goes.
fn replace<'a>(edits: &mut Edits<'a>, body: &[u8], part: &Part, fill: Option<&'a Fill>) {
    match fill.and_then(|fill| fill.text.as_deref()) {
        Some(text) if text == part.value.of(body) => {}
        Some(text) => edits.push(Edit { old: part.value, new: text }),
        None => edits.push(Edit { old: part.whole, new: b"" }),
    }
}

fn exceeded(limit: &Limit, value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| limit.exceeded_by_text(text))
}

/// The JSON object that the field's content is, if it is one.
fn object_in(value: &[u8], span: Span) -> Option<Span> {
    let text = value.trim_ascii();
    if !text.starts_with(b"{") || simdutf8::basic::from_utf8(text).is_err() {
        return None;
    }
    let mut scanner = Scanner::new(text, 0);
    scanner.value(0).and_then(|()| scanner.end()).ok()?;
    let start = span.range().start + (value.len() - value.trim_ascii_start().len());
    Some(Span::new(start, start + text.len()))
}

/// Parts to add before the closing delimiter.
fn missing(form: &FormPeek, rules: &Rules, rename: Option<&Fill>) -> Vec<u8> {
    let sent = |name: &str| form.parts.iter().any(|part| &*part.name == name);
    let fills: SmallVec<[(&str, &Fill); 8]> = rules
        .nodes()
        .iter()
        .filter_map(|node| Some((node.key(), node.absent.as_ref()?)))
        .chain(rename.map(|rename| ("model", rename)))
        .filter(|(name, _)| !sent(name))
        .collect();
    let mut parts = Vec::new();
    for (name, fill) in fills {
        if let Some(text) = &fill.text {
            // As browsers write names (HTML standard, "Multipart form data").
            let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
            let head = format!("{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n", form.dash);
            parts.extend_from_slice(head.as_bytes());
            parts.extend_from_slice(text);
            parts.extend_from_slice(b"\r\n");
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::openai::multipart::peek_form;
    use crate::openai::testing::{Settings, settings};

    fn rules(remove: &[&str], defaults: Value, limits: Value, overrides: Value) -> Rules {
        let map = |value: Value| value.as_object().cloned().expect("an object");
        let remove = remove.iter().map(ToString::to_string).collect();
        Settings { remove, defaults: map(defaults), limits: map(limits), overrides: map(overrides) }.rules()
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
        let changed = rewrite_form(&mut body, &peek, rules, model);
        assert_eq!(changed, body != form.as_bytes());
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
    fn the_same_rules_hold_for_fields() {
        let rules = rules(
            &["prompt", "gone"],
            json!({"language": "en", "temperature": 0.5, "absent": null, "gone": 3}),
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
                    ("gone", "g"),
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
                ("gone", "3"),
                ("language", ""),
            ])
        );
        assert_eq!(
            rewritten(&write(&[("model", "m")]), &rules, None),
            write(&[
                ("model", "m"),
                ("gone", "3"),
                ("language", "en"),
                ("options", "{\"x\":1}"),
                ("response_format", "json"),
                ("temperature", "0.5"),
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

    proptest! {
        #[test]
        fn fields_without_a_rule_keep_their_bytes(
            fields in prop::collection::vec((crate::openai::testing::key(), "[a-z0-9{}\":]{0,8}"), 0..6), settings in settings(),
        ) {
            let plain = |name: &str| !name.contains(['"', '\t']);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (&**name, &**value)).filter(|(name, _)| plain(name)).collect();
            let rules = settings.rules();
            let once = rewritten(&write(&fields), &rules, Some("m"));
            let after = peek_form(once.as_bytes(), "b").expect("a form");
            let kept: Vec<_> = fields.iter().copied().filter(|(name, _)| !settings.names(name)).collect();
            let found: Vec<_> = after.parts.iter()
                .map(|part| (&*part.name, std::str::from_utf8(part.value.of(once.as_bytes())).expect("UTF-8")))
                .filter(|(name, _)| *name != "model" && plain(name) && !name.contains('%') && !settings.names(name))
                .collect();
            prop_assert_eq!(kept, found);
        }
    }
}
