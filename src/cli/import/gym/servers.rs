//! The model servers in a tree: those that become aliases, and those that cannot.

use serde_json::{Map, Value};

/// The key of a server that has its model types.
const MODELS: &str = "responses_api_models";

/// What a model server of Gym is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In front of engines that others run.
    Remote,
    /// Starts an engine.
    Local,
    /// In front of the engine of a local one.
    Proxy,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Remote, Self::Local, Self::Proxy];

    /// Its type, in Gym's words.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Remote => "vllm_model",
            Self::Local => "local_vllm_model",
            Self::Proxy => "local_vllm_model_proxy",
        }
    }
}

/// A model server.
#[derive(Debug)]
pub(super) struct Server {
    /// What Gym's other servers know it by.
    pub(super) name: String,
    /// Its type.
    pub(super) kind: Kind,
    /// What is written in it.
    pub(super) fields: Map<String, Value>,
}

impl Server {
    /// Where the field `key` is.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{MODELS}.{}.{key}", self.name, self.kind.word())
    }
}

/// All servers of a tree.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that can become aliases, in the order of the tree.
    pub(super) servers: Vec<Server>,
    /// Those that cannot: name and reason.
    pub(super) broken: Vec<(String, String)>,
}

/// Finds them.
pub(super) fn find(tree: &Map<String, Value>) -> Found {
    let mut found = Found::default();
    for (name, server) in tree {
        if let Some(Value::Object(types)) = server.get(MODELS) {
            model_server(name, types, &mut found);
        }
    }
    found
}

fn model_server(name: &str, types: &Map<String, Value>, found: &mut Found) {
    let words: Vec<String> = types.keys().map(|word| format!("`{word}`")).collect();
    if let [_, _, ..] = words[..] {
        let why = format!(
            "it is {} at once. Leave one file out, or add `_delete_key: <type>` under `{name}.{MODELS}`.",
            words.join(" and ")
        );
        found.broken.push((name.to_owned(), why));
        return;
    }
    for (word, fields) in types {
        match (Kind::ALL.into_iter().find(|kind| kind.word() == word), fields) {
            (None, _) => {
                found.broken.push((name.to_owned(), format!("it is of type `{word}`, which has no vLLM engine.")))
            }
            (Some(kind), Value::Object(fields)) => {
                found.servers.push(Server { name: name.to_owned(), kind, fields: fields.clone() });
            }
            (Some(_), _) => {
                found.broken.push((name.to_owned(), format!("`{name}.{MODELS}.{word}` is not a mapping of fields.")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_are_told_from_others() {
        let tree = json!({
            "policy_api_key": "x", "config": {"a": 1},
            "remote": {"responses_api_models": {"vllm_model": {"model": "m"}}},
            "over": {"responses_api_models": {"local_vllm_model_proxy": {"b": 2}}},
            "openai": {"responses_api_models": {"openai_model": {}}},
            "two": {"responses_api_models": {"vllm_model": {}, "local_vllm_model": {}}},
            "bad": {"responses_api_models": {"vllm_model": 3}},
            "agent": {"responses_api_agents": {"simple_agent": {}}},
            "tool": {"resources_servers": {"math": {}}},
        });
        let found = find(tree.as_object().expect("a mapping"));
        let seen: Vec<_> = found.servers.iter().map(|server| (server.name.as_str(), server.kind)).collect();
        assert_eq!(seen, [("remote", Kind::Remote), ("over", Kind::Proxy)]);
        assert_eq!(found.servers[1].fields["b"], 2);
        assert_eq!(found.servers[0].path("model"), "remote.responses_api_models.vllm_model.model");
        let broken: Vec<_> = found.broken.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(broken, ["openai", "two", "bad"]);
    }
}
