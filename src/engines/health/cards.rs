//! What an engine says it serves, judged against what its model expects: pure.

use serde_json::Value;

use crate::api::HealthProblem;
use crate::engines::{Answer, Card};
use crate::ids::Name;

/// What an answer to `GET /v1/models` means for the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The engine serves what is wanted.
    Fits {
        /// What it serves; empty where it cannot say.
        cards: Vec<Card>,
        /// The name it knows the model by, where that was not known.
        learned: Option<Name>,
    },
    /// It does not.
    Mismatch(HealthProblem),
    /// It cannot be told from this answer.
    Unclear(HealthProblem),
}

/// Judges `answer`. `expected` is the name the engine should know the model by; when it is only a guess (from another
/// engine that is gone), `guess` is true and the engine's own word is taken.
pub(super) fn judge(answer: Answer, expected: Option<&str>, guess: bool) -> Verdict {
    let cards = match answer {
        Answer::Json(value) => cards(value),
        // A server that has no such route, or something else there, can serve all the same.
        Answer::NotJson | Answer::Status(404 | 405 | 501) => None,
        Answer::Status(status @ (401 | 403)) => return Verdict::Mismatch(HealthProblem::KeyRefused { status }),
        Answer::Status(status) => {
            return Verdict::Unclear(HealthProblem::BadStatus { request: "GET /v1/models".into(), status });
        }
    };
    match (cards, expected) {
        (None, Some(_)) => Verdict::Fits { cards: vec![], learned: None },
        (None, None) => Verdict::Mismatch(HealthProblem::NameUnknown { lists_models: false }),
        (Some(cards), Some(name)) if names(&cards).any(|id| id == name) => Verdict::Fits { cards, learned: None },
        (Some(cards), None) => learn(cards),
        (Some(cards), Some(_)) if guess => learn(cards),
        (Some(cards), Some(name)) => Verdict::Mismatch(HealthProblem::WrongModel {
            wanted: name.to_owned(),
            serves: names(&cards).map(str::to_owned).collect(),
        }),
    }
}

fn learn(cards: Vec<Card>) -> Verdict {
    // vLLM lists its base model first, adapters after it.
    let first = names(&cards).next().map(Name::from);
    match first {
        Some(name) => Verdict::Fits { cards, learned: Some(name) },
        None => Verdict::Mismatch(HealthProblem::NameUnknown { lists_models: true }),
    }
}

/// The entries of a list of models that have a name; `None` when it is no such list.
fn cards(value: Value) -> Option<Vec<Card>> {
    let Value::Object(mut list) = value else { return None };
    let Some(Value::Array(entries)) = list.remove("data") else { return None };
    let named = entries.into_iter().filter_map(|entry| match entry {
        Value::Object(card) if card.get("id").is_some_and(Value::is_string) => Some(card),
        _ => None,
    });
    Some(named.collect())
}

fn names(cards: &[Card]) -> impl Iterator<Item = &str> {
    cards.iter().filter_map(|card| card.get("id").and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(names: &[&str]) -> Answer {
        Answer::Json(
            json!({ "object": "list", "data": names.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>() }),
        )
    }

    fn mismatch(verdict: Verdict) -> String {
        match verdict {
            Verdict::Mismatch(problem) => problem.to_string(),
            other => unreachable!("{other:?}"),
        }
    }

    fn learned(verdict: Verdict) -> Option<Name> {
        match verdict {
            Verdict::Fits { learned, .. } => learned,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn the_name_is_looked_for_or_learned() {
        assert_eq!(learned(judge(list(&["a", "lora"]), Some("lora"), false)), None);
        assert_eq!(learned(judge(list(&["a", "lora"]), None, false)).as_deref(), Some("a"));
        assert_eq!(learned(judge(list(&["b"]), Some("a"), true)).as_deref(), Some("b"));
    }

    #[test]
    fn a_mismatch_says_what_to_set() {
        assert_eq!(
            mismatch(judge(list(&["a", "b"]), Some("x"), false)),
            "it serves `a`, `b`, not `x`; set `served_name: a`"
        );
        assert!(mismatch(judge(list(&[]), None, false)).contains("lists no model"));
        assert!(mismatch(judge(list(&[]), Some("x"), false)).contains("`x` is wanted"));
        assert!(mismatch(judge(Answer::Status(401), Some("x"), false)).contains("`api_key`"));
        assert!(mismatch(judge(Answer::Status(404), None, false)).contains("`served_name`"));
    }

    #[test]
    fn a_server_without_the_route_is_taken_at_our_word() {
        for answer in [Answer::Status(404), Answer::NotJson, Answer::Json(json!(["x"])), Answer::Json(json!({}))] {
            assert_eq!(judge(answer, Some("x"), false), Verdict::Fits { cards: vec![], learned: None });
        }
        assert!(matches!(judge(Answer::Status(500), Some("x"), false), Verdict::Unclear(_)));
    }
}
