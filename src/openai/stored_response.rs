//! Responses that engines keep (vLLM with `VLLM_ENABLE_RESPONSES_API_STORE=1`): where they are asked for, and which one an
//! answer or a request is about.

use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserializer, de};

use super::text::{decode, equals};
use super::{Endpoint, Peek};

/// Longest id that is kept, in bytes. vLLM's have 21 (`resp_` and 16 digits), OpenAI's about 60.
const MAX_ID: usize = 256;

/// A request about a response that was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredResponse<'p> {
    /// Which one.
    pub id: &'p str,
    /// `POST /v1/responses/{id}/cancel`; otherwise `GET /v1/responses/{id}`.
    pub cancel: bool,
}

impl<'p> StoredResponse<'p> {
    /// What a request for `path` is about; `None`: no stored response.
    #[must_use]
    pub fn find(path: &'p str) -> Option<Self> {
        let rest = path.strip_prefix(Endpoint::Responses.path())?.strip_prefix('/')?;
        let (id, cancel) = rest.strip_suffix("/cancel").map_or((rest, false), |id| (id, true));
        (!id.is_empty() && !id.contains('/')).then_some(Self { id, cancel })
    }

    /// The method it takes.
    #[must_use]
    pub fn method(self) -> &'static str {
        if self.cancel { "POST" } else { "GET" }
    }
}

/// The id of the response of which `beginning` begins the answer to `POST /v1/responses`; `is_stream`: as events. `None`: it is
/// not there, which for vLLM's answers it is.
#[must_use]
pub fn response_id(beginning: &[u8], is_stream: bool) -> Option<String> {
    let json = if is_stream {
        let mut lines = beginning.split(|byte| *byte == b'\n');
        lines.find_map(|line| line.strip_prefix(b"data:"))?
    } else {
        beginning
    };
    let mut found = None;
    let mut reader = serde_json::Deserializer::from_slice(json);
    // It is over when the id is found, or where the bytes end: both are errors to the reader.
    let _ = reader.deserialize_map(Id { found: &mut found, is_inside: !is_stream });
    found.filter(|id: &String| id.len() <= MAX_ID)
}

/// The response that the request of `body`, which was looked at, goes on with.
#[must_use]
pub fn previous_response(peek: &Peek, body: &[u8]) -> Option<String> {
    let is_it = |member: &&super::json::Member| equals(member.key.of(body), "previous_response_id");
    // Of members given twice the last counts.
    match peek.members.iter().rfind(is_it)?.value.of(body) {
        [b'"', inside @ .., b'"'] if inside.len() <= MAX_ID => decode(inside).map(Into::into),
        _ => None,
    }
}

/// Whether the request of `body`, which was looked at, is for a response that is made after its answer.
#[must_use]
pub fn is_background(peek: &Peek, body: &[u8]) -> bool {
    let is_it = |member: &&super::json::Member| equals(member.key.of(body), "background");
    peek.members.iter().rfind(is_it).is_some_and(|member| member.value.of(body) == b"true")
}

/// Finds `id`; `is_inside`: of this object, otherwise of its member `response`.
struct Id<'f> {
    found: &'f mut Option<String>,
    is_inside: bool,
}

impl<'de> Visitor<'de> for Id<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match (self.is_inside, &*key) {
                (true, "id") => {
                    *self.found = Some(map.next_value()?);
                    return Err(A::Error::custom("found"));
                }
                (false, "response") => {
                    return map.next_value_seed(Id { found: self.found, is_inside: true });
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Id<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_below_responses_name_one() {
        let find = |path| StoredResponse::find(path).map(|stored| (stored.id, stored.method()));
        assert_eq!(find("/v1/responses/resp_1"), Some(("resp_1", "GET")));
        assert_eq!(find("/v1/responses/resp_1/cancel"), Some(("resp_1", "POST")));
        assert_eq!(find("/v1/responses/cancel"), Some(("cancel", "GET")));
        for other in [
            "/v1/responses",
            "/v1/responses/",
            "/v1/responses//cancel",
            "/v1/responses/a/input_items",
            "/v1/responses/a/b/cancel",
            "/v1/responsesx",
        ] {
            assert_eq!(find(other), None, "{other}");
        }
    }

    #[test]
    fn an_answer_begins_with_its_id() {
        for (answer, id) in [
            (r#"{"id":"resp_1","object":"response"}"#, Some("resp_1")),
            (r#"{"id":"resp_1","instructions":"cut of"#, Some("resp_1")),
            (r#"{"metadata":{"id":"resp_2"},"id":"resp_1"}"#, Some("resp_1")),
            (r#"{"metadata":{"id":"resp_2"},"instr"#, None),
            (r#"{"response":{"id":"resp_2"}}"#, None),
            (r#"{"id":"resp_"#, None),
            (r#"{"id":7}"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(response_id(answer.as_bytes(), false).as_deref(), id, "{answer}");
        }
        let event = "event: response.created\ndata: {\"response\":{\"id\":\"resp_1\",\"instructions\":\"cut of";
        assert_eq!(response_id(event.as_bytes(), true).as_deref(), Some("resp_1"));
        let other = "event: response.created\ndata: {\"id\":\"resp_1\",\"type\":\"response.created\"}\n\n";
        assert_eq!(response_id(other.as_bytes(), true), None);
        let long = format!("{{\"id\":\"{}\"}}", "x".repeat(MAX_ID + 1));
        assert_eq!(response_id(long.as_bytes(), false), None);
    }

    #[test]
    fn a_request_says_which_response_it_goes_on_with() {
        for (body, id) in [
            (r#"{"previous_response_id":"resp_1"}"#, Some("resp_1")),
            (r#"{"previous_response_id":"resp_1","previous_response_\u0069d":"r\u0065sp_2"}"#, Some("resp_2")),
            (r#"{"previous_response_id":null}"#, None),
            (r#"{"input":[{"previous_response_id":"resp_1"}]}"#, None),
        ] {
            let peek = crate::openai::peek(body.as_bytes()).expect("an object");
            assert_eq!(previous_response(&peek, body.as_bytes()).as_deref(), id, "{body}");
            assert!(!is_background(&peek, body.as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), is_stream: bool) {
            let _ = response_id(&bytes, is_stream);
        }
    }
}
