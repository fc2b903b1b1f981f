//! Reasoning between `<think>` and `</think>`: put into answers, taken out of the history.

use serde_json::{Map, Value};

use super::errors::{bad_engine_answer, unsupported};
use crate::config::Gym;
use crate::openai::ApiError;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// The texts of all blocks in order, and the text without them. A tag without its partner is text.
pub(super) fn split(text: &str) -> (Vec<&str>, String) {
    let (mut blocks, mut left, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((block, behind)) = after.split_once(CLOSE) else { break };
        left.push_str(before);
        blocks.push(block);
        rest = behind;
    }
    left.push_str(rest);
    (blocks, left)
}

/// A block, unless the text is empty.
pub(super) fn wrap(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{OPEN}{text}{CLOSE}") }
}

/// Moves the engine's reasoning fields into the content.
///
/// # Errors
/// The engine has a reasoning parser, and the alias says that it has none.
pub(super) fn into_content(message: &mut Map<String, Value>, gym: &Gym) -> Result<(), ApiError> {
    let field = |name: &str| message.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(reasoning) = field("reasoning_content").or_else(|| field("reasoning")).map(wrap) else { return Ok(()) };
    if !gym.uses_reasoning_parser {
        return Err(bad_engine_answer(
            "The engine answered with a reasoning field, but the alias has `gym.uses_reasoning_parser: false`. \
             Start the engine without a reasoning parser, or set it to true.",
        ));
    }
    let content = message.get("content").and_then(Value::as_str).unwrap_or("");
    let content = reasoning + content;
    message.shift_remove("reasoning_content");
    message.shift_remove("reasoning");
    message.insert("content".into(), content.into());
    Ok(())
}

/// Takes reasoning out of the assistant messages of the history, and puts it into fields of its own if the settings want it.
///
/// # Errors
/// In strict mode, a part without text.
pub(super) fn out_of_history(messages: &mut [Value], gym: &Gym) -> Result<(), ApiError> {
    for message in messages.iter_mut().filter_map(Value::as_object_mut) {
        if message.get("role").is_none_or(|role| role != "assistant") {
            continue;
        }
        let found = match message.get_mut("content") {
            Some(Value::String(text)) => {
                let (blocks, left) = split(text);
                let found = join(&blocks, gym.strict);
                *text = left;
                found
            }
            Some(Value::Array(parts)) => from_parts(parts, gym.strict)?,
            _ => None,
        };
        if let Some(found) = found.filter(|_| gym.uses_interleaved_reasoning) {
            // Engines before vLLM 0.16 know the first name only, later ones prefer the second.
            message.insert("reasoning_content".into(), found.clone().into());
            message.insert("reasoning".into(), found.into());
        }
    }
    Ok(())
}

/// All blocks as one text; Gym keeps only the first of a text.
fn join(blocks: &[&str], strict: bool) -> Option<String> {
    match blocks {
        [] => None,
        [first, ..] if strict => Some((*first).to_owned()),
        all => Some(all.join("\n")),
    }
}

/// The same for a list of parts; Gym keeps only the reasoning of the last, and fails at a part without text.
fn from_parts(parts: &mut [Value], strict: bool) -> Result<Option<String>, ApiError> {
    let mut all: Vec<String> = Vec::new();
    for part in parts {
        let Some(Value::String(text)) = part.get_mut("text") else {
            if strict {
                return Err(unsupported("An assistant message of the history has a part without text."));
            }
            continue;
        };
        let (blocks, left) = split(text);
        let found = join(&blocks, strict);
        *text = left;
        all.extend(found);
    }
    Ok(if strict { all.pop() } else { (!all.is_empty()).then(|| all.join("\n")) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_without_a_partner_are_text() {
        for (text, blocks, left) in [
            ("", vec![], ""),
            ("<think>a</think>b", vec!["a"], "b"),
            ("A<think>1</think>B<think>2\n</think>C", vec!["1", "2\n"], "ABC"),
            ("<think></think>x", vec![""], "x"),
            ("<think>a", vec![], "<think>a"),
            ("a</think>b", vec![], "a</think>b"),
            ("<think>a<think>b</think>c", vec!["a<think>b"], "c"),
            ("<think>a</think></think>", vec!["a"], "</think>"),
            ("<Think>a</Think>", vec![], "<Think>a</Think>"),
        ] {
            assert_eq!(split(text), (blocks, left.to_owned()), "{text:?}");
        }
    }

    fn history(content: Value, gym: &Gym) -> Value {
        let mut messages = vec![json!({ "role": "assistant", "content": content })];
        out_of_history(&mut messages, gym).expect("texts");
        messages.remove(0)
    }

    #[test]
    fn no_block_of_the_history_is_lost_unless_strict() {
        let text = json!("<think>a</think>x<think>b</think>y");
        let strict = Gym { strict: true, ..Gym::default() };
        assert_eq!(history(text.clone(), &strict)["reasoning"], "a");
        let kept = history(text, &Gym::default());
        assert_eq!(
            (&kept["reasoning"], &kept["reasoning_content"], &kept["content"]),
            (&json!("a\nb"), &json!("a\nb"), &json!("xy"))
        );
        let parts =
            json!([{ "type": "text", "text": "<think>r</think>a" }, { "type": "text", "text": "<think>q</think>b" }]);
        assert_eq!(history(parts.clone(), &strict)["reasoning"], "q");
        assert_eq!(history(parts, &Gym::default())["reasoning"], "r\nq");
    }

    #[test]
    fn the_first_field_that_is_not_empty_is_wrapped() {
        let wrapped = |message: Value| {
            let Value::Object(mut message) = message else { panic!("an object") };
            into_content(&mut message, &Gym::default()).expect("a parser");
            Value::Object(message)
        };
        assert_eq!(
            wrapped(json!({ "reasoning": "b", "reasoning_content": "a", "content": "c" })),
            json!({ "content": "<think>a</think>c" })
        );
        assert_eq!(
            wrapped(json!({ "reasoning": "b", "reasoning_content": "", "content": null })),
            json!({ "content": "<think>b</think>" })
        );
        assert_eq!(wrapped(json!({ "reasoning": "", "content": "c" })), json!({ "reasoning": "", "content": "c" }));
    }
}
