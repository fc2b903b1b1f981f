//! `POST /tokenize` and `/detokenize`.

use serde_json::{Value, json};

use super::chat::render;
use super::errors::Fail;
use super::generate::{Ask, Reply};
use super::tokens;

/// Text or a conversation to token ids.
pub(super) fn tokenize(ask: &Ask) -> Result<Reply, Fail> {
    let fields = ask.fields()?;
    let text = match (fields.text("prompt")?, fields.get("messages")) {
        (Some(prompt), _) => prompt.to_owned(),
        (None, Some(Value::Array(messages))) => {
            let thinks = fields.get("chat_template_kwargs").and_then(|kwargs| kwargs.get("enable_thinking"));
            let empty_thought = if thinks == Some(&Value::Bool(false)) { "<think>\n\n</think>\n\n" } else { "" };
            render(messages) + empty_thought
        }
        _ => return Err(Fail::missing(&["prompt"], fields.0.len())),
    };
    ask.head(&fields)?;
    let ids = tokens::ids(&text);
    let strings = fields
        .flag("return_token_strs")?
        .then(|| ids.iter().map(|id| tokens::text([u64::from(*id)])).collect::<Vec<_>>());
    Ok(Reply::Json(json!({
        "count": ids.len(), "max_model_len": ask.engine.settings.args.max_model_len, "tokens": ids,
        "token_strs": strings,
    })))
}

/// Token ids to text.
pub(super) fn detokenize(ask: &Ask) -> Result<Reply, Fail> {
    let fields = ask.fields()?;
    fields.require(&["tokens"])?;
    ask.head(&fields)?;
    let ids = fields.get("tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Ok(Reply::Json(json!({ "prompt": tokens::text(ids.iter().filter_map(Value::as_u64)) })))
}
