//! What llama-swap sends elsewhere or chooses: `peers` and `selectors`.

use serde_json::{Map, Value, json};

use super::super::base_url::engine_url;
use super::super::document::Section;
use super::super::draft::Draft;
use super::super::names::is_name;
use super::super::values::{map, text, texts};
use super::filters::filters;

/// Each model of each peer is a model behind its URL.
pub(super) fn peers(peers: &Map<String, Value>, draft: &mut Draft) {
    for (peer, value) in peers {
        let path = format!("peers.{peer}");
        let Some(fields) = value.as_object() else {
            draft.notes.say(&mut draft.models, &path, "was left out: it is not a mapping.");
            continue;
        };
        let url = match fields.get("proxy").and_then(text).map(|proxy| engine_url(&proxy)) {
            Some(Ok(url)) => url,
            Some(Err(why)) => {
                draft.notes.say(&mut draft.models, &path, format!("was left out: its `proxy` {why}"));
                continue;
            }
            None => {
                draft.notes.say(&mut draft.models, &path, "was left out: it has no `proxy`.");
                continue;
            }
        };
        if fields.contains_key("timeouts") {
            draft.notes.say(
                &mut draft.models,
                &format!("{path}.timeouts"),
                "was left out: timeouts are those of all engines (`timeouts`).",
            );
        }
        for name in texts(fields.get("models").unwrap_or(&Value::Null)) {
            if !is_name(&name) || !draft.names.take(&name) {
                let text = format!(
                    "the model `{}` was left out: this name is taken, or cannot be a name.",
                    draft.secrets.without(&name)
                );
                draft.notes.say(&mut draft.models, &path, text);
                continue;
            }
            let mut section = Section::default();
            draft.put(&mut section, &path, peer, "urls", json!([url]));
            if let Some(key) = fields.get("apiKey").filter(|key| text(key).is_some()) {
                draft.put(&mut section, &format!("{path}.apiKey"), peer, "api_key", key.clone());
            }
            section.put("served_name", name.clone());
            section.comment("Not checked, as a peer was not; without this line it is asked at /health.");
            section.put("health", "off");
            filters(draft, &path, peer, map(fields, "filters"), &mut section);
            draft.model(&name, section);
        }
    }
}

/// A selector is an alias: its first target, and the others when that is down or full.
pub(super) fn selectors(selectors: &Map<String, Value>, draft: &mut Draft) {
    for (name, value) in selectors {
        let path = format!("selectors.{name}");
        let (known, unknown): (Vec<String>, Vec<String>) = texts(value.get("targets").unwrap_or(&Value::Null))
            .into_iter()
            .filter(|target| target != name)
            .partition(|target| draft.names.has(target));
        if !unknown.is_empty() {
            let unknown = draft.secrets.without(&unknown.join(", "));
            draft.notes.say(&mut draft.aliases, &path, format!("these targets are not here: {unknown}."));
        }
        let mut targets: Vec<String> = Vec::new();
        known.into_iter().for_each(|target| {
            if !targets.contains(&target) {
                targets.push(target)
            }
        });
        let Some((first, rest)) = targets.split_first() else {
            draft.notes.say(&mut draft.aliases, &path, "was left out: it has no target.");
            continue;
        };
        let mut alias = Section::default();
        let strategy = value.get("strategy").and_then(Value::as_str).unwrap_or_default();
        let strategy = if ["warm", "pin", "spillover"].contains(&strategy) { strategy } else { "its strategy" };
        draft.notes.say(
            &mut alias,
            &path,
            format!(
                "{strategy} is not here: requests go to the first target, \
            and to the others when it is down, full, or has too short a context."
            ),
        );
        alias.put("model", first.clone());
        if !rest.is_empty() {
            alias.put("fallback", json!(rest));
        }
        if value.get("unlisted").is_some_and(|unlisted| *unlisted == true) {
            alias.put("hidden", true);
        }
        draft.alias(&path, name, alias);
    }
}
