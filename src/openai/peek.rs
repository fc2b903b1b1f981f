//! Looks into a JSON request body once: checks all of it and notes where its top-level members are.

use smallvec::SmallVec;
use thiserror::Error;

use super::json::{self, Member, Scanner, Span, SyntaxError};
use super::plain_runs::PlainRuns;
use super::text::{decode, equals};
use super::{ApiError, Code};

/// Members of the top level. Requests have some twenty; millions would cost more memory than the body.
const MAX_MEMBERS: usize = 4096;

/// Longest model name, in bytes: it is copied, logged and quoted in replies.
const MAX_MODEL: usize = 4096;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What one look into a body tells. Holds offsets: good for exactly the bytes it was made from.
#[derive(Clone, Debug)]
pub struct Peek {
    pub(super) members: SmallVec<[Member; 24]>,
    /// The object, braces included.
    pub(super) object: Span,
    model: Option<Box<str>>,
    bom: bool,
}

impl Peek {
    /// The model it names, escapes decoded; `None` when it names none.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether it begins with a byte order mark, which must not be sent on (RFC 8259 § 8.1).
    #[must_use]
    pub fn bom(&self) -> bool {
        self.bom
    }

    /// Where JSON begins: 3 after a byte order mark, otherwise 0.
    #[must_use]
    pub fn start(&self) -> usize {
        if self.bom { BOM.len() } else { 0 }
    }
}

/// Why a body is refused. None of these reaches an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadBody {
    /// Nothing but white space.
    #[error("the request has no body; send a JSON object")]
    Empty,
    /// Offsets would not fit.
    #[error("the request body is larger than 4 GiB; send less")]
    TooLarge,
    /// Not text.
    #[error("the request body is not UTF-8: byte {at} begins no character; send JSON encoded as UTF-8")]
    Utf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// Not JSON.
    #[error("{0}; send a valid JSON object")]
    Json(#[from] SyntaxError),
    /// JSON, but not an object.
    #[error("the request body is {0}; send a JSON object")]
    NotObject(&'static str),
    /// An attack or a mistake.
    #[error("the request body has more than {MAX_MEMBERS} top-level members; send fewer")]
    TooManyMembers,
    /// The same, in an object that settings look into.
    #[error("an object of the request body that settings are for has more than 4096 members; send fewer")]
    TooManyNested,
    /// We could route by one and the engine serve the other.
    #[error("`model` is given more than once; send it once")]
    ModelTwice,
    /// `null`, a number, …
    #[error("`model` is {0}; send the model's name as a string")]
    ModelNotString(&'static str),
    /// Half of a surrogate pair.
    #[error("`model` holds half of a surrogate pair and so is no text; send the model's name")]
    ModelNotText,
    /// No name is that long.
    #[error("`model` is longer than {MAX_MODEL} bytes; send the model's name")]
    ModelTooLong,
}

impl From<BadBody> for ApiError {
    fn from(bad: BadBody) -> Self {
        let code = match bad {
            BadBody::Empty => Code::MissingBody,
            BadBody::TooLarge => Code::BodyTooLarge,
            BadBody::Utf8 { .. } => Code::InvalidUtf8,
            BadBody::Json(_) => Code::InvalidJson,
            BadBody::NotObject(_) => Code::NotAnObject,
            BadBody::TooManyMembers | BadBody::TooManyNested => Code::TooManyMembers,
            BadBody::ModelTwice => Code::DuplicateModel,
            BadBody::ModelNotString(_) | BadBody::ModelNotText | BadBody::ModelTooLong => Code::InvalidModel,
        };
        Self::new(code, bad.to_string())
    }
}

/// Checks all of `body` and notes its top-level members, in one pass. Nested text that looks like a member is not seen.
///
/// Keys are compared decoded. Of members given twice the last counts, as in Python's `json`; but `model` must be unique.
///
/// # Errors
/// The body is refused; see [`BadBody`].
pub fn peek(body: &[u8]) -> Result<Peek, BadBody> {
    peek_seen(body, &PlainRuns::default())
}

/// The same, where `runs` of exactly this body were seen as it came.
///
/// # Errors
/// The body is refused; see [`BadBody`].
pub fn peek_seen(body: &[u8], runs: &PlainRuns) -> Result<Peek, BadBody> {
    if u32::try_from(body.len()).is_err() {
        return Err(BadBody::TooLarge);
    }
    let bom = body.starts_with(BOM);
    let mut scanner = Scanner::new(body, if bom { BOM.len() } else { 0 }).passing(runs.runs());
    let looked = look(&mut scanner, body, bom);
    // Most bodies are ASCII, and need no look at their characters. That bytes are no text says more than any other error.
    if (looked.is_err() || !scanner.is_ascii()) && simdutf8::basic::from_utf8(body).is_err() {
        let at = simdutf8::compat::from_utf8(body).err().map_or(0, |error| error.valid_up_to());
        return Err(BadBody::Utf8 { at });
    }
    looked
}

/// Looks into what may be no text.
fn look(scanner: &mut Scanner<'_>, body: &[u8], bom: bool) -> Result<Peek, BadBody> {
    scanner.space();
    match scanner.byte() {
        Some(b'{') => {}
        None => return Err(BadBody::Empty),
        first => {
            scanner.value(0)?;
            scanner.end()?;
            return Err(BadBody::NotObject(json::kind(first)));
        }
    }
    let mut members: SmallVec<[Member; 24]> = SmallVec::new();
    let (mut named, mut model) = (false, None);
    let object = scanner.members(|member| {
        if members.len() == MAX_MEMBERS {
            return Err(BadBody::TooManyMembers);
        }
        members.push(member);
        if equals(member.key.of(body), "model") {
            if std::mem::replace(&mut named, true) {
                return Err(BadBody::ModelTwice);
            }
            model = name(member.value.of(body))?;
        }
        Ok(())
    })?;
    scanner.end()?;
    Ok(Peek { members, object, model, bom })
}

/// The text of the JSON value `raw`, which must be a string; `null` names nothing, as for vLLM.
fn name(raw: &[u8]) -> Result<Option<Box<str>>, BadBody> {
    if raw == b"null" {
        return Ok(None);
    }
    let [b'"', inside @ .., b'"'] = raw else {
        return Err(BadBody::ModelNotString(json::kind(raw.first().copied())));
    };
    if inside.len() > MAX_MODEL {
        return Err(BadBody::ModelTooLong);
    }
    Ok(Some(decode(inside).ok_or(BadBody::ModelNotText)?.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model(body: &str) -> Result<Option<String>, BadBody> {
        peek(body.as_bytes()).map(|peek| peek.model().map(String::from))
    }

    #[test]
    fn finds_the_model_wherever_it_is() {
        for body in [
            r#"{"model":"a/b"}"#,
            r#" { "x" : [ { "model" : "no" } ] , "model" : "a/b" } "#,
            r#"{"messages":[{"content":"{\"model\":\"no\"}","model":"no"}],"model":"a\/b"}"#,
            r#"{"mod\u0065l":"\u0061/b"}"#,
            "\u{feff}{\"model\":\"a/b\"}",
        ] {
            assert_eq!(model(body), Ok(Some("a/b".into())), "{body}");
        }
        assert_eq!(model(r#"{"model":"\ud83d\ude00"}"#), Ok(Some("😀".into())));
        assert_eq!(model(r#"{"Model":"a","x":{"model":"b"}}"#), Ok(None));
        assert_eq!(model("{}"), Ok(None));
        assert_eq!(model(r#"{"model":null}"#), Ok(None));
    }

    #[test]
    fn a_byte_order_mark_is_seen_and_jumped() {
        let with = peek("\u{feff}{}".as_bytes()).expect("fine");
        assert!(with.bom() && with.start() == 3);
        let without = peek(b" {}").expect("fine");
        assert!(!without.bom() && without.start() == 0);
    }

    #[test]
    fn refuses_with_a_reason_and_a_remedy() {
        let many = format!("{{{}\"z\":1}}", "\"a\":1,".repeat(MAX_MEMBERS));
        let long = format!("{{\"model\":\"{}\"}}", "m".repeat(MAX_MODEL + 1));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(256), "]".repeat(256));
        for (body, bad, code) in [
            (&b""[..], BadBody::Empty, "missing_body"),
            (b" \n", BadBody::Empty, "missing_body"),
            (b"\xef\xbb\xbf", BadBody::Empty, "missing_body"),
            (b"{\"a\":\"\xff\"}", BadBody::Utf8 { at: 6 }, "invalid_utf8"),
            (b"{\"a\":\"\xed\xa0\x80\"}", BadBody::Utf8 { at: 6 }, "invalid_utf8"),
            (b"[{\"model\":\"a\"}]", BadBody::NotObject("an array"), "not_an_object"),
            (b"\"{}\"", BadBody::NotObject("a string"), "not_an_object"),
            (b"12", BadBody::NotObject("a number"), "not_an_object"),
            (b"{\"model\":\"a\",\"model\":\"a\"}", BadBody::ModelTwice, "duplicate_model"),
            (b"{\"model\":\"a\",\"mode\\u006c\":\"b\"}", BadBody::ModelTwice, "duplicate_model"),
            (b"{\"model\":null,\"model\":\"a\"}", BadBody::ModelTwice, "duplicate_model"),
            (b"{\"model\":1}", BadBody::ModelNotString("a number"), "invalid_model"),
            (b"{\"model\":{\"model\":\"a\"}}", BadBody::ModelNotString("an object"), "invalid_model"),
            (b"{\"model\":\"\\ud800\"}", BadBody::ModelNotText, "invalid_model"),
            (many.as_bytes(), BadBody::TooManyMembers, "too_many_members"),
            (long.as_bytes(), BadBody::ModelTooLong, "invalid_model"),
        ] {
            assert_eq!(peek(body).expect_err(code), bad, "{}", String::from_utf8_lossy(body));
            let error = ApiError::from(bad);
            assert_eq!((error.status, error.code, error.kind), (400, code, "invalid_request_error"));
            assert_eq!(error.param.as_deref(), code.contains("model").then_some("model"));
        }
        for body in [&b"{"[..], b"{} {}", b"{\"model\":\"a\"", b"{'model':'a'}", b"{\"a\":NaN}", deep.as_bytes()] {
            assert!(matches!(peek(body), Err(BadBody::Json(_))), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn huge_numbers_and_lone_surrogates_elsewhere_pass() {
        let digits = "9".repeat(4000);
        for body in [format!("{{\"seed\":{digits}}}"), r#"{"a":1e999,"b":"\udc00","\ud800":1}"#.into()] {
            assert!(peek(body.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn a_large_body_is_read_whole() {
        let body = format!("{{\"prompt\":\"{}\",\"model\":\"m\"}}", "lorem ipsum ".repeat(700_000));
        assert_eq!(model(&body), Ok(Some("m".into())));
        assert!(peek(&body.as_bytes()[..body.len() - 1]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = peek(&bytes);
        }

        #[test]
        fn what_is_no_text_is_refused_wherever_it_is(
            text in "[ -~äß€😀]{0,90}", cut in any::<prop::sample::Index>(), with in prop::collection::vec(128_u8.., 1..4),
        ) {
            let mut body = serde_json::json!({ "model": "m", "prompt": text, "user": "u" }).to_string().into_bytes();
            prop_assert!(peek(&body).is_ok());
            let at = cut.index(body.len());
            body.splice(at..at, with);
            match std::str::from_utf8(&body) {
                Err(error) => prop_assert_eq!(peek(&body).err(), Some(BadBody::Utf8 { at: error.valid_up_to() })),
                Ok(text) => prop_assert_eq!(peek(&body).is_ok(), serde_json::from_str::<serde_json::Value>(text).is_ok()),
            }
        }

        #[test]
        fn members_are_where_they_are(object in crate::openai::testing::object(3)) {
            let text = serde_json::Value::Object(object.clone()).to_string();
            let peek = peek(text.as_bytes()).expect("an object");
            prop_assert_eq!(peek.members.len(), object.len());
            prop_assert_eq!(peek.object.of(text.as_bytes()), text.as_bytes());
            for (member, (key, value)) in peek.members.iter().zip(&object) {
                prop_assert!(equals(member.key.of(text.as_bytes()), key));
                let value = value.to_string();
                prop_assert_eq!(member.value.of(text.as_bytes()), value.as_bytes());
            }
        }
    }
}
