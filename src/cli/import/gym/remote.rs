//! Engines that others run: `base_url`, `api_key` and `model` of a server to a model with `urls`.

use serde_json::Value;

use super::super::base_url::engine_url;
use super::super::document::Section;
use super::fields::Fields;

/// The model for such a server.
///
/// # Errors
/// Why there can be none.
pub(super) fn remote(fields: &mut Fields<'_>) -> Result<Section, String> {
    let mut model = Section::default();
    let written = match fields.get("base_url")? {
        Some(Value::Array(all)) => all,
        Some(one) => vec![one],
        None => return Err("it has no `base_url`.".into()),
    };
    let (mut urls, mut refused): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for url in written {
        let text = url.as_str().unwrap_or_default().trim();
        match engine_url(text) {
            Ok(_) if fields.is_secret("base_url", text) => refused.push("has a secret.".into()),
            Ok(url) => {
                if !url.starts_with("${") && !text.trim_end_matches('/').ends_with("/v1") {
                    let text = "`base_url` has no /v1: Gym would ask /chat/completions, Enginehouse asks \
                                /v1/chat/completions.";
                    fields.say(&mut model, text);
                }
                urls.push(url.into());
            }
            Err(why) => refused.push(why),
        }
    }
    if urls.is_empty() {
        return Err(format!("its `base_url` {}", refused.first().map_or("is an empty list.", String::as_str)));
    }
    for why in refused {
        fields.say(&mut model, format!("A `base_url` was left out: it {why}"));
    }
    urls.dedup();
    model.put("urls", urls);
    if let Some(key) = fields.take(&mut model, "api_key").filter(|key| key != "") {
        let key = fields.hidden(&mut model, "api_key", key);
        model.put("api_key", key);
    }
    match fields.take(&mut model, "model") {
        Some(Value::String(name)) if !fields.is_secret("model", &name) => model.put("served_name", name),
        _ => {
            fields.say(&mut model, "Gym's `model` is not a name: the gateway asks the engines for the name they serve.")
        }
    }
    Ok(model)
}
