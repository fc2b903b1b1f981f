//! `POST /v1/responses`: plain and as named events.

mod events;
mod items;
mod keep;
mod sheet;

use axum::response::Response;
use serde_json::{Value, json};

use self::events::Named;
use self::keep::{Keep, no_response};
use self::sheet::Sheet;
use super::conversation::{last_user_text, prompt_tokens};
use super::generate::{ApiReply, ApiRequest, collect};
use super::params::Params;
use super::structured::Form;
use super::task::{Length, Task};
use super::{tokens, tools};
use crate::openai::StoredResponse;
use crate::sim::engine::Engine;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::query::parameter;
use crate::sim::wire::reply;

/// Answers a request of the Responses API.
pub(crate) async fn responses(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["input"])?;
    let params = Params::read(&fields, &["max_output_tokens"], &request.engine.settings)?;
    let keep = Keep::read(&fields, &request.engine)?;
    let tool = tools::of_response(&fields)?;
    let head = request.head(&fields)?;
    let messages: Vec<Value> = match fields.get("input") {
        Some(Value::Array(items)) => items.clone(),
        Some(Value::String(text)) => vec![json!({ "role": "user", "content": text })],
        _ => return Err(Fail::missing(&["input"], fields.0.len())),
    };
    let instructions = fields.text("instructions")?.map_or(0, tokens::count);
    let prompt = prompt_tokens(&messages, &params) + instructions;
    let room = params.room(prompt, &request.engine.settings)?;
    Params::check_sampling(&fields)?;
    let question = last_user_text(&messages);
    let task = Task::new(tool, Form::of_response(&fields)?, &question)?;
    let length = Length { natural: request.pace.tokens, room, thinks: request.engine.settings.thinks };
    let mut answers = vec![task.answer(&question, &params, 0, length)];
    let run = request.enqueue(&params, prompt, &mut answers)?;
    let sheet = Sheet::new(&fields, &head, &params, &task, prompt);
    if params.stream {
        return Ok(ApiReply::stream(run, Named::new(sheet, keep, answers.remove(0))));
    }
    if keep.is_background() {
        return Ok(ApiReply::Json(keep.make(run, answers, sheet)));
    }
    collect(run, &mut answers).await?;
    let whole = sheet.whole(&answers[0]);
    keep.keep(&whole);
    Ok(ApiReply::Json(whole))
}

/// `GET /v1/responses/{id}`: a response that was kept.
pub(crate) fn stored(engine: &Engine, path: &str, query: &str) -> Result<Response, Fail> {
    let id = StoredResponse::find(path).map_or("", |stored| stored.id);
    let response = engine.responses.get(id).ok_or_else(|| no_response(id))?;
    if parameter(query, "stream").is_some_and(|on| matches!(on, "true" | "1")) {
        // Events are kept of none that is simulated.
        return Err(Fail::value("response_id", id, format!("Unknown response_id: {id}")));
    }
    Ok(reply::ok(&response))
}

/// `POST /v1/responses/{id}/cancel`: ends a response that is made in the background.
pub(crate) fn cancel(engine: &Engine, path: &str) -> Result<Response, Fail> {
    let id = StoredResponse::find(path).map_or("", |stored| stored.id);
    engine.responses.get(id).ok_or_else(|| no_response(id))?;
    let cancelled = engine.responses.cancel(id).ok_or_else(|| Fail {
        kind: "invalid_request_error",
        ..Fail::bad("Cannot cancel a synchronous response.", Some("response_id"))
    })?;
    Ok(reply::ok(&cancelled))
}
