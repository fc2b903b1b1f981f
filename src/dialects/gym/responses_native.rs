//! Responses for an engine that offers the Responses API itself.

use serde_json::{Map, Value};

use super::chat_request::developers_to_system;
use super::errors::conflicting_settings;
use crate::config::Gym;
use crate::openai::ApiError;

/// The engine's request for a valid Responses request. Its metadata overrides nothing here.
///
/// # Errors
/// The alias wants what an engine's own Responses API cannot give.
pub(super) fn request(mut params: Map<String, Value>, gym: &Gym, model: &str) -> Result<Map<String, Value>, ApiError> {
    let conflicts = [
        ("return_token_id_information", gym.return_token_id_information),
        ("replace_developer_role_with_system", gym.replace_developer_role_with_system && gym.strict),
        ("sequential_reasoning_allowed: false", !gym.sequential_reasoning_allowed),
    ];
    if let Some((name, _)) = conflicts.iter().find(|(_, conflicts)| *conflicts) {
        return Err(conflicting_settings(format!(
            "This alias sets both `gym.is_responses_native` and `gym.{name}`, which exclude each other. \
             Remove one of them from its configuration."
        )));
    }
    if let Some(Value::Array(items)) = params.get_mut("input").filter(|_| gym.replace_developer_role_with_system) {
        developers_to_system(items);
    }
    params.insert("model".into(), model.into());
    if !gym.chat_template_kwargs.is_empty() {
        params.insert("chat_template_kwargs".into(), gym.chat_template_kwargs.clone().into());
    }
    let mut body = gym.extra_body.clone();
    body.extend(params);
    body.extend(gym.sampling_overrides.clone());
    Ok(body)
}
