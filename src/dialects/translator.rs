//! One request's translation: what was asked of the engine, and its answer as the caller's API tells it.

use serde_json::Value;

use super::calls::Calls;
use super::frames::Frames;
use super::messages;
use super::pieces::{Finish, Piece, Tokens, of_message};
use super::responses;
use super::{ask, blame};
use crate::openai::{ApiError, Code, Dialect};

/// Most that is kept of one answer. Far above what an engine's context holds; below what would hurt the house.
const MAX_KEPT: usize = 64 << 20;

/// What a token's probabilities take in memory, about, for each alternative.
const LOGPROB_SIZE: usize = 512;

/// What an item or block takes, about, however little it says.
const ITEM_SIZE: usize = 1024;

/// The API a caller speaks where the engine knows Chat Completions only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// `/v1/responses` (OpenAI API reference, Responses).
    Responses,
    /// `/v1/messages` (Anthropic API reference, Messages).
    Messages,
}

impl Spoken {
    /// The shape of its streams and errors.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Responses => Dialect::Responses,
            Self::Messages => Dialect::Anthropic,
        }
    }
}

/// The chat request for the engine, and what is needed to translate its answer. `model` stays as the caller sent it.
///
/// # Errors
///
/// The body is no such request, or asks for what a chat engine cannot do: a 400 that names the member and the reason.
pub fn to_chat(spoken: Spoken, body: &[u8]) -> Result<(Vec<u8>, Translator), ApiError> {
    let asked = ask::members(body)?;
    let streams = ask::flag(&asked, "stream")?;
    let (chat, voice) = match spoken {
        Spoken::Responses => responses::to_chat(asked).map(|(chat, writer)| (chat, Voice::Responses(writer)))?,
        Spoken::Messages => messages::to_chat(asked).map(|(chat, writer)| (chat, Voice::Messages(writer)))?,
    };
    Ok((Value::Object(chat).to_string().into_bytes(), Translator::new(spoken, streams, voice)))
}

/// Who tells the answer.
#[derive(Clone, Debug)]
enum Voice {
    Responses(responses::Writer),
    Messages(messages::Writer),
}

/// Translates the answer to one request.
#[derive(Clone, Debug)]
pub struct Translator {
    spoken: Spoken,
    streams: bool,
    voice: Voice,
    frames: Frames,
    calls: Calls,
    finish: Option<Finish>,
    tokens: Option<Tokens>,
    kept: usize,
    /// The kind of the piece before: another kind begins another item.
    before: Option<u8>,
    started: bool,
    done: bool,
}

impl Translator {
    fn new(spoken: Spoken, streams: bool, voice: Voice) -> Self {
        Self {
            spoken,
            streams,
            voice,
            frames: Frames::default(),
            calls: Calls::default(),
            finish: None,
            tokens: None,
            kept: 0,
            before: None,
            started: false,
            done: false,
        }
    }

    /// The API the caller speaks.
    #[must_use]
    pub fn spoken(&self) -> Spoken {
        self.spoken
    }

    /// Whether the caller asked for a stream.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// The name answers give in `model`; without it, the one the caller asked for.
    pub fn set_model(&mut self, name: &str) {
        match &mut self.voice {
            Voice::Responses(writer) => writer.set_model(name),
            Voice::Messages(writer) => writer.set_model(name),
        }
    }

    /// The caller's JSON for an engine's `chat.completion`.
    ///
    /// # Errors
    ///
    /// The engine's answer is none, or says that the engine gave up: a 502.
    pub fn answer(&mut self, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        let answer: Value = serde_json::from_slice(body).map_err(|error| {
            ApiError::new(Code::EngineAnswer, format!("The engine's answer is not valid JSON: {error}."))
        })?;
        if answer.get("error").is_some_and(|error| !error.is_null()) {
            return Err(blame::from_value(self.spoken, blame::status(&answer), &answer));
        }
        let choice = answer.pointer("/choices/0").ok_or_else(|| {
            ApiError::new(Code::EngineAnswer, "The engine's answer holds no choice: it is no chat completion.")
        })?;
        self.tokens = answer.get("usage").and_then(Tokens::of);
        match &mut self.voice {
            Voice::Responses(writer) => writer.quiet(answer["created"].as_u64()),
            Voice::Messages(writer) => writer.quiet(),
        }
        let mut nothing = Vec::new();
        for piece in of_message(&choice["message"], &choice["logprobs"]) {
            self.piece(piece, &mut nothing)?;
        }
        let finish = unbroken(Finish::of(choice).unwrap_or(Finish::Stop))?;
        let whole = match &mut self.voice {
            Voice::Responses(writer) => writer.finish(&finish, self.tokens, &mut nothing),
            Voice::Messages(writer) => {
                writer.finish(&finish, self.tokens, &mut nothing);
                writer.whole(&finish, self.tokens)
            }
        };
        self.done = true;
        Ok(whole.to_string().into_bytes())
    }

    /// The caller's error body for an engine's reply with `status` and `body`; the status stays.
    #[must_use]
    pub fn error(&self, status: u16, body: &[u8]) -> Vec<u8> {
        blame::body(self.spoken, status, body)
    }

    /// Takes the next bytes of the engine's event stream, in any split, and writes the caller's events that they complete.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while !rest.is_empty() && !self.done {
            let outcome = match self.frames.next(rest) {
                Ok((event, taken)) => {
                    rest = &rest[taken..];
                    event.map_or(Ok(()), |data| self.event(&data, out))
                }
                Err(_) => Err(ApiError::new(
                    Code::EngineStream,
                    "The engine sent an event of more than 16 MiB; the answer cannot go on.",
                )),
            };
            if let Err(error) = outcome {
                self.fail(&error, out);
            }
        }
    }

    /// Ends a stream that cannot go on (the engine died, the house drains) with the events that say so. Nothing after a
    /// stream's end.
    pub fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        match &mut self.voice {
            Voice::Responses(writer) => {
                if !std::mem::replace(&mut self.started, true) {
                    writer.start(None, out);
                }
                writer.fail(error, self.tokens, out);
            }
            Voice::Messages(_) => out.extend_from_slice(error.event(Dialect::Anthropic, true).as_bytes()),
        }
    }

    /// The engine's stream has ended: with a whole answer, or else with an error.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        // A last event may lack its empty line.
        self.feed(b"\n\n", out);
        if !self.done {
            match self.finish.take() {
                Some(finish) => self.close(&finish, out),
                None => self.fail(&ended(), out),
            }
        }
    }

    /// Whether the caller's stream is over: complete, or failed.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), ApiError> {
        if data.trim_ascii() == b"[DONE]" {
            let finish = self.finish.take().ok_or_else(ended)?;
            self.close(&finish, out);
            return Ok(());
        }
        let chunk: Value = serde_json::from_slice(data).map_err(|error| {
            ApiError::new(Code::EngineStream, format!("The engine sent an event that is not JSON: {error}."))
        })?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Err(blame::from_value(self.spoken, blame::status(&chunk), &chunk));
        }
        self.tokens = chunk.get("usage").and_then(Tokens::of).or(self.tokens);
        if !std::mem::replace(&mut self.started, true) {
            match &mut self.voice {
                Voice::Responses(writer) => writer.start(chunk["created"].as_u64(), out),
                Voice::Messages(writer) => writer.start(self.tokens, out),
            }
        }
        // Only one choice was asked for.
        let choices = chunk["choices"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(choice) = choices.iter().find(|choice| choice["index"].as_u64().unwrap_or(0) == 0) else {
            return Ok(());
        };
        for piece in of_message(&choice["delta"], &choice["logprobs"]) {
            self.piece(piece, out)?;
        }
        if let Some(finish) = Finish::of(choice) {
            self.finish = Some(unbroken(finish)?);
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let begun = self.calls.len();
        let (kind, slot) = match piece {
            Piece::Reasoning(_) => (0, 0),
            // Tokens without text begin nothing.
            Piece::Text("", _) => (self.before.unwrap_or(u8::MAX), 0),
            Piece::Text(..) => (1, 0),
            Piece::Refusal(_) => (2, 0),
            Piece::Call(call) => (3, self.calls.slot(call.index, call.id)),
        };
        let another = self.before.replace(kind) != Some(kind) || self.calls.len() > begun;
        self.kept = self.kept.saturating_add(size(&piece) + if another { ITEM_SIZE } else { 0 });
        if self.kept > MAX_KEPT {
            return Err(ApiError::new(Code::EngineStream, "The engine's answer is longer than 64 MiB."));
        }
        match &mut self.voice {
            Voice::Responses(writer) => writer.piece(piece, slot, out),
            Voice::Messages(writer) => writer.piece(piece, slot, out),
        }
        Ok(())
    }

    fn close(&mut self, finish: &Finish, out: &mut Vec<u8>) {
        self.done = true;
        match &mut self.voice {
            Voice::Responses(writer) => {
                writer.finish(finish, self.tokens, out);
            }
            Voice::Messages(writer) => writer.finish(finish, self.tokens, out),
        }
    }
}

fn ended() -> ApiError {
    ApiError::new(Code::EngineDied, "The engine ended its stream before the answer was complete.")
}

/// What ended an answer, unless the engine gave it up.
fn unbroken(finish: Finish) -> Result<Finish, ApiError> {
    match finish {
        Finish::Broken(why) => Err(ApiError::new(
            Code::EngineGaveUp,
            format!("The engine gave this answer up (`finish_reason` \"{why}\"); send the request again."),
        )),
        finish => Ok(finish),
    }
}

/// What keeping a piece takes, about.
fn size(piece: &Piece<'_>) -> usize {
    match piece {
        Piece::Reasoning(text) | Piece::Refusal(text) => text.len(),
        Piece::Text(text, logprobs) => {
            let alternatives = |token: &Value| token["top_logprobs"].as_array().map_or(1, |list| 1 + list.len());
            text.len() + logprobs.iter().map(alternatives).sum::<usize>() * LOGPROB_SIZE
        }
        Piece::Call(call) => call.arguments.len() + call.name.map_or(0, str::len) + call.id.map_or(0, str::len),
    }
}
