//! Model cards and their list (OpenAI API reference, Models; vLLM adds `root`, `parent`, `max_model_len`, `permission`).

use serde_json::{Map, Value, json};

/// The card of `id`: what the engine said of it (`base`), under this name; without an engine's word, an empty one.
#[must_use]
pub fn card(id: &str, base: Option<&Map<String, Value>>) -> Value {
    let Some(base) = base else {
        return json!({
            "id": id,
            "object": "model",
            "created": 0,
            "owned_by": "enginehouse",
            "root": null,
            "parent": null,
            "max_model_len": null,
        });
    };
    let mut card = base.clone();
    card.insert("id".into(), id.into());
    card.entry("object").or_insert_with(|| "model".into());
    Value::Object(card)
}

/// The body of `GET /v1/models`.
#[must_use]
pub fn list(cards: impl Iterator<Item = Value>) -> String {
    json!({ "object": "list", "data": cards.collect::<Vec<_>>() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_card_keeps_everything_but_its_name() {
        let engine = json!({"id": "tiny", "object": "model", "created": 5, "owned_by": "vllm", "root": "/m", "parent": null,
            "max_model_len": 512, "permission": [{"id": "p"}], "new_field": 1});
        let mut expected = engine.clone();
        expected["id"] = "alias".into();
        assert_eq!(card("alias", engine.as_object()), expected);
        assert_eq!(card("a", json!({"id": "x"}).as_object()), json!({"id": "a", "object": "model"}));
    }

    #[test]
    fn an_unknown_card_has_every_member() {
        let body: Value = serde_json::from_str(&list([card("a", None)].into_iter())).expect("JSON");
        assert_eq!(body["object"], "list");
        assert_eq!(body["data"][0]["owned_by"], "enginehouse");
        assert!(body["data"][0]["max_model_len"].is_null());
        assert_eq!(list(std::iter::empty()), r#"{"object":"list","data":[]}"#);
    }
}
