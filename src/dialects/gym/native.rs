//! Responses for an engine that speaks the Responses API itself.

use serde_json::{Map, Value};

use super::refuse::ruled_out;
use super::request::developers_to_system;
use crate::config::Gym;
use crate::openai::ApiError;

/// The engine's request for a checked Responses request; metadata is no channel here.
///
/// # Errors
/// The alias wants what an engine's own Responses API cannot give.
pub(super) fn request(params: Map<String, Value>, gym: &Gym, model: &str) -> Result<Map<String, Value>, ApiError> {
    let wanted = [
        ("return_token_id_information", gym.return_token_id_information),
        ("replace_developer_role_with_system", gym.replace_developer_role_with_system && gym.strict),
        ("sequential_reasoning_allowed: false", !gym.sequential_reasoning_allowed),
    ];
    if let Some((name, _)) = wanted.iter().find(|(_, wanted)| *wanted) {
        return Err(ruled_out(format!(
            "This alias says both `gym.is_responses_native` and `gym.{name}`, which do not go together. \
             Take one of them out of its configuration."
        )));
    }
    let mut params = params;
    if gym.replace_developer_role_with_system {
        if let Some(Value::Array(items)) = params.get_mut("input") {
            developers_to_system(items);
        }
    }
    params.insert("model".into(), model.into());
    if !gym.chat_template_kwargs.is_empty() {
        params.insert("chat_template_kwargs".into(), Value::Object(gym.chat_template_kwargs.clone()));
    }
    let mut body = gym.extra_body.clone();
    body.extend(params);
    body.extend(gym.sampling_overrides.clone());
    Ok(body)
}
