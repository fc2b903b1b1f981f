//! Structured outputs: the form that a request wants its answer to have, and a text of that form.

use serde_json::{Value, json};

use super::example::example;
use super::pattern;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// The form of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// JSON that conforms to this schema.
    Schema(Value),
    /// Any JSON object.
    Object,
    /// This text, the first of those to choose from.
    Choice(String),
    /// A text that matches this regular expression.
    Pattern(String),
}

impl Form {
    /// The form that a chat wants: `response_format` or `structured_outputs`.
    pub(super) fn of_chat(fields: &Fields) -> Result<Option<Self>, Fail> {
        let own = constraint(fields)?;
        let format = response_format(fields)?;
        if own.is_some() && format.is_some() {
            let what = "You can only use one kind of structured outputs constraint but multiple are specified.";
            return Err(Fail::bad(what, None));
        }
        Ok(own.or(format))
    }

    /// The form that a response wants: `text.format` or `structured_outputs`.
    pub(super) fn of_response(fields: &Fields) -> Result<Option<Self>, Fail> {
        let own = constraint(fields)?;
        let Some(format) = fields.get("text").and_then(|text| text.get("format")).filter(|format| !format.is_null())
        else {
            return Ok(own);
        };
        if own.is_some() {
            let what = "Cannot specify both structured_outputs and text.format (parameter=structured_outputs)";
            return Err(Fail::bad(what, Some("structured_outputs")));
        }
        Ok(match format.get("type").and_then(Value::as_str) {
            Some("json_object") => Some(Self::Object),
            Some("json_schema") => format.get("schema").cloned().map(Self::Schema),
            _ => None,
        })
    }

    /// The form that a message wants: `output_config.format`.
    pub(super) fn of_message(fields: &Fields) -> Option<Self> {
        let schema = fields.get("output_config")?.pointer("/format/schema")?;
        schema.is_object().then(|| Self::Schema(schema.clone()))
    }

    /// A text of this form.
    ///
    /// # Errors
    /// There is none, in vLLM's words.
    pub(super) fn text(&self, question: &str) -> Result<String, Fail> {
        match self {
            Self::Schema(schema) => Ok(example(schema).to_string()),
            Self::Object => Ok(json!({ "answer": format!("You said: {question}") }).to_string()),
            Self::Choice(text) => Ok(text.clone()),
            Self::Pattern(text) => pattern::matching(text)
                .map_err(|why| Fail::bad(format!("Failed to transform regex into a grammar: {why}"), None)),
        }
    }
}

/// The form that vLLM's own member asks for. A grammar is answered in words: nothing here can write by one.
pub(super) fn constraint(fields: &Fields) -> Result<Option<Form>, Fail> {
    let Some(asked) = fields.get("structured_outputs") else { return Ok(None) };
    let get = |name: &str| asked.get(name).filter(|value| !value.is_null());
    if ["json", "regex", "choice"].into_iter().filter(|name| get(name).is_some()).count() > 1 {
        let what = "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice').";
        return Err(Fail::bad(what, None));
    }
    if let Some(choice) = get("choice") {
        let first = choice.get(0).and_then(Value::as_str);
        let none = || Fail::bad(format!("Choice '{choice}' cannot be an empty list"), None);
        return Ok(Some(Form::Choice(first.ok_or_else(none)?.to_owned())));
    }
    Ok(match (get("json"), get("regex").and_then(Value::as_str)) {
        (Some(Value::String(text)), _) => Some(Form::Schema(
            serde_json::from_str(text).map_err(|_| Fail::bad("Invalid JSON grammar specification.", None))?,
        )),
        (Some(schema), _) => Some(Form::Schema(schema.clone())),
        (None, Some(pattern)) => Some(Form::Pattern(pattern.to_owned())),
        (None, None) => (get("json_object") == Some(&Value::Bool(true))).then_some(Form::Object),
    })
}

fn response_format(fields: &Fields) -> Result<Option<Form>, Fail> {
    let Some(format) = fields.get("response_format") else { return Ok(None) };
    match format.get("type").and_then(Value::as_str) {
        Some("json_object") => Ok(Some(Form::Object)),
        Some("json_schema") => match format.get("json_schema").filter(|about| !about.is_null()) {
            Some(about) => Ok(about.get("schema").cloned().map(Form::Schema)),
            None => {
                let what = "When response_format type is 'json_schema', the 'json_schema' field must be provided. \
                            (parameter=response_format)";
                Err(Fail::bad(what, Some("response_format")))
            }
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fields(body: &Value) -> Fields {
        Fields(body.as_object().unwrap().clone())
    }

    #[test]
    fn vllms_own_member_has_four_forms() {
        for (asked, text) in [
            (json!({ "choice": ["red", "green"] }), "red"),
            (json!({ "regex": "[a-c]{2}" }), "aa"),
            (json!({ "json": { "type": "integer", "minimum": 3 } }), "3"),
            (json!({ "json": "{\"type\": \"boolean\"}" }), "true"),
            (json!({ "json_object": true }), r#"{"answer":"You said: Hi"}"#),
        ] {
            let form = constraint(&fields(&json!({ "structured_outputs": asked }))).unwrap().unwrap();
            assert_eq!(form.text("Hi").unwrap(), text, "{asked}");
        }
        let none = fields(&json!({ "structured_outputs": { "grammar": "root ::= \"a\"", "choice": null } }));
        assert_eq!(constraint(&none), Ok(None));
        let bad = fields(&json!({ "structured_outputs": { "regex": "[" } }));
        let refused = constraint(&bad).unwrap().unwrap().text("").unwrap_err();
        assert!(refused.message.starts_with("Failed to transform regex into a grammar: "), "{}", refused.message);
    }

    #[test]
    fn one_form_is_enough() {
        let choice = json!({ "choice": ["a"] });
        let both = json!({ "structured_outputs": choice, "response_format": { "type": "json_object" } });
        assert!(Form::of_chat(&fields(&both)).unwrap_err().message.contains("only use one kind"));
        let words = json!({ "response_format": { "type": "text" }, "text": { "format": { "type": "text" } } });
        assert_eq!(Form::of_chat(&fields(&words)), Ok(None));
        assert_eq!(Form::of_response(&fields(&words)), Ok(None));
    }
}
