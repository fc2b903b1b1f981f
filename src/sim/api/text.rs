//! `POST /tokenize` and `/detokenize`.

use serde_json::{Value, json};

use super::conversation::render;
use super::generate::{ApiReply, ApiRequest};
use super::tokens;
use crate::sim::wire::errors::Fail;

/// Text or a conversation to token ids.
pub(crate) fn tokenize(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    let text = match (fields.text("prompt")?, fields.get("messages")) {
        (Some(prompt), _) => prompt.to_owned(),
        (None, Some(Value::Array(messages))) => {
            let thinks = fields.get("chat_template_kwargs").and_then(|kwargs| kwargs.get("enable_thinking"));
            let empty_thought = if thinks == Some(&Value::Bool(false)) { "<think>\n\n</think>\n\n" } else { "" };
            render(messages) + empty_thought
        }
        _ => return Err(Fail::missing(&["prompt"], fields.0.len())),
    };
    request.head(&fields)?;
    let ids = tokens::ids(&text);
    let strings = fields
        .flag("return_token_strs")?
        .then(|| ids.iter().map(|id| tokens::text([u64::from(*id)])).collect::<Vec<_>>());
    Ok(ApiReply::Json(json!({
        "count": ids.len(), "max_model_len": request.engine.settings.args.max_model_len, "tokens": ids,
        "token_strs": strings,
    })))
}

/// Token ids to text.
pub(crate) fn detokenize(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let fields = request.fields()?;
    fields.require(&["tokens"])?;
    request.head(&fields)?;
    let ids = fields.get("tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Ok(ApiReply::Json(json!({ "prompt": tokens::text(ids.iter().filter_map(Value::as_u64)) })))
}
