//! A document as operators may see it: as it is written, variables not expanded, secrets masked.

use serde_json::{Map, Value};

use super::variables::is_variable;
use super::yaml::{Kind, Node};
use crate::config::secrets::{is_secret, mask_userinfo};

/// What stands in place of a secret.
const MASK: &str = "***";

/// Settings that hold lists of secrets.
const LISTS: [&str; 1] = ["keys"];

/// The whole of a document, or a part of it.
pub(in crate::config) fn shown(root: &Node) -> Value {
    show(root, false)
}

fn show(node: &Node, secret: bool) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Text(text) if is_variable_only(text) => text.as_str().into(),
        Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) if secret => MASK.into(),
        Kind::Bool(value) => (*value).into(),
        Kind::Number(number) => Value::Number(number.clone()),
        Kind::Text(text) => mask_userinfo(text).into(),
        Kind::List(items) => items.iter().map(|item| show(item, secret)).collect(),
        Kind::Map(members) => {
            let member = |(key, _, value): &(String, u64, Node)| {
                (key.clone(), show(value, secret || is_secret(key) || LISTS.contains(&key.as_str())))
            };
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
    }
}

/// `${NAME}` and nothing else: a default may be a secret.
pub(in crate::config) fn is_variable_only(text: &str) -> bool {
    text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(is_variable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_document_is_shown_without_its_secrets() {
        let yaml = "admin: { token: t0p }\ncallers: { bot: { keys: [k1, '${BOT_KEY}', '${OTHER:-dflt}'] } }\n\
                    models:\n  m:\n    source: ${SOURCE}\n    env: { HF_TOKEN: hf_1, A: 1 }\n    args: { max-model-len: 8 }\n\
                    \x20 u: { urls: ['http://h:1'], api_key: '${K}' }\n";
        let env = |name: &str| Some(format!("secret-{name}"));
        let config = crate::config::parse(yaml, &env).expect("valid");
        let shown = config.source_map.shown();
        assert_eq!(
            *shown,
            json!({
                "admin": { "token": "***" },
                "callers": { "bot": { "keys": ["***", "${BOT_KEY}", "***"] } },
                "models": {
                    "m": {
                        "source": "${SOURCE}", "env": { "HF_TOKEN": "***", "A": 1 },
                        "args": { "max-model-len": 8 },
                    },
                    "u": { "urls": ["http://h:1"], "api_key": "${K}" },
                },
            })
        );
        let hash = config.source_map.hash().to_owned();
        assert_eq!(hash.len(), 64);
        let other = crate::config::parse(yaml, &|name: &str| Some(format!("other-{name}"))).expect("valid");
        assert_ne!(other.source_map.hash(), hash, "another key means something else");
        let commented = crate::config::parse(&format!("# news\n{yaml}"), &env).expect("valid");
        assert_eq!(commented.source_map.hash(), hash);
    }
}
