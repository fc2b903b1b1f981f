//! Looks into multipart forms (RFC 7578) once: where the fields are, which model is named. Files are jumped over.
//!
//! vLLM reads forms with Starlette and python-multipart (0.0.20 and later), whose reading differs from the RFCs in places. A
//! form that both would not read alike is refused: its settings would be applied to another field than the engine's.

use std::borrow::Cow;

use memchr::memmem;
use smallvec::SmallVec;
use thiserror::Error;

use super::json::Span;
use super::object::TooManyMembers;
use super::{ApiError, Code};

/// Largest header block of one part. A handful of short lines in practice.
const MAX_HEADERS: usize = 16 * 1024;

/// Most parts of one form.
const MAX_PARTS: usize = 1000;

/// Longest boundary (RFC 2046 § 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// Longest model name, in bytes, as in JSON bodies.
const MAX_MODEL: usize = 4096;

/// What one look into a form tells. Holds offsets: good for exactly the bytes it was made from.
#[derive(Clone, Debug)]
pub struct FormPeek {
    pub(super) parts: SmallVec<[Part; 8]>,
    /// `--boundary`
    pub(super) delimiter: Box<str>,
    /// Offset of the closing delimiter.
    pub(super) close: u32,
    model: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) name: Box<str>,
    /// From its delimiter to the next one.
    pub(super) whole: Span,
    /// Its content.
    pub(super) value: Span,
    /// Whether it was sent with a file name.
    pub(super) file: bool,
}

impl FormPeek {
    /// The model it names; `None` when it names none.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Its fields in their order: name, whether it is a file, content. `body` is what the form was made from.
    pub fn fields<'f>(&'f self, body: &'f [u8]) -> impl Iterator<Item = (&'f str, bool, &'f [u8])> {
        self.parts.iter().map(|part| (&*part.name, part.file, part.value.of(body)))
    }
}

/// Why a form is refused. None of these reaches an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadForm {
    /// Nothing was sent.
    #[error("the request has no body; send a multipart/form-data form")]
    Empty,
    /// Offsets would not fit.
    #[error("the form is larger than 4 GiB; send less")]
    TooLarge,
    /// It begins with something else.
    #[error("the form does not begin with the boundary that its Content-Type names; send nothing before it")]
    NoDelimiter,
    /// The form was cut.
    #[error("the form ends without its closing boundary; send all of it")]
    NotClosed,
    /// Something else than a line break follows.
    #[error("byte {at} of the form: after a boundary only a line break or `--` may follow")]
    BadDelimiter {
        /// Offset of the delimiter.
        at: usize,
    },
    /// Not `name: value` lines up to an empty line, or too many.
    #[error("byte {at} of the form: the part's headers are malformed or larger than 16 KiB")]
    BadHeaders {
        /// Offset of the part's headers.
        at: usize,
    },
    /// Nothing to address it by, or two things.
    #[error("byte {at} of the form: the part needs one `Content-Disposition: form-data; name=\"…\"` header")]
    NoName {
        /// Offset of the part's headers.
        at: usize,
    },
    /// An attack or a mistake.
    #[error("the form has more than {MAX_PARTS} parts; send fewer")]
    TooManyParts,
    /// We could route by one and the engine serve the other.
    #[error("`model` is given more than once; send it once")]
    ModelTwice,
    /// A file, too long, or not text.
    #[error("`model` is not a text field of at most {MAX_MODEL} bytes of UTF-8; send the model's name")]
    ModelNotText,
    /// An attack or a mistake, in an object that settings look into.
    #[error("an object of the form that settings are for has more than 4096 members; send fewer")]
    TooManyNested,
    /// The text would end its field and begin another.
    #[error(
        "the form's boundary stands at the beginning of a line of what the model's settings write into the form; send it \
         with another boundary, such as a long random one"
    )]
    BoundaryInside,
}

impl From<TooManyMembers> for BadForm {
    fn from(_: TooManyMembers) -> Self {
        Self::TooManyNested
    }
}

impl From<BadForm> for ApiError {
    fn from(bad: BadForm) -> Self {
        let message = bad.to_string();
        match bad {
            BadForm::Empty => Self::new(Code::MissingBody, message),
            BadForm::TooLarge => Self::new(Code::BodyTooLarge, message),
            BadForm::ModelTwice => Self::new(Code::DuplicateModel, message),
            BadForm::ModelNotText => Self::new(Code::InvalidModel, message),
            BadForm::TooManyNested => Self::new(Code::TooManyMembers, message),
            _ => Self::new(Code::InvalidMultipart, message),
        }
    }
}

/// The boundary in a `Content-Type` header; `None` unless it is `multipart/form-data` with exactly one usable boundary.
#[must_use]
pub fn boundary_of(content_type: &str) -> Option<String> {
    let (kind, parameters) = parameters(content_type)?;
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = only(&parameters, "boundary")?;
    // Engines decode names and texts by it.
    let charset = only(&parameters, "charset");
    let is_utf8 = charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"));
    if !is_utf8 || parameters.iter().any(|(key, _)| key.contains('*') || key == "charset" && charset.is_none()) {
        return None;
    }
    let usable = (1..=MAX_BOUNDARY).contains(&boundary.len())
        && boundary.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !boundary.ends_with(' ');
    usable.then(|| boundary.into())
}

/// Notes where the parts of the form `body` are. Of its contents, only `model` is read.
///
/// # Errors
/// The form is refused; see [`BadForm`].
pub fn peek_form(body: &[u8], boundary: &str) -> Result<FormPeek, BadForm> {
    if body.is_empty() {
        return Err(BadForm::Empty);
    }
    if u32::try_from(body.len()).is_err() {
        return Err(BadForm::TooLarge);
    }
    let line = format!("\r\n--{boundary}");
    let delimiter = line.strip_prefix("\r\n").unwrap_or_default();
    let finder = memmem::Finder::new(&line);
    let next = |from: usize| finder.find(body.get(from..)?).map(|at| from + at);

    let mut form = FormPeek { parts: SmallVec::new(), delimiter: delimiter.into(), close: 0, model: None };
    let mut at = body.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if !body[at..].starts_with(delimiter.as_bytes()) {
        return Err(BadForm::NoDelimiter);
    }
    loop {
        let rest = body.get(at + delimiter.len()..).unwrap_or_default();
        if rest.starts_with(b"--") {
            form.close = Span::new(at, at).start;
            return Ok(form);
        }
        if rest.len() < 2 {
            return Err(BadForm::NotClosed);
        }
        // RFC 2046 allows padding, but neither clients nor engines know it.
        if !rest.starts_with(b"\r\n") {
            return Err(BadForm::BadDelimiter { at });
        }
        if form.parts.len() == MAX_PARTS {
            return Err(BadForm::TooManyParts);
        }
        let headers = at + delimiter.len() + 2;
        let (name, file, content) = head(body, headers)?;
        let end = next(content).ok_or(BadForm::NotClosed)?;
        let value = Span::new(content, end);
        let whole = Span::new(at, end + b"\r\n".len());
        if &*name == "model" {
            if form.model.is_some() {
                return Err(BadForm::ModelTwice);
            }
            form.model = Some(model(value.of(body), file)?);
        }
        form.parts.push(Part { name, whole, value, file });
        at = end + b"\r\n".len();
    }
}

fn model(value: &[u8], file: bool) -> Result<Box<str>, BadForm> {
    if file || value.len() > MAX_MODEL {
        return Err(BadForm::ModelNotText);
    }
    std::str::from_utf8(value).map(Box::from).map_err(|_| BadForm::ModelNotText)
}

/// Reads the headers at `at`: the field's name, whether it is a file, and where its content begins.
fn head(body: &[u8], at: usize) -> Result<(Box<str>, bool, usize), BadForm> {
    let bad = BadForm::BadHeaders { at };
    let window = body.get(at..body.len().min(at + MAX_HEADERS)).unwrap_or_default();
    if window.starts_with(b"\r\n") {
        return Err(BadForm::NoName { at });
    }
    let length = match memmem::find(window, b"\r\n\r\n") {
        Some(length) => length,
        None if at + window.len() == body.len() && window.len() < MAX_HEADERS => return Err(BadForm::NotClosed),
        None => return Err(bad),
    };
    let text = String::from_utf8_lossy(&window[..length]);
    let mut disposition = None;
    for line in text.split("\r\n") {
        // No folded lines, no lone line breaks: engines may read them otherwise than we do.
        let (name, value) = line.split_once(':').ok_or(bad)?;
        if !is_token(name) || value.contains(|c: char| c.is_ascii_control() && c != '\t') {
            return Err(bad);
        }
        if name.eq_ignore_ascii_case("content-disposition") && disposition.replace(value).is_some() {
            return Err(BadForm::NoName { at });
        }
    }
    let no_name = BadForm::NoName { at };
    let (kind, parameters) = disposition.and_then(parameters).ok_or(no_name)?;
    // `name*` and `name*0` are not for forms (RFC 7578 § 5.1), but Python lets them win over `name`.
    let continued = |key: &str| key.contains('*') && !key.starts_with("filename*");
    if !kind.eq_ignore_ascii_case("form-data") || parameters.iter().any(|(key, _)| continued(key)) {
        return Err(no_name);
    }
    let name = only(&parameters, "name").ok_or(no_name)?;
    let has = |name: &str| parameters.iter().any(|(key, _)| key.starts_with(name));
    let file = parameters.iter().any(|(key, _)| key == "filename");
    if !file && has("filename*") {
        // Whether that is a file depends on the parser's age.
        return Err(no_name);
    }
    Ok((name.into(), file, at + length + b"\r\n\r\n".len()))
}

type Parameters<'a> = SmallVec<[(String, Cow<'a, str>); 4]>;

/// The one value of `key`; `None` when there is none or more than one.
fn only<'p>(parameters: &'p Parameters<'_>, key: &str) -> Option<&'p str> {
    let mut values = parameters.iter().filter(|(name, _)| name == key).map(|(_, value)| &**value);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Splits `kind; key=value; key="va\"lue"`, keys in lower case; `None` when it is not of this form, or Python's `email` package
/// would split it elsewhere.
fn parameters(text: &str) -> Option<(&str, Parameters<'_>)> {
    let (kind, mut rest) = text.split_once(';').unwrap_or((text, ""));
    let mut found = Parameters::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Some((kind.trim_matches([' ', '\t']), found));
        }
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start_matches([' ', '\t']);
        let value = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, left) = unquote(quoted)?;
                rest = left.trim_start_matches([' ', '\t']);
                if !rest.is_empty() && !rest.starts_with(';') {
                    return None;
                }
                value
            }
            None => {
                let (value, left) = after.split_once(';').unwrap_or((after, ""));
                rest = left;
                if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic() && !b"\"\\<>".contains(&byte)) {
                    return None;
                }
                Cow::Borrowed(value.trim_end_matches(' '))
            }
        };
        let key = key.trim_end_matches([' ', '\t']);
        if !is_token(key) {
            return None;
        }
        found.push((key.to_ascii_lowercase(), value));
    }
}

/// Whether `text` is a token (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// The text of a quoted string after its first quote, and what follows it. A backslash before anything but a quote or
/// a backslash stands for itself, as in the paths that old browsers send.
fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut escaped = false;
    let mut escapes = false;
    let end = text.find(|c: char| {
        let end = c == '"' && !escaped;
        escapes |= c == '\\';
        escaped = c == '\\' && !escaped;
        end
    })?;
    let value = text.get(..end)?;
    // Python takes any quote after a backslash for a part of the text.
    if value.contains("\\\\\"") || value.ends_with('\\') {
        return None;
    }
    let value = if escapes { Cow::Owned(unescape(value)) } else { Cow::Borrowed(value) };
    Some((value, text.get(end + 1..)?))
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => chars.next_if(|next| matches!(next, '"' | '\\')).unwrap_or(c),
            c => c,
        });
    }
    text
}

#[cfg(test)]
mod tests;
