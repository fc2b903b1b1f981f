//! One request's translation: the chat request for the engine, and its answer in the client's API.

use serde_json::Value;

use super::chat::ChatRequest;
use super::client_api::ClientApi;
use super::delta::{Delta, FinishReason, Usage, deltas};
use super::engine_error;
use super::members::Members;
use super::sse::SseDecoder;
use super::tool_calls::ToolCalls;
use super::writer::Writer;
use super::{members, messages, responses};
use crate::config::LateSystem;
use crate::openai::{ApiError, Code};

/// Most that is kept of one answer, in bytes. Far above what an engine's context holds; below what would hurt the gateway.
const MAX_KEPT: usize = 64 << 20;

/// What a token's probabilities take in memory, about, for each alternative.
const LOGPROB_SIZE: usize = 512;

/// What an item or block takes, about, however little it holds.
const ITEM_SIZE: usize = 1024;

/// The chat request for the engine, and the translator of its answer. `model` stays as the client sent it. `late_system`: what
/// becomes of system messages in the middle.
///
/// # Errors
///
/// The body is no such request, or asks for what a chat engine cannot do: a 400 that names the member and the reason.
pub fn to_chat(api: ClientApi, body: &[u8], late_system: LateSystem) -> Result<(Vec<u8>, Translator), ApiError> {
    let request = members::parse(body)?;
    members::flag(&request, "stream")?;
    let (chat, translator) = match api {
        ClientApi::Responses => Translator::of(responses::to_chat(request, late_system)?),
        ClientApi::Messages => Translator::of(messages::to_chat(request, late_system)?),
    };
    Ok((Value::Object(chat).to_string().into_bytes(), translator))
}

/// Translates the answer to one request.
#[derive(Clone, Debug)]
pub struct Translator {
    writer: Box<dyn Writer>,
    dropped: Vec<String>,
    sse: SseDecoder,
    calls: ToolCalls,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    kept: usize,
    /// The kind of the last delta: another kind begins another item.
    last_kind: Option<u8>,
    started: bool,
    done: bool,
}

impl Translator {
    fn of<W: Writer + 'static>(ChatRequest { members, writer, dropped }: ChatRequest<W>) -> (Members, Self) {
        let translator = Self {
            writer: Box::new(writer),
            dropped,
            sse: SseDecoder::default(),
            calls: ToolCalls::default(),
            finish: None,
            usage: None,
            kept: 0,
            last_kind: None,
            started: false,
            done: false,
        };
        (members, translator)
    }

    /// Types of the request's tools that were dropped, because nobody here can run them; each once, in visible ASCII.
    #[must_use]
    pub fn dropped_tools(&self) -> &[String] {
        &self.dropped
    }

    /// Sets the name in the answer's `model`; without it, it is the one that the client sent.
    pub fn set_model(&mut self, name: &str) {
        self.writer.set_model(name);
    }

    /// The client's JSON for an engine's `chat.completion`.
    ///
    /// # Errors
    ///
    /// The engine's answer is not one, or says that the engine aborted: a 502.
    pub fn answer(&mut self, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        let answer: Value = serde_json::from_slice(body).map_err(|error| {
            ApiError::new(Code::EngineAnswer, format!("The engine's answer is not valid JSON: {error}."))
        })?;
        self.check_error(&answer)?;
        let choice = answer.pointer("/choices/0").ok_or_else(|| {
            ApiError::new(Code::EngineAnswer, "The engine's answer is not a chat completion: it has no choice.")
        })?;
        self.usage = Usage::read(&answer["usage"]);
        self.writer.omit_events(answer["created"].as_u64());
        let mut no_events = Vec::new();
        for delta in deltas(&choice["message"], &choice["logprobs"]) {
            self.add(delta, &mut no_events)?;
        }
        let finish = FinishReason::read(choice).unwrap_or(FinishReason::Stop);
        check_aborted(&finish)?;
        self.writer.finish(&finish, self.usage, &mut no_events);
        self.done = true;
        Ok(self.writer.whole(&finish, self.usage).to_string().into_bytes())
    }

    /// The client's error body for an engine's reply with `status` and `body`; the status stays.
    #[must_use]
    pub fn error(&self, status: u16, body: &[u8]) -> Vec<u8> {
        engine_error::translate(self.writer.api(), status, body)
    }

    /// Takes the next bytes of the engine's event stream, in any split, and writes the client's events that they complete.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut rest = chunk;
        while !rest.is_empty() && !self.done {
            let result = match self.sse.next(rest) {
                Ok((event, taken)) => {
                    rest = &rest[taken..];
                    event.map_or(Ok(()), |data| self.event(&data, out))
                }
                Err(_) => Err(ApiError::new(
                    Code::EngineStream,
                    "The engine sent an event of more than 16 MiB, so the answer ends here.",
                )),
            };
            if let Err(error) = result {
                self.fail(&error, out);
            }
        }
    }

    /// Ends a stream that cannot go on (the engine died, the gateway drains) with the events that say so. Writes nothing
    /// after a stream's end.
    pub fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.done, true) {
            self.writer.fail(error, self.usage, self.started, out);
        }
    }

    /// Ends the client's stream where the engine's ended: with the whole answer, or else with an error.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        // A last event may lack its empty line.
        self.feed(b"\n\n", out);
        if !self.done
            && let Err(error) = self.finish(out)
        {
            self.fail(&error, out);
        }
    }

    /// Whether the client's stream is over: complete, or failed.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), ApiError> {
        if data.trim_ascii() == b"[DONE]" {
            return self.finish(out);
        }
        let chunk: Value = serde_json::from_slice(data).map_err(|error| {
            ApiError::new(Code::EngineStream, format!("The engine sent an event that is not JSON: {error}."))
        })?;
        self.check_error(&chunk)?;
        self.usage = Usage::read(&chunk["usage"]).or(self.usage);
        if !std::mem::replace(&mut self.started, true) {
            self.writer.start(chunk["created"].as_u64(), self.usage, out);
        }
        // Only one choice was asked for.
        let choices = chunk["choices"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(choice) = choices.iter().find(|choice| choice["index"].as_u64().unwrap_or(0) == 0) else {
            return Ok(());
        };
        for delta in deltas(&choice["delta"], &choice["logprobs"]) {
            self.add(delta, out)?;
        }
        if let Some(finish) = FinishReason::read(choice) {
            check_aborted(&finish)?;
            self.finish = Some(finish);
        }
        Ok(())
    }

    fn add(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let begun = self.calls.len();
        let (kind, call) = match delta {
            Delta::Reasoning(_) => (0, 0),
            // Tokens without text begin nothing.
            Delta::Text("", _) => (self.last_kind.unwrap_or(u8::MAX), 0),
            Delta::Text(..) => (1, 0),
            Delta::Refusal(_) => (2, 0),
            Delta::ToolCall(part) => (3, self.calls.number(part.index, part.id)),
        };
        let begins_item = self.last_kind.replace(kind) != Some(kind) || self.calls.len() > begun;
        self.kept = self.kept.saturating_add(size(&delta) + if begins_item { ITEM_SIZE } else { 0 });
        if self.kept > MAX_KEPT {
            return Err(ApiError::new(Code::EngineStream, "The engine's answer is longer than 64 MiB."));
        }
        self.writer.add(delta, call, out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let finish = self.finish.take().ok_or_else(|| {
            ApiError::new(Code::EngineDied, "The engine ended its stream before the answer was complete.")
        })?;
        self.done = true;
        self.writer.finish(&finish, self.usage, out);
        Ok(())
    }

    /// An engine's error in place of an answer or of a stream's next chunk.
    fn check_error(&self, reply: &Value) -> Result<(), ApiError> {
        if reply["error"].is_null() {
            return Ok(());
        }
        Err(engine_error::read(Some(self.writer.api()), engine_error::status(reply), reply))
    }
}

fn check_aborted(finish: &FinishReason) -> Result<(), ApiError> {
    let FinishReason::Aborted(reason) = finish else { return Ok(()) };
    Err(ApiError::new(
        Code::EngineGaveUp,
        format!("The engine aborted this answer (`finish_reason` \"{reason}\"). Send the request again."),
    ))
}

/// What keeping a delta takes, about.
fn size(delta: &Delta<'_>) -> usize {
    match delta {
        Delta::Reasoning(text) | Delta::Refusal(text) => text.len(),
        Delta::Text(text, logprobs) => {
            let alternatives = |token: &Value| token["top_logprobs"].as_array().map_or(1, |list| 1 + list.len());
            text.len() + logprobs.iter().map(alternatives).sum::<usize>() * LOGPROB_SIZE
        }
        Delta::ToolCall(call) => call.arguments.len() + call.name.map_or(0, str::len) + call.id.map_or(0, str::len),
    }
}
