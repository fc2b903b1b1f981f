//! One request from its body to its answer: which calls to make to the engine, and what to answer.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::audio::ReadFile;
use super::completions::{self, Prompt};
use super::errors::{self, RequestError, bad_engine_answer, in_words, invalid_engine_answer};
use super::routes::GymRoute;
use super::schema::{self, DropRefused, Mode};
use super::step::{Answer, Ask, Ids, Step};
use super::streaming_request::{self, Namespaces};
use super::token_ids::{self, Captured, Generation};
use super::{
    chat_request, chat_to_responses, context_length, messages, reasoning, replay, responses_native, responses_to_chat,
};
use crate::config::Gym;
use crate::openai::ApiError;

/// A request under way. It borrows nothing from the request while the engine works.
pub struct Turn {
    gym: Arc<Gym>,
    model: String,
    now: u64,
    ids: Ids,
    client: Client,
    stage: Stage,
}

/// What the client gets.
enum Client {
    /// A chat completion; `stream`: as events, with usage or without.
    Chat { stream: Option<bool> },
    /// A response.
    Responses { params: Map<String, Value>, stream: Option<Namespaces> },
    /// A message.
    Messages { params: Map<String, Value>, model: Option<Value>, stream: bool },
}

/// The call that the engine is to answer.
enum Stage {
    /// A chat completion, and its request.
    Chat(Map<String, Value>),
    /// The tokens of a chat completion's prompt, and the completion so far.
    ChatTokens(Map<String, Value>, Generation),
    /// The prompt that a chat is rendered to, and the chat.
    Render(Map<String, Value>),
    /// A completion; its prompt, and `add_special_tokens` for `/tokenize`.
    Completion { prompt: Value, special: Option<Value> },
    /// The tokens of a completion's prompt, and the completion.
    CompletionTokens(Value),
    /// A response.
    Native,
    /// None.
    Over,
}

/// Begins a turn; returns it and the first step.
///
/// `model`: its name on the engine. `now`: seconds since 1970, for answers that no engine gives. `ids`: see [`super::new_id`]. `read_file`: reads a file below
/// `audio_root`.
pub fn start(
    gym: &Arc<Gym>,
    route: GymRoute,
    model: &str,
    body: &[u8],
    now: u64,
    ids: Ids,
    read_file: ReadFile<'_>,
) -> (Turn, Step) {
    let client = match route {
        GymRoute::Chat => Client::Chat { stream: None },
        GymRoute::Responses => Client::Responses { params: Map::new(), stream: None },
        GymRoute::Messages => Client::Messages { params: Map::new(), model: None, stream: false },
    };
    let (gym, model) = (Arc::clone(gym), model.to_owned());
    let mut turn = Turn { gym, model, now, ids, client, stage: Stage::Over };
    let step = turn.begin(body, read_file).unwrap_or_else(|error| {
        Step::Answer(match error {
            RequestError::Invalid(errors) => errors::unprocessable(&errors),
            RequestError::Other(error) => turn.failed(&error),
        })
    });
    (turn, step)
}

impl Turn {
    /// The next step after the engine's answer to the last call.
    pub fn engine_said(&mut self, status: u16, body: &[u8]) -> Step {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let step = if (200..300).contains(&status) {
            self.on_answer(stage, body)
        } else {
            self.on_error(&stage, status, body)
        };
        step.unwrap_or_else(|error| Step::Answer(self.failed(&error)))
    }

    /// The answer when no engine can be called.
    pub fn failed(&mut self, error: &ApiError) -> Answer {
        self.stage = Stage::Over;
        if self.streams_response() {
            let events = Answer::events(replay::failed_response(&error.message, &mut self.ids));
            return Answer { error: Some(Box::new(error.clone())), ..events };
        }
        errors::failed(self.route(), error)
    }

    fn route(&self) -> GymRoute {
        match self.client {
            Client::Chat { .. } => GymRoute::Chat,
            Client::Responses { .. } => GymRoute::Responses,
            Client::Messages { .. } => GymRoute::Messages,
        }
    }

    fn streams_response(&self) -> bool {
        matches!(self.client, Client::Responses { stream: Some(_), .. })
    }

    fn begin(&mut self, body: &[u8], read_file: ReadFile<'_>) -> Result<Step, RequestError> {
        let body = errors::parse_body(body)?;
        match self.route() {
            GymRoute::Chat => self.begin_chat(body, read_file),
            GymRoute::Responses => self.begin_responses(body, read_file),
            GymRoute::Messages => self.begin_messages(body, read_file),
        }
    }

    fn begin_chat(&mut self, mut body: Map<String, Value>, read_file: ReadFile<'_>) -> Result<Step, RequestError> {
        if body.get("stream") == Some(&Value::Bool(true)) {
            let usage = body.get("stream_options").is_some_and(|options| is_truthy(&options["include_usage"]));
            body.shift_remove("stream");
            body.shift_remove("stream_options");
            self.client = Client::Chat { stream: Some(usage) };
        }
        let chat = schema::chat_request(body, self.request_mode())?;
        Ok(self.ask_chat(chat, read_file)?)
    }

    fn begin_responses(&mut self, body: Map<String, Value>, read_file: ReadFile<'_>) -> Result<Step, RequestError> {
        let (body, stream, drop_refused) = if body.get("stream").is_some_and(is_truthy) {
            let drop_refused = if self.gym.strict { DropRefused::OutsideChoices } else { DropRefused::Always };
            let (body, namespaces) = streaming_request::sanitize(body);
            (body, Some(namespaces), drop_refused)
        } else {
            (body, None, DropRefused::Never)
        };
        let params = schema::responses_request(body, Mode { drop_refused, ..Mode::default() })?;
        // From here on a streaming client gets errors as events.
        self.client = Client::Responses { params: params.clone(), stream };
        Ok(self.ask_responses(params, read_file)?)
    }

    fn begin_messages(&mut self, body: Map<String, Value>, read_file: ReadFile<'_>) -> Result<Step, RequestError> {
        let params = messages::to_responses(&body, &mut self.ids)?;
        let params = schema::responses_request(params, Mode::default()).map_err(|errors| in_words(&errors))?;
        self.client = Client::Messages {
            params: params.clone(),
            model: body.get("model").filter(|model| is_truthy(model)).cloned(),
            stream: body.get("stream").is_some_and(is_truthy),
        };
        Ok(self.ask_responses(params, read_file)?)
    }

    /// In strict mode members that Gym does not know are dropped; otherwise the engine gets them.
    fn request_mode(&self) -> Mode {
        Mode { keep_unknown: !self.gym.strict, ..Mode::default() }
    }

    fn answer_mode(&self) -> Mode {
        Mode { strict: self.gym.strict, ..Mode::default() }
    }

    fn ask_responses(&mut self, params: Map<String, Value>, read_file: ReadFile<'_>) -> Result<Step, ApiError> {
        if self.gym.is_responses_native {
            let body = responses_native::request(params, &self.gym, &self.model)?;
            return Ok(self.ask(Stage::Native, "/v1/responses", &body));
        }
        let chat = responses_to_chat::request(&params, &self.gym)?;
        let chat = schema::chat_request(chat, self.request_mode()).map_err(|errors| in_words(&errors))?;
        self.ask_chat(chat, read_file)
    }

    fn ask_chat(&mut self, mut chat: Map<String, Value>, read_file: ReadFile<'_>) -> Result<Step, ApiError> {
        if self.gym.use_completions_api {
            return match completions::prompt(&mut chat, &self.gym, &self.model)? {
                Prompt::Text(text) => self.ask_completion(&chat, text.into()),
                Prompt::Rendered(call) => Ok(self.ask(Stage::Render(chat), "/tokenize", &call)),
            };
        }
        let body = chat_request::merge(chat, &self.gym, &self.model, read_file)?;
        if chat_request::ends_in_reasoning(&body, &self.gym)? {
            return self.synthetic("content_filter");
        }
        let step = self.ask(Stage::Over, "/v1/chat/completions", &body);
        self.stage = Stage::Chat(if self.gym.return_token_id_information { body } else { Map::new() });
        Ok(step)
    }

    fn ask_completion(&mut self, chat: &Map<String, Value>, prompt: Value) -> Result<Step, ApiError> {
        let body = completions::request(chat, prompt.clone(), &self.gym, &self.model)?;
        let stage = Stage::Completion { prompt, special: body.get("add_special_tokens").cloned() };
        Ok(self.ask(stage, "/v1/completions", &body))
    }

    fn ask(&mut self, stage: Stage, path: &'static str, body: &Map<String, Value>) -> Step {
        self.stage = stage;
        // A map from strings to values can always be written.
        Step::Ask(Ask { path, body: serde_json::to_vec(body).unwrap_or_default() })
    }

    fn on_answer(&mut self, stage: Stage, body: &[u8]) -> Result<Step, ApiError> {
        let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
            return Err(bad_engine_answer("The engine's answer is not a JSON object."));
        };
        match stage {
            Stage::Chat(request) => self.on_chat(answer, &request),
            Stage::ChatTokens(mut chat, generation) => {
                token_ids::complete(&mut chat, generation, &Value::Object(answer))?;
                self.finish_chat(chat.into())
            }
            Stage::Render(chat) => {
                let prompt = answer.get("tokens").filter(|tokens| tokens.is_array()).cloned();
                let prompt =
                    prompt.ok_or_else(|| bad_engine_answer("The answer of the engine's `/tokenize` has no tokens."))?;
                self.ask_completion(&chat, prompt)
            }
            Stage::Completion { prompt, special } => self.on_completion(Value::Object(answer), prompt, special),
            Stage::CompletionTokens(completion) => {
                let prompt = answer.get("tokens").cloned();
                self.finish_completion(&completion, prompt)
            }
            Stage::Native => {
                let response = schema::response(Value::Object(answer), self.answer_mode())
                    .map_err(|errors| invalid_engine_answer(&errors))?;
                self.finish_response(&response)
            }
            Stage::Over => Err(bad_engine_answer("The engine answered a call that was not made.")),
        }
    }

    fn on_chat(&mut self, mut answer: Map<String, Value>, request: &Map<String, Value>) -> Result<Step, ApiError> {
        let choice = answer.get_mut("choices").and_then(|choices| choices.get_mut(0));
        let message = choice.and_then(|choice| choice.get_mut("message")?.as_object_mut());
        let message = message.ok_or_else(|| bad_engine_answer("The engine's answer has no message."))?;
        reasoning::into_content(message, &self.gym)?;
        if !self.gym.return_token_id_information {
            return self.finish_chat(answer.into());
        }
        match token_ids::capture(&mut answer)? {
            Captured::Whole => self.finish_chat(answer.into()),
            Captured::Generation(generation) => {
                let call = token_ids::tokenize_request(request, self.gym.strict);
                Ok(self.ask(Stage::ChatTokens(answer, generation), "/tokenize", &call))
            }
        }
    }

    fn on_completion(&mut self, answer: Value, prompt: Value, special: Option<Value>) -> Result<Step, ApiError> {
        if !self.gym.return_token_id_information || completions::has_prompt_ids(&answer) {
            return self.finish_completion(&answer, None);
        }
        if prompt.is_array() {
            // It was rendered by the engine: these are its tokens.
            return self.finish_completion(&answer, Some(prompt));
        }
        let mut call = Map::new();
        call.insert("model".into(), self.model.clone().into());
        call.insert("prompt".into(), prompt);
        call.extend(special.map(|special| ("add_special_tokens".to_owned(), special)));
        Ok(self.ask(Stage::CompletionTokens(answer), "/tokenize", &call))
    }

    fn on_error(&mut self, stage: &Stage, status: u16, body: &[u8]) -> Result<Step, ApiError> {
        match stage {
            Stage::Chat(_) | Stage::Completion { .. } if context_length::exceeded(status, body, self.gym.strict) => {
                self.synthetic("length")
            }
            // The generation is paid for; what is missing is not the request's fault.
            Stage::ChatTokens(..) | Stage::CompletionTokens(_) => Err(bad_engine_answer(format!(
                "The engine's `/tokenize` answered with status {status}. Without it there are no token ids (`return_token_id_information`)."
            ))),
            _ if self.streams_response() => Err(bad_engine_answer(format!(
                "The engine answered with status {status}: {}",
                errors::engine_message(body)
            ))),
            _ => Ok(Step::Answer(errors::engine_error(self.route(), status, body))),
        }
    }

    /// An empty completion of Gym's own.
    fn synthetic(&mut self, finish_reason: &str) -> Result<Step, ApiError> {
        let message = json!({ "role": "assistant", "content": null, "tool_calls": null });
        self.finish_chat(json!({
            "id": "chtcmpl-123", "object": "chat.completion", "created": self.now, "model": self.model,
            "choices": [{ "index": 0, "finish_reason": finish_reason, "message": message }],
        }))
    }

    fn finish_completion(&mut self, answer: &Value, prompt: Option<Value>) -> Result<Step, ApiError> {
        let chat = completions::to_chat(answer, prompt, &self.gym, &self.model, self.now)?;
        self.finish_chat(chat)
    }

    /// Answers with a chat completion, in the client's API.
    fn finish_chat(&mut self, chat: Value) -> Result<Step, ApiError> {
        let chat =
            schema::chat_completion(chat, self.answer_mode()).map_err(|errors| invalid_engine_answer(&errors))?;
        if chat.pointer("/choices/0").is_none() {
            return Err(bad_engine_answer("The engine's answer has no choice."));
        }
        let params = match &self.client {
            Client::Chat { stream: None } => return Ok(Step::Answer(Answer::json(200, &chat))),
            Client::Chat { stream: Some(usage) } => {
                return Ok(Step::Answer(Answer::events(replay::chat(&chat, *usage))));
            }
            Client::Responses { params, .. } | Client::Messages { params, .. } => params,
        };
        let response = chat_to_responses::response(&chat, params, &self.gym, &self.model, &mut self.ids)?;
        self.finish_response(&response)
    }

    /// Answers with a response, in the client's API.
    fn finish_response(&mut self, response: &Value) -> Result<Step, ApiError> {
        let answer = match &self.client {
            Client::Messages { model, stream, .. } => {
                let model = model.as_ref().unwrap_or(&response["model"]);
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
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
