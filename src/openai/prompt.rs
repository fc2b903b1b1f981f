//! Puts a system text into a request, where its endpoint has one, by pieces: what the client said keeps its bytes.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Endpoint;
use super::json::{Member, Scanner, Span, SyntaxError};
use super::text::equals;
use crate::settings::{Place, Prompt};

/// Between two texts.
const GAP: &str = "\n\n";

/// What is to be done to a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PromptEdit {
    /// It becomes this JSON.
    Replace(Vec<u8>),
    /// These pieces go into its JSON, at these offsets.
    Insert(Vec<(usize, Vec<u8>)>),
}

/// What to do to which member; `member` gives the JSON of a member of the body.
pub(super) fn prompt_edit<'t>(
    prompt: &Prompt,
    endpoint: Endpoint,
    member: impl Fn(&str) -> Option<Cow<'t, [u8]>>,
) -> Option<(&'static str, PromptEdit)> {
    let (text, place) = (prompt.text.as_str(), prompt.place);
    match endpoint {
        Endpoint::ChatCompletions => Some(("messages", in_messages(&member("messages")?, text, place, "text")?)),
        Endpoint::ChatBatch => Some(("messages", in_conversations(&member("messages")?, text, place)?)),
        Endpoint::Messages | Endpoint::CountTokens => {
            Some(("system", in_text(member("system").as_deref(), text, place, "text")?))
        }
        Endpoint::Responses => {
            let own = member("instructions").filter(|own| **own != *b"null");
            let input = member("input");
            // The client's own system text may stand among the items.
            let items = input.as_deref().filter(|_| own.is_none() && place != Place::Before);
            if let Some(items) = items.filter(|items| first_system(items).is_some()) {
                return Some(("input", in_messages(items, text, place, "input_text")?));
            }
            Some(("instructions", in_text(own.as_deref(), text, place, "text")?))
        }
        _ => None,
    }
}

/// A text of its own: `own` is a string, a list of parts, or not there.
fn in_text(own: Option<&[u8]>, text: &str, place: Place, kind: &str) -> Option<PromptEdit> {
    match own.filter(|own| *own != b"null") {
        None => Some(PromptEdit::Replace(Value::from(text).to_string().into_bytes())),
        Some(_) if place == Place::Missing => None,
        Some(own) => beside(own, text, place, kind).map(PromptEdit::Insert),
    }
}

/// A list of lists of messages.
fn in_conversations(all: &[u8], text: &str, place: Place) -> Option<PromptEdit> {
    let mut pieces = Vec::new();
    let read = Scanner::new(all, 0).elements::<SyntaxError>(|element| {
        let one = element.span()?;
        if let Some(PromptEdit::Insert(inside)) = in_messages(one.of(all), text, place, "text") {
            pieces.extend(inside.into_iter().map(|(at, piece)| (one.range().start + at, piece)));
        }
        Ok(())
    });
    (read.is_ok() && !pieces.is_empty()).then_some(PromptEdit::Insert(pieces))
}

/// A list of messages, with or without one of the system.
fn in_messages(list: &[u8], text: &str, place: Place, kind: &str) -> Option<PromptEdit> {
    if list.first() != Some(&b'[') {
        return None;
    }
    match first_system(list) {
        None => {
            let mut message = json!({ "role": "system", "content": text }).to_string().into_bytes();
            if !is_empty(list) {
                message.push(b',');
            }
            Some(PromptEdit::Insert(vec![(1, message)]))
        }
        Some(_) if place == Place::Missing => None,
        Some(system) => {
            let content = system.content?;
            let inside = beside(content.of(list), text, place, kind)?;
            Some(PromptEdit::Insert(
                inside.into_iter().map(|(at, piece)| (content.range().start + at, piece)).collect(),
            ))
        }
    }
}

/// Pieces that put `text` beside what the string or the list of parts `own` says.
fn beside(own: &[u8], text: &str, place: Place, kind: &str) -> Option<Vec<(usize, Vec<u8>)>> {
    let before = place == Place::Before;
    let piece = match own {
        [b'"', .., b'"'] => {
            // `""` says nothing to be apart from.
            let gap = if own.len() > 2 { GAP } else { "" };
            let whole = if before { format!("{text}{gap}") } else { format!("{gap}{text}") };
            let quoted = Value::from(whole).to_string();
            quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().as_bytes().to_vec()
        }
        [b'[', .., b']'] => {
            let part = json!({ "type": kind, "text": text });
            let piece = match (is_empty(own), before) {
                (true, _) => part.to_string(),
                (false, true) => format!("{part},"),
                (false, false) => format!(",{part}"),
            };
            piece.into_bytes()
        }
        _ => return None,
    };
    Some(vec![(if before { 1 } else { own.len() - 1 }, piece)])
}

fn is_empty(list: &[u8]) -> bool {
    let inside = list.get(1..).unwrap_or_default().trim_ascii_start();
    inside.first() == Some(&b']')
}

struct System {
    /// Its content, if it has any.
    content: Option<Span>,
}

/// The first message of the system, or of a developer, in a list of messages.
fn first_system(list: &[u8]) -> Option<System> {
    let mut scanner = Scanner::new(list, 0);
    let mut found = None;
    let _ = scanner.elements::<Found>(|element| {
        if element.byte() != Some(b'{') {
            return Ok(element.value(1)?);
        }
        let (mut system, mut content) = (false, None);
        element.members::<SyntaxError>(|Member { key, value }| {
            if equals(key.of(list), "role") {
                let role = value.of(list);
                let role = role.get(1..role.len().saturating_sub(1)).unwrap_or_default();
                system = equals(role, "system") || equals(role, "developer");
            } else if equals(key.of(list), "content") {
                content = Some(value);
            }
            Ok(())
        })?;
        if system {
            found = Some(System { content });
            return Err(Found);
        }
        Ok(())
    });
    found
}

/// Enough was seen, or it is no list that could be read.
struct Found;

impl From<SyntaxError> for Found {
    fn from(_: SyntaxError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use http::HeaderMap;
    use serde_json::Value;

    use super::*;
    use crate::openai::{Request, Rules, peek, rewrite};
    use crate::settings::Settings;

    fn with(endpoint: Endpoint, places: &[Place], body: &str) -> String {
        let settings = |place: &Place| Settings {
            prompt: Some(Prompt { text: "be \"brief\"".into(), place: *place }),
            ..Settings::default()
        };
        let rules = Rules::new(&places.iter().map(settings).collect::<Vec<_>>());
        let mut bytes = BytesMut::from(body);
        let (seen, headers) = (peek(&bytes).expect(body), HeaderMap::new());
        let request = Request { asked: endpoint, endpoint, headers: &headers, caller: None, ask_usage: false };
        rewrite(&mut bytes, &seen, &rules, &request, None, None).expect("few members");
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        serde_json::from_str::<Value>(&text).expect("JSON");
        text
    }

    const MISSING: &[Place] = &[Place::Missing];
    const BEFORE: &[Place] = &[Place::Before];
    const AFTER: &[Place] = &[Place::After];

    #[test]
    fn chat_has_it_in_a_message() {
        let chat = |places, body: &str| with(Endpoint::ChatCompletions, places, body);
        let new = r#"{"role":"system","content":"be \"brief\""}"#;
        for places in [MISSING, BEFORE, AFTER] {
            let user = r#"{"messages":[ {"role":"user","content":1.50}]}"#;
            assert_eq!(chat(places, user), format!(r#"{{"messages":[{new}, {{"role":"user","content":1.50}}]}}"#));
            assert_eq!(chat(places, r#"{"messages":[ ]}"#), format!(r#"{{"messages":[{new} ]}}"#));
            for left in [r#"{"messages":"x"}"#, r#"{"messages":null}"#, "{}"] {
                assert_eq!(chat(places, left), left);
            }
        }
        let own = r#"{"messages":[1,{"content":"own","role":"developer"}]}"#;
        assert_eq!(chat(MISSING, own), own);
        assert_eq!(chat(BEFORE, own), r#"{"messages":[1,{"content":"be \"brief\"\n\nown","role":"developer"}]}"#);
        assert_eq!(chat(AFTER, own), r#"{"messages":[1,{"content":"own\n\nbe \"brief\"","role":"developer"}]}"#);
        let parts = r#"{"messages":[{"role":"system","content":[{"type":"text","text":"own"}]}]}"#;
        assert_eq!(
            chat(AFTER, parts),
            r#"{"messages":[{"role":"system","content":[{"type":"text","text":"own"},{"type":"text","text":"be \"brief\""}]}]}"#
        );
        let twice = chat(&[Place::Missing, Place::Missing], r#"{"messages":[]}"#);
        assert_eq!(twice, format!(r#"{{"messages":[{new}]}}"#));
        let both = chat(&[Place::After, Place::Before], r#"{"messages":[{"role":"system","content":""}]}"#);
        assert_eq!(both, r#"{"messages":[{"role":"system","content":"be \"brief\"\n\nbe \"brief\""}]}"#);
    }

    #[test]
    fn responses_have_instructions_or_an_item() {
        let responses = |places, body: &str| with(Endpoint::Responses, places, body);
        for body in [r#"{"input":"x"}"#, r#"{"input":"x","instructions":null}"#] {
            for places in [MISSING, BEFORE, AFTER] {
                assert_eq!(responses(places, body), r#"{"input":"x","instructions":"be \"brief\""}"#);
            }
        }
        let item = r#"{"input":[{"role":"system","content":"own"}]}"#;
        assert_eq!(responses(MISSING, item), item);
        assert_eq!(responses(AFTER, item), r#"{"input":[{"role":"system","content":"own\n\nbe \"brief\""}]}"#);
        assert_eq!(
            responses(BEFORE, item),
            r#"{"input":[{"role":"system","content":"own"}],"instructions":"be \"brief\""}"#
        );
        let own = r#"{"input":"x","instructions":"own"}"#;
        assert_eq!(responses(AFTER, own), r#"{"input":"x","instructions":"own\n\nbe \"brief\""}"#);
    }

    #[test]
    fn messages_have_a_member_and_the_rest_has_nothing() {
        let messages = |places, body: &str| with(Endpoint::Messages, places, body);
        assert_eq!(messages(MISSING, "{}"), r#"{"system":"be \"brief\""}"#);
        assert_eq!(messages(BEFORE, r#"{"system":"own"}"#), r#"{"system":"be \"brief\"\n\nown"}"#);
        assert_eq!(messages(AFTER, r#"{"system":[]}"#), r#"{"system":[{"type":"text","text":"be \"brief\""}]}"#);
        let batch = |places, body: &str| with(Endpoint::ChatBatch, places, body);
        assert_eq!(
            batch(
                BEFORE,
                r#"{"model":"m","messages":[[{"role":"user","content":"a"}], [{"role":"system","content":"b"}],7]}"#
            ),
            "{\"model\":\"m\",\"messages\":[[{\"role\":\"system\",\"content\":\"be \\\"brief\\\"\"},{\"role\":\"user\",\"content\":\"a\"}], \
             [{\"role\":\"system\",\"content\":\"be \\\"brief\\\"\\n\\nb\"}],7]}"
        );
        assert_eq!(batch(BEFORE, r#"{"model":"m","messages":7}"#), r#"{"model":"m","messages":7}"#);
        for endpoint in [Endpoint::Completions, Endpoint::Embeddings, Endpoint::Tokenize] {
            assert_eq!(with(endpoint, MISSING, r#"{"messages":[]}"#), r#"{"messages":[]}"#);
        }
    }
}
