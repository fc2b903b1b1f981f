//! From the bytes of a body to the target they name.

use http::{HeaderMap, header};
use pingora::proxy::Session;

use super::Table;
use crate::openai::{self, ApiError, BodyKind, Code};

/// What was seen of a body.
pub(super) enum Peeked {
    Json(openai::Peek),
    Form(openai::FormPeek),
}

impl Peeked {
    fn model(&self) -> Option<&str> {
        match self {
            Self::Json(peek) => peek.model(),
            Self::Form(peek) => peek.model(),
        }
    }
}

/// The media type of a header value, without parameters, in lower case.
fn media_type(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn content_type(session: &Session) -> Option<&str> {
    session.req_header().headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Refuses what is not in the format of the route, before its body is read.
pub(super) fn check_content_type(session: &Session, kind: BodyKind) -> Result<(), ApiError> {
    let given = content_type(session).map(media_type);
    let (fits, wanted) = match (kind, given.as_deref()) {
        (BodyKind::Json, Some(given)) => (given == "application/json" || given.ends_with("+json"), "application/json"),
        (BodyKind::Multipart, Some(given)) => (given == "multipart/form-data", "multipart/form-data"),
        (BodyKind::Json, None) => (false, "application/json"),
        (BodyKind::Multipart, None) => (false, "multipart/form-data"),
    };
    if fits {
        return Ok(());
    }
    let got = given.unwrap_or_else(|| "none".into());
    let message = format!("Content-Type must be {wanted}; it is {got}.");
    Err(ApiError::new(Code::UnsupportedMediaType, message))
}

/// The boundary of a multipart request.
pub(super) fn boundary(session: &Session) -> Option<String> {
    content_type(session).and_then(openai::boundary_of)
}

/// Reads what is needed of a body, and checks that all of it is well-formed.
pub(super) fn peek(kind: BodyKind, boundary: Option<&str>, body: &[u8]) -> Result<Peeked, ApiError> {
    match (kind, boundary) {
        (BodyKind::Json, _) => Ok(Peeked::Json(openai::peek(body)?)),
        (BodyKind::Multipart, Some(boundary)) => Ok(Peeked::Form(openai::peek_form(body, boundary)?)),
        (BodyKind::Multipart, None) => {
            Err(ApiError::new(Code::MissingBoundary, "Content-Type has no boundary parameter (RFC 7578, 4.1)."))
        }
    }
}

/// The target that was come to by its own `door`, whatever the request names, or else the one that `peeked` names.
pub(super) fn target(
    table: &Table,
    door: Option<&str>,
    peeked: &Peeked,
    headers: &HeaderMap,
    caller: Option<&str>,
) -> Result<usize, ApiError> {
    let Some(name) = door.or(peeked.model()) else {
        let message = "The request names no model: set `model` to one of GET /v1/models.";
        return Err(ApiError::new(Code::MissingModel, message));
    };
    let at = table.find(name).ok_or_else(|| unknown(table, name))?;
    Ok(table.part(at, headers, caller))
}

/// 404 with near names.
pub(super) fn unknown(table: &Table, name: &str) -> ApiError {
    let shown: String = name.chars().take(128).collect();
    if let Some(adapter) = table.snapshot.orphan(name) {
        let message = format!("`{shown}` is an alias of the LoRA adapter `{adapter}`, which is not loaded.");
        return ApiError::new(Code::ModelNotFound, message);
    }
    let near = table.snapshot.near(name);
    let hint = match near.as_slice() {
        [] => "GET /v1/models lists what there is.".to_owned(),
        [one] => format!("Did you mean `{one}`?"),
        many => {
            let names: Vec<_> = many.iter().map(|name| format!("`{name}`")).collect();
            format!("Did you mean one of {}?", names.join(", "))
        }
    };
    ApiError::new(Code::ModelNotFound, format!("The model `{shown}` does not exist. {hint}"))
}
