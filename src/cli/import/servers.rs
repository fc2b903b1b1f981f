//! The model servers in a tree: those that become aliases, and what else there is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::compose::layer;
use super::resolve::Resolver;

/// Under this key of a server its model types stand.
pub(super) const MODELS: &str = "responses_api_models";

/// What a model server of Gym is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In front of engines that somebody else runs.
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
    /// Where its fields are.
    pub(super) path: Vec<String>,
    /// As written, with interpolations.
    pub(super) fields: Map<String, Value>,
}

/// All servers of a tree.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that can become aliases.
    pub(super) servers: Vec<Server>,
    /// Those that could if they were well written: name and reason.
    pub(super) broken: Vec<(String, String)>,
    /// How many there are of the others, by type.
    pub(super) others: BTreeMap<String, usize>,
    /// Model servers that are not vLLM's, with their types.
    pub(super) strangers: BTreeMap<String, String>,
}

/// Finds them, in the order of the tree.
pub(super) fn find(tree: &Map<String, Value>, resolver: &Resolver<'_>) -> Found {
    let mut found = Found::default();
    for name in tree.keys() {
        let own = vec![name.clone()];
        let Some((path, Value::Object(server))) = resolver.node(&own) else { continue };
        for kind in ["responses_api_agents", "resources_servers"] {
            if server.get(kind).is_some_and(|types| !types.is_null()) {
                *found.others.entry(kind.to_owned()).or_default() += 1;
            }
        }
        let below = |path: &[String], key: &str| path.iter().cloned().chain([key.to_owned()]).collect::<Vec<_>>();
        let Some((path, Value::Object(types))) = resolver.node(&below(&path, MODELS)) else { continue };
        model_server(name, &path, types, resolver, &mut found);
    }
    found
}

fn model_server(name: &str, path: &[String], types: &Map<String, Value>, resolver: &Resolver<'_>, found: &mut Found) {
    // A stand-in for tools that need no model; the real one takes its members over.
    let dummy = types.get("dummy_model").filter(|_| types.len() > 1);
    let real: Vec<&String> = types.keys().filter(|kind| dummy.is_none() || *kind != "dummy_model").collect();
    let known = |word: &str| Kind::ALL.into_iter().find(|kind| kind.word() == word);
    let kind = match real.as_slice() {
        [] => return,
        [word] => match known(word) {
            Some(kind) => kind,
            None => {
                *found.others.entry((*word).clone()).or_default() += 1;
                found.strangers.insert(name.to_owned(), (*word).clone());
                return;
            }
        },
        several => {
            let several = several.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" and ");
            let why = format!(
                "it is {several} at once. Leave one file out, or add `_delete_key: <type>` under `{name}.{MODELS}`."
            );
            found.broken.push((name.to_owned(), why));
            return;
        }
    };
    let at: Vec<String> = path.iter().cloned().chain([kind.word().to_owned()]).collect();
    match resolver.node(&at) {
        Some((path, Value::Object(fields))) => {
            let mut all = dummy.filter(|dummy| dummy.is_object()).cloned().unwrap_or_else(|| Value::Object(Map::new()));
            layer(&mut all, Value::Object(fields.clone()));
            let fields = if let Value::Object(all) = all { all } else { Map::new() };
            found.servers.push(Server { name: name.to_owned(), kind, path, fields });
        }
        _ => found.broken.push((name.to_owned(), format!("`{}` is not a mapping of fields.", at.join(".")))),
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
            "over": {"responses_api_models": {"dummy_model": {"a": 1, "b": 1}, "local_vllm_model_proxy": {"b": 2}}},
            "same": "${remote}",
            "part": {"responses_api_models": {"vllm_model": "${remote.responses_api_models.vllm_model}"}},
            "openai": {"responses_api_models": {"openai_model": {}}},
            "two": {"responses_api_models": {"vllm_model": {}, "local_vllm_model": {}}},
            "bad": {"responses_api_models": {"vllm_model": 3}},
            "agent": {"responses_api_agents": {"simple_agent": {}}},
            "tool": {"resources_servers": {"math": {}}},
        });
        let found = find(tree.as_object().expect("a mapping"), &Resolver::new(&tree));
        let seen: Vec<_> = found.servers.iter().map(|server| (server.name.as_str(), server.kind)).collect();
        assert_eq!(
            seen,
            [("remote", Kind::Remote), ("over", Kind::Proxy), ("same", Kind::Remote), ("part", Kind::Remote)]
        );
        assert_eq!(Value::Object(found.servers[1].fields.clone()), json!({"a": 1, "b": 2}));
        assert_eq!(found.servers[3].path.join("."), "remote.responses_api_models.vllm_model");
        let broken: Vec<_> = found.broken.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(broken, ["two", "bad"]);
        assert_eq!(
            found.others.into_iter().collect::<Vec<_>>(),
            [("openai_model".into(), 1), ("resources_servers".into(), 1), ("responses_api_agents".into(), 1)]
        );
        assert_eq!(found.strangers["openai"], "openai_model");
    }
}
