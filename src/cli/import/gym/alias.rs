//! What an alias takes from a server: the fields of Gym's behaviour, and the address it is reached at.

use serde_json::Value;

use super::super::document::Section;
use super::fields::Fields;
use super::servers::Kind;

/// The fields of Gym's behaviour, as `gym:` has them.
const FIELDS: &str = "return_token_id_information request_prompt_and_generation_token_ids uses_reasoning_parser \
    uses_interleaved_reasoning preserve_reasoning_in_assistant_content replace_developer_role_with_system \
    sequential_reasoning_allowed is_responses_native chat_template_kwargs sampling_overrides extra_body default_headers \
    audio_root use_completions_api render_chat_template tokenizer";

/// Fields that something else says here, or nothing has to.
const ELSEWHERE: &str = "base_url api_key model model_server host port name entrypoint num_workers domain";

/// Fields about the engine that a local server starts.
const OF_ENGINES: &str =
    "vllm_serve_kwargs vllm_serve_env_vars hf_home ray_worker_py_executable show_vllm_engine_stats debug";

/// The alias of a server whose engines are those of `model`.
pub(super) fn alias(fields: &mut Fields<'_>, model: &str) -> Section {
    let mut alias = Section::default();
    alias.put("model", model);
    listen(fields, &mut alias);
    let mut gym = Section::default();
    let is_in = |list: &str, key: &str| list.split_whitespace().any(|field| field == key);
    for key in fields.server.fields.keys() {
        if is_in(FIELDS, key) {
            if let Some(value) = fields.take(&mut gym, key) {
                let value = fields.hidden(&mut gym, key, value);
                gym.put(key, value);
            }
        } else if !(is_in(ELSEWHERE, key) || fields.server.kind == Kind::Local && is_in(OF_ENGINES, key)) {
            let text = format!("`{key}` was left out: Gym's model servers have no such field, and ignore it.");
            fields.say(&mut gym, text);
        }
    }
    alias.nest("gym", gym);
    alias
}

/// Where the server is reached, if it has a port of its own.
fn listen(fields: &mut Fields<'_>, out: &mut Section) {
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
    let Some(port) = fields.take(out, "port").map(text) else {
        let name = &fields.server.name;
        return out.comment(format!(
            "No `listen`, because no port was written: it is available under /a/{name}/v1 and by its name."
        ));
    };
    let host = fields.take(out, "host").map(text);
    let listen = match host.as_deref().or_else(|| fields.top("default_host")).unwrap_or("127.0.0.1") {
        "localhost" => format!("127.0.0.1:{port}"),
        host if host.contains(':') && !host.contains(['[', '$']) => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    };
    out.put("listen", listen);
}
