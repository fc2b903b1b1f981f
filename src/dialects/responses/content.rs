//! The content of messages and results in a Responses request: texts, images, audio.

use serde_json::{Value, json};

use crate::dialects::chat::image_part;
use crate::dialects::conversation::Part;
use crate::dialects::members::{Members, invalid, missing, objects, peek, required, take, text, type_of, unsupported};
use crate::openai::ApiError;

/// The parts of a content: a text, or a list.
pub(super) fn parts(content: Value, param: &str) -> Result<Vec<Part>, ApiError> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::Text(text)]),
        Value::Array(list) => objects(list, param).map(|part| part.and_then(read_part)).collect(),
        other => {
            Err(invalid(param, format!("`{param}` must be a string or an array of parts, not {}.", type_of(&other))))
        }
    }
}

fn read_part((mut part, param): (Members, String)) -> Result<Part, ApiError> {
    let path = format!("{param}.type");
    match peek(&part, "type") {
        Some("input_text" | "output_text" | "text" | "reasoning_text") => {
            Ok(Part::Text(required(&mut part, "text", &param)?))
        }
        Some("refusal") => Ok(Part::Text(required(&mut part, "refusal", &param)?)),
        Some("input_image") => image(part, &param),
        // Chat's part has the same shape.
        Some("input_audio") if part.contains_key("input_audio") => {
            Ok(Part::Other(json!({ "type": "input_audio", "input_audio": take(&mut part, "input_audio") })))
        }
        Some("input_file") => Err(unsupported(
            path,
            format!("`{param}` is a file; engines read text and images only. Send the file's text as input_text."),
        )),
        Some(kind) => Err(unsupported(
            path,
            format!("`{param}` is a part of type {kind}; engines read input_text and input_image only."),
        )),
        None => Err(missing(path)),
    }
}

fn image(mut part: Members, param: &str) -> Result<Part, ApiError> {
    let url = match take(&mut part, "image_url") {
        Some(Value::Object(mut inner)) => take(&mut inner, "url"),
        url => url,
    };
    let path = format!("{param}.image_url");
    match url {
        Some(url) => Ok(Part::Other(image_part(&text(url, &path)?, peek(&part, "detail")))),
        None if part.contains_key("file_id") => Err(unsupported(
            format!("{param}.file_id"),
            format!("`{param}` names an uploaded file, and none are stored here. Send `image_url`, a URL or data URL."),
        )),
        None => Err(missing(path)),
    }
}
