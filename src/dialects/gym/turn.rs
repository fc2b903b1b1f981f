//! One request from its body to its answer: what to ask the engine, and what to make of what it says.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::audio::Files;
use super::completions::{self, Prompt};
use super::refuse::{self, Refusal, bad_answer, in_words, misshapen};
use super::schema::{self, DropRefused, Mode};
use super::stream_in::{self, Namespaces};
use super::tokens::{self, Captured, Generation};
use super::{
    Answer, Ask, GymRoute, Ids, Served, Step, length, messages, native, replay, request, responses_in, responses_out,
};
use crate::config::Gym;
use crate::openai::ApiError;

/// A request on its way. It owns all it needs: nothing of the request stays borrowed while the engine works.
pub struct Turn {
    gym: Arc<Gym>,
    model: String,
    now: u64,
    ids: Ids,
    client: Client,
    stage: Stage,
}

/// What the client wants.
enum Client {
    /// A chat completion; streaming: with usage or without.
    Chat { stream: Option<bool> },
    /// A response.
    Responses { params: Map<String, Value>, stream: Option<Namespaces> },
    /// A message.
    Messages { params: Map<String, Value>, model: Option<Value>, stream: bool },
}

/// What the engine is asked at the moment.
enum Stage {
    /// A chat completion; what was sent.
    Chat(Map<String, Value>),
    /// The prompt's tokens of a chat completion; the answer so far.
    ChatTokens(Map<String, Value>, Generation),
    /// To render a chat into a prompt; the chat.
    Render(Map<String, Value>),
    /// A completion; the prompt, and what else `/tokenize` would need.
    Completion { prompt: Value, special: Option<Value> },
    /// The prompt's tokens of a completion; the answer so far.
    CompletionTokens(Value),
    /// A response.
    Native,
    /// Nothing any more.
    Over,
}

/// Begins a request: the machine, and the first thing to do.
///
/// `now`: seconds since 1970, for answers that no engine gives. `ids`: random digits for ids, see [`super::new_id`].
/// `files`: reads a file below `audio_root`.
pub fn start(
    gym: &Arc<Gym>,
    route: GymRoute,
    served: Served<'_>,
    body: &[u8],
    now: u64,
    ids: Ids,
    files: Files<'_>,
) -> (Turn, Step) {
    let client = match route {
        GymRoute::Chat => Client::Chat { stream: None },
        GymRoute::Responses => Client::Responses { params: Map::new(), stream: None },
        GymRoute::Messages => Client::Messages { params: Map::new(), model: None, stream: false },
    };
    let (gym, model) = (Arc::clone(gym), served.model.to_owned());
    let mut turn = Turn { gym, model, now, ids, client, stage: Stage::Over };
    let step = turn.begin(body, files).unwrap_or_else(|refusal| turn.refused(&refusal));
    (turn, step)
}

impl Turn {
    /// What follows from the engine's answer to what was asked last.
    pub fn engine_said(&mut self, status: u16, body: &[u8]) -> Step {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let step = if (200..300).contains(&status) {
            self.answered(stage, body)
        } else {
            Ok(self.not_answered(&stage, status, body))
        };
        step.unwrap_or_else(|error| Step::Answer(self.failed(&error)))
    }

    /// The answer when the engine cannot be had.
    pub fn failed(&mut self, why: &ApiError) -> Answer {
        self.stage = Stage::Over;
        if let Client::Responses { stream: Some(_), .. } = self.client {
            return Answer::events(replay::failed_response(&why.message, &mut self.ids));
        }
        refuse::failed(self.route(), why)
    }

    fn route(&self) -> GymRoute {
        match self.client {
            Client::Chat { .. } => GymRoute::Chat,
            Client::Responses { .. } => GymRoute::Responses,
            Client::Messages { .. } => GymRoute::Messages,
        }
    }

    fn refused(&mut self, refusal: &Refusal) -> Step {
        Step::Answer(match refusal {
            Refusal::Error(error) => self.failed(error),
            Refusal::Invalid(_) => refuse::refused(self.route(), refusal),
        })
    }

    fn begin(&mut self, body: &[u8], files: Files<'_>) -> Result<Step, Refusal> {
        let body = refuse::bad_body(body)?;
        match self.route() {
            GymRoute::Chat => self.begin_chat(body, files),
            GymRoute::Responses => self.begin_responses(body, files),
            GymRoute::Messages => self.begin_messages(body, files),
        }
    }

    fn begin_chat(&mut self, mut body: Map<String, Value>, files: Files<'_>) -> Result<Step, Refusal> {
        if body.get("stream") == Some(&Value::Bool(true)) {
            let usage = body.get("stream_options").and_then(|options| options.get("include_usage")).is_some_and(truthy);
            body.shift_remove("stream");
            body.shift_remove("stream_options");
            self.client = Client::Chat { stream: Some(usage) };
        }
        let chat = schema::chat_request(Value::Object(body), self.mode())?;
        Ok(self.ask_chat(object(chat), files)?)
    }

    fn begin_responses(&mut self, body: Map<String, Value>, files: Files<'_>) -> Result<Step, Refusal> {
        let streaming = body.get("stream").is_some_and(truthy);
        let (body, stream) = if streaming {
            let (body, namespaces) = stream_in::sanitize(body);
            (body, Some(namespaces))
        } else {
            (body, None)
        };
        let drop_refused = match (streaming, self.gym.strict) {
            (false, _) => DropRefused::Never,
            (true, true) => DropRefused::OutsideChoices,
            (true, false) => DropRefused::Always,
        };
        let params = schema::responses_request(Value::Object(body), Mode { drop_refused, ..Mode::default() })?;
        // From here on a streaming client is told of failures by events.
        self.client = Client::Responses { params: params.clone(), stream };
        Ok(self.ask_responses(params, files)?)
    }

    fn begin_messages(&mut self, body: Map<String, Value>, files: Files<'_>) -> Result<Step, Refusal> {
        let params = messages::to_responses(&body, &mut self.ids)?;
        let params =
            schema::responses_request(Value::Object(params), Mode::default()).map_err(|errors| in_words(&errors))?;
        self.client = Client::Messages {
            params: params.clone(),
            model: body.get("model").filter(|model| truthy(model)).cloned(),
            stream: body.get("stream").is_some_and(truthy),
        };
        Ok(self.ask_responses(params, files)?)
    }

    /// In strict mode clients cannot say what Gym does not know; otherwise the engine sees it.
    fn mode(&self) -> Mode {
        Mode { keep_unknown: !self.gym.strict, ..Mode::default() }
    }

    fn answer_mode(&self) -> Mode {
        Mode { strict: self.gym.strict, ..Mode::default() }
    }

    fn ask_responses(&mut self, params: Map<String, Value>, files: Files<'_>) -> Result<Step, ApiError> {
        if self.gym.is_responses_native {
            let body = native::request(params, &self.gym, &self.model)?;
            return Ok(self.ask(Stage::Native, "/v1/responses", &body));
        }
        let chat = responses_in::to_chat(&params, &self.gym)?;
        let chat = schema::chat_request(Value::Object(chat), self.mode()).map_err(|misfits| in_words(&misfits))?;
        self.ask_chat(object(chat), files)
    }

    fn ask_chat(&mut self, mut chat: Map<String, Value>, files: Files<'_>) -> Result<Step, ApiError> {
        if self.gym.use_completions_api {
            return match completions::prompt(&mut chat, &self.gym, &self.model)? {
                Prompt::Text(text) => self.ask_completion(&chat, text.into()),
                Prompt::Rendered(call) => Ok(self.ask(Stage::Render(chat), "/tokenize", &call)),
            };
        }
        let body = request::chat(chat, &self.gym, &self.model, files)?;
        if request::ends_in_thought(&body, &self.gym)? {
            return self.synthetic("content_filter");
        }
        let text = bytes(&body);
        self.stage = Stage::Chat(if self.gym.return_token_id_information { body } else { Map::new() });
        Ok(Step::Ask(Ask { path: "/v1/chat/completions", body: text }))
    }

    fn ask_completion(&mut self, chat: &Map<String, Value>, prompt: Value) -> Result<Step, ApiError> {
        let body = completions::body(chat, prompt.clone(), &self.gym, &self.model)?;
        let stage = Stage::Completion { prompt, special: body.get("add_special_tokens").cloned() };
        Ok(self.ask(stage, "/v1/completions", &body))
    }

    fn ask(&mut self, stage: Stage, path: &'static str, body: &Map<String, Value>) -> Step {
        self.stage = stage;
        Step::Ask(Ask { path, body: bytes(body) })
    }

    fn answered(&mut self, stage: Stage, body: &[u8]) -> Result<Step, ApiError> {
        let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
            return Err(bad_answer("The engine's answer is no JSON object."));
        };
        match stage {
            Stage::Chat(sent) => self.chat_answered(answer, &sent),
            Stage::ChatTokens(mut chat, generation) => {
                tokens::complete(&mut chat, generation, &Value::Object(answer))?;
                self.done(Value::Object(chat))
            }
            Stage::Render(chat) => {
                let prompt = answer.get("tokens").filter(|tokens| tokens.is_array()).cloned();
                let prompt = prompt.ok_or_else(|| bad_answer("The engine's `/tokenize` told no tokens."))?;
                self.ask_completion(&chat, prompt)
            }
            Stage::Completion { prompt, special } => self.completion_answered(Value::Object(answer), prompt, special),
            Stage::CompletionTokens(completion) => {
                let prompt = answer.get("tokens").cloned();
                self.completed(&completion, prompt)
            }
            Stage::Native => {
                let response = schema::response(Value::Object(answer), self.answer_mode())
                    .map_err(|misfits| misshapen(&misfits))?;
                self.respond(&response)
            }
            Stage::Over => Err(bad_answer("The engine was not asked.")),
        }
    }

    fn chat_answered(&mut self, mut answer: Map<String, Value>, sent: &Map<String, Value>) -> Result<Step, ApiError> {
        let message = answer
            .get_mut("choices")
            .and_then(|choices| choices.get_mut(0))
            .and_then(|choice| choice.get_mut("message"));
        let Some(message) = message.and_then(Value::as_object_mut) else {
            return Err(bad_answer("The engine's answer has no message."));
        };
        super::reasoning::into_content(message, &self.gym)?;
        if !self.gym.return_token_id_information {
            return self.done(Value::Object(answer));
        }
        match tokens::capture(&mut answer)? {
            Captured::Whole => self.done(Value::Object(answer)),
            Captured::Generation(generation) => {
                let call = tokens::tokenize_body(sent, self.gym.strict);
                Ok(self.ask(Stage::ChatTokens(answer, generation), "/tokenize", &call))
            }
        }
    }

    fn completion_answered(&mut self, answer: Value, prompt: Value, special: Option<Value>) -> Result<Step, ApiError> {
        if !self.gym.return_token_id_information || completions::knows_prompt(&answer) {
            return self.completed(&answer, None);
        }
        if prompt.is_array() {
            // It was rendered by the engine: these are its tokens.
            return self.completed(&answer, Some(prompt));
        }
        let mut call = Map::new();
        call.insert("model".into(), self.model.clone().into());
        call.insert("prompt".into(), prompt);
        call.extend(special.map(|special| ("add_special_tokens".to_owned(), special)));
        Ok(self.ask(Stage::CompletionTokens(answer), "/tokenize", &call))
    }

    fn completed(&mut self, answer: &Value, prompt: Option<Value>) -> Result<Step, ApiError> {
        let chat = completions::to_chat(answer, prompt, &self.gym, &self.model, self.now)?;
        self.done(chat)
    }

    /// The engine answered with an error.
    fn not_answered(&mut self, stage: &Stage, status: u16, body: &[u8]) -> Step {
        let long = length::exceeded(status, body, self.gym.strict);
        let step = match stage {
            Stage::Chat(_) | Stage::Completion { .. } if long => self.synthetic("length"),
            // The generation is paid for; what is missing is no fault of the request.
            Stage::ChatTokens(..) | Stage::CompletionTokens(_) => Err(bad_answer(format!(
                "The engine's `/tokenize` answered {status}; token ids need it (`return_token_id_information`)."
            ))),
            _ if matches!(self.client, Client::Responses { stream: Some(_), .. }) => {
                let said = serde_json::from_slice(body).unwrap_or(Value::Null);
                Err(bad_answer(format!("The engine answered {status}: {}", refuse::engine_text(&said, body))))
            }
            _ => Ok(Step::Answer(refuse::engine_refused(self.route(), status, body))),
        };
        step.unwrap_or_else(|error| Step::Answer(self.failed(&error)))
    }

    /// An empty completion of Gym's own.
    fn synthetic(&mut self, reason: &str) -> Result<Step, ApiError> {
        let message = json!({ "role": "assistant", "content": null, "tool_calls": null });
        self.done(json!({
            "id": "chtcmpl-123", "object": "chat.completion", "created": self.now, "model": self.model,
            "choices": [{ "index": 0, "finish_reason": reason, "message": message }],
        }))
    }

    /// A chat completion is there; the client may want it as something else.
    fn done(&mut self, chat: Value) -> Result<Step, ApiError> {
        let chat = schema::chat_completion(chat, self.answer_mode()).map_err(|misfits| misshapen(&misfits))?;
        if chat.pointer("/choices/0").is_none() {
            return Err(bad_answer("The engine's answer has no choice."));
        }
        let params = match &self.client {
            Client::Chat { stream: None } => return Ok(Step::Answer(Answer::json(200, &chat))),
            Client::Chat { stream: Some(usage) } => {
                return Ok(Step::Answer(Answer::events(replay::chat(&chat, *usage))));
            }
            Client::Responses { params, .. } | Client::Messages { params, .. } => params,
        };
        let response = responses_out::from_chat(&chat, params, &self.gym, &self.model, &mut self.ids)?;
        self.respond(&response)
    }

    /// A response is there.
    fn respond(&mut self, response: &Value) -> Result<Step, ApiError> {
        let answer = match &self.client {
            Client::Messages { model, stream, .. } => {
                let model = model.as_ref().or_else(|| response.get("model")).unwrap_or(&Value::Null);
                let message = messages::from_response(response, model, &mut self.ids)?;
                if *stream { Answer::events(replay::message(&message)) } else { Answer::json(200, &message) }
            }
            Client::Responses { stream: Some(namespaces), .. } => {
                Answer::events(replay::response(response, namespaces, self.gym.strict))
            }
            Client::Chat { .. } | Client::Responses { .. } => Answer::json(200, response),
        };
        Ok(Step::Answer(answer))
    }
}

/// What Python takes for true.
fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn bytes(body: &Map<String, Value>) -> Vec<u8> {
    // A map of texts to values cannot fail to be written.
    serde_json::to_vec(body).unwrap_or_default()
}
