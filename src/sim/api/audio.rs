//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`: hears nothing, says what arrived.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde_json::json;

use super::answer::Answer;
use super::generate::{ApiReply, ApiRequest, Head, collect};
use super::params::Params;
use super::stream::{Events, Framing};
use crate::sim::flags::Settings;
use crate::sim::metrics::Finish;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
struct Part<'a> {
    name: String,
    file: Option<String>,
    body: &'a [u8],
}

/// Answers with the number of bytes of the file and with the form's fields.
pub(crate) async fn transcribe(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let parts = form(&request.headers, &request.body)?;
    let file = parts.iter().find(|part| part.name == "file").ok_or_else(|| Fail::missing(&["file"], parts.len()))?;
    let said: Vec<String> = parts
        .iter()
        .filter(|part| part.name != "file")
        .map(|part| format!("{}={}", part.name, String::from_utf8_lossy(part.body)))
        .collect();
    let fields = as_fields(&parts);
    let head = request.head(&fields)?;
    let params = params(&fields, &request.engine.settings)?;
    let text = format!(
        "I heard {} bytes of {} ({})",
        file.body.len(),
        file.file.as_deref().unwrap_or("a file without a name"),
        said.join(", ")
    );
    let words: Vec<String> = text.split_inclusive(' ').map(Into::into).collect();
    let mut answers = vec![Answer::fixed(words, &params, false, usize::MAX)];
    // Whisper hears 50 frames a second; take 16 kB/s as what an audio file has.
    let seconds = file.body.len().div_ceil(16_000);
    let run = request.enqueue(&params, seconds * 50, &mut answers)?;
    if params.stream {
        let answer = answers.remove(0);
        return Ok(ApiReply::stream(run, Chunks { head, answer }));
    }
    collect(run, &mut answers).await?;
    let text = answers[0].text(0, answers[0].count);
    Ok(match fields.text("response_format")? {
        Some("text") => ApiReply::Text("text/plain; charset=utf-8", text + "\n"),
        _ => ApiReply::Json(json!({ "text": text, "usage": { "type": "duration", "seconds": seconds } })),
    })
}

fn params(fields: &Fields, settings: &Settings) -> Result<Params, Fail> {
    let mut fields = fields.clone();
    // In a form even switches are text.
    let stream = fields.text("stream")?.is_some_and(|text| matches!(&*text.to_lowercase(), "true" | "1"));
    fields.0.insert("stream".into(), stream.into());
    Params::read(&fields, &[], settings)
}

fn as_fields(parts: &[Part<'_>]) -> Fields {
    let fields = parts.iter().filter(|part| part.file.is_none());
    Fields(fields.map(|part| (part.name.clone(), String::from_utf8_lossy(part.body).into_owned().into())).collect())
}

/// The parts of a `multipart/form-data` body (RFC 7578).
fn form<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Vec<Part<'a>>, Fail> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = kind
        .starts_with("multipart/form-data")
        .then(|| parameter(kind, "boundary"))
        .flatten()
        .filter(|boundary| !boundary.is_empty())
        .ok_or_else(|| Fail::missing(&["file", "model"], 0))?;
    split(body, &boundary).ok_or_else(|| Fail::bad("There was an error parsing the body", None))
}

fn split<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let fence = format!("\r\n--{boundary}");
    let finder = memchr::memmem::Finder::new(&fence);
    let mut rest = body.strip_prefix(&fence.as_bytes()[2..]).or_else(|| {
        let at = finder.find(body)?;
        Some(&body[at + fence.len()..])
    })?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let start = rest.strip_prefix(b"\r\n")?;
        let end = finder.find(start)?;
        let part = &start[..end];
        let head_end = memchr::memmem::find(part, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&part[..head_end]).into_owned();
        let disposition =
            head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:")).unwrap_or_default();
        parts.push(Part {
            name: parameter(disposition, "name")?,
            file: parameter(disposition, "filename"),
            body: &part[head_end + 4..],
        });
        rest = &start[end + fence.len()..];
    }
    Some(parts)
}

fn parameter(line: &str, name: &str) -> Option<String> {
    line.split(';').skip(1).find_map(|piece| {
        let (key, value) = piece.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// `transcription.chunk` events.
struct Chunks {
    head: Head,
    answer: Answer,
}

impl Chunks {
    fn chunk(&self, delta: &serde_json::Value, finish: Option<&str>) -> serde_json::Value {
        json!({
            "id": format!("trsc-{}", self.head.id), "object": "transcription.chunk", "created": self.head.created,
            "model": self.head.model,
            "choices": [{ "delta": delta, "finish_reason": finish, "stop_reason": null }],
        })
    }
}

impl Framing for Chunks {
    fn open(&mut self, _: &mut Events) {}

    fn step(&mut self, at: usize, abort: bool, out: &mut Events) -> usize {
        let finish = match abort {
            true => Some(Finish::Abort.word()),
            false => (at + 1 == self.answer.count).then(|| self.answer.finish.word()),
        };
        out.data(&self.chunk(&json!({ "content": self.answer.token(at) }), finish));
        1
    }

    fn close(&mut self, out: &mut Events) {
        out.done();
    }

    fn finish(&self) -> Finish {
        self.answer.finish
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_split_at_its_boundary() {
        let body = b"--X\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n--X\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRI\r\n--FF\r\n--X--\r\n";
        let parts = split(body, "X");
        let expected = [
            Part { name: "model".into(), file: None, body: b"tiny" },
            Part { name: "file".into(), file: Some("a.wav".into()), body: b"RI\r\n--FF" },
        ];
        assert_eq!(parts.as_deref(), Some(&expected[..]));
        for torn in [&b""[..], b"--X", b"--X\r\n", b"--X\r\nContent-Disposition: form-data; name=a\r\n\r\nx"] {
            assert_eq!(split(torn, "X"), None);
        }
    }
}
