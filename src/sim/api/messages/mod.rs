//! `POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's API.

mod events;
mod sheet;

use serde_json::{Value, json};

use self::events::Blocks;
use self::sheet::Sheet;
use super::conversation::{last_user_text, prompt_tokens};
use super::generate::{ApiReply, ApiRequest, collect};
use super::params::Params;
use super::structured::Form;
use super::task::{Length, Task};
use super::{tokens, tools};
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::{Fields, content_text};

/// Answers a message.
pub(crate) async fn messages(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["model", "messages", "max_tokens"])?;
    let params = Params::read(&fields, &["max_tokens"], &request.engine.settings)?;
    let tool = tools::of_message(&fields)?;
    let head = request.head(&fields)?;
    let prompt = input_tokens(&fields, &params);
    let room = params.room(prompt, &request.engine.settings)?;
    Params::check_sampling(&fields)?;
    let question = last_user_text(list(&fields));
    let task = Task::new(tool, Form::of_message(&fields), &question)?;
    let length = Length { natural: request.pace.tokens, room, thinks: request.engine.settings.thinks };
    let mut answers = vec![task.answer(&question, &params, 0, length)];
    let run = request.enqueue(&params, prompt, &mut answers)?;
    let details = request.engine.settings.args.enable_prompt_tokens_details;
    let sheet = Sheet { head, prompt, details, tool: task.tool().cloned() };
    if params.stream {
        return Ok(ApiReply::stream(run, Blocks::new(sheet, answers.remove(0))));
    }
    collect(run, &mut answers).await?;
    Ok(ApiReply::Json(sheet.whole(&answers[0])?))
}

/// Counts the tokens of a message.
pub(crate) fn count_tokens(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["model", "messages"])?;
    let params = Params::read(&fields, &[], &request.engine.settings)?;
    request.head(&fields)?;
    let count = input_tokens(&fields, &params);
    Ok(ApiReply::Json(json!({ "input_tokens": count, "context_management": { "original_input_tokens": count } })))
}

fn list(fields: &Fields) -> &[Value] {
    fields.get("messages").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn input_tokens(fields: &Fields, params: &Params) -> usize {
    let system = fields.get("system").map_or(0, |system| 5 + tokens::count(&content_text(system)));
    prompt_tokens(list(fields), params) + system
}
