//! Model cards and their list (OpenAI API reference, Models; vLLM adds `root`, `parent`, `max_model_len`, `permission`), and
//! the same as Anthropic has them (Anthropic API reference, Models).

use serde_json::{Map, Value, json};

use super::Dialect;

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
pub fn list(cards: Vec<Value>, dialect: Dialect) -> String {
    let cards: Vec<Value> = cards.into_iter().map(|card| one(card, dialect)).collect();
    if dialect != Dialect::Anthropic {
        return json!({ "object": "list", "data": cards }).to_string();
    }
    let id = |card: Option<&Value>| card.map_or(Value::Null, |card| card["id"].clone());
    let (first, last) = (id(cards.first()), id(cards.last()));
    json!({ "data": cards, "has_more": false, "first_id": first, "last_id": last }).to_string()
}

/// A card as clients of `dialect` know it.
#[must_use]
pub fn one(card: Value, dialect: Dialect) -> Value {
    if dialect != Dialect::Anthropic {
        return card;
    }
    let id = &card["id"];
    // When a model was made is not known here; for that Anthropic's reference has the epoch.
    json!({ "type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z" })
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
        let body: Value = serde_json::from_str(&list(vec![card("a", None)], Dialect::OpenAi)).expect("JSON");
        assert_eq!(body["object"], "list");
        assert_eq!(body["data"][0]["owned_by"], "enginehouse");
        assert!(body["data"][0]["max_model_len"].is_null());
        assert_eq!(list(vec![], Dialect::OpenAi), r#"{"object":"list","data":[]}"#);
    }

    #[test]
    fn anthropics_clients_find_their_own_members() {
        let cards = vec![card("a", None), card("b", None)];
        let body: Value = serde_json::from_str(&list(cards, Dialect::Anthropic)).expect("JSON");
        assert_eq!((&body["has_more"], &body["first_id"], &body["last_id"]), (&json!(false), &json!("a"), &json!("b")));
        let first = json!({ "type": "model", "id": "a", "display_name": "a", "created_at": "1970-01-01T00:00:00Z" });
        assert_eq!(body["data"][0], first);
        let none: Value = serde_json::from_str(&list(vec![], Dialect::Anthropic)).expect("JSON");
        assert!(none["first_id"].is_null() && none["data"] == json!([]));
    }
}
