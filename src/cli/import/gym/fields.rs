//! The fields of one server, taken one by one; and what is said about them, in the document and in the summary.

use serde_json::{Map, Value};

use super::super::document::Section;
use super::super::secret::{Secrets, variable};
use super::resolve::Resolved;
use super::servers::Server;

/// What all servers share while they are converted.
pub(super) struct Context<'a> {
    /// The tree, and which values could not be found.
    pub(super) resolved: &'a Resolved,
    /// What must not be printed.
    pub(super) secrets: &'a Secrets,
}

/// A server whose fields are taken one by one.
pub(super) struct Fields<'a> {
    /// The server.
    pub(super) server: &'a Server,
    context: &'a Context<'a>,
    /// For the summary.
    pub(super) said: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(server: &'a Server, context: &'a Context<'a>) -> Self {
        Self { server, context, said: Vec::new() }
    }

    /// Says it at this place of the document and in the summary.
    pub(super) fn say(&mut self, at: &mut Section, text: impl Into<String>) {
        let text = text.into();
        at.comment(text.clone());
        let said = format!("{}: {text}", self.server.name);
        if !self.said.contains(&said) {
            self.said.push(said);
        }
    }

    /// The value of a field; `None` where nothing (or `null`) is written.
    ///
    /// # Errors
    /// Why it could not be found.
    pub(super) fn get(&self, key: &str) -> Result<Option<Value>, String> {
        match self.missing(key) {
            Some(why) => Err(why),
            None => Ok(self.server.fields.get(key).filter(|value| !value.is_null()).cloned()),
        }
    }

    /// Why something of the value of a field, or of a member of it, could not be found.
    fn missing(&self, key: &str) -> Option<String> {
        let path = self.server.path(key);
        let (found, why) = self.context.resolved.missing.range(path.clone()..).next()?;
        let inside = found.strip_prefix(&path)?;
        (inside.is_empty() || inside.starts_with('.')).then(|| why.clone())
    }

    /// The value of a field; what is wrong is said at this place.
    pub(super) fn take(&mut self, at: &mut Section, key: &str) -> Option<Value> {
        self.get(key).unwrap_or_else(|why| {
            self.say(at, format!("`{key}` was left out: {why}"));
            None
        })
    }

    /// The members of a field that is a mapping; those that could not be found are said at this place.
    pub(super) fn members(&mut self, at: &mut Section, key: &str) -> Map<String, Value> {
        match self.server.fields.get(key) {
            Some(Value::Object(members)) => {
                let mut members = members.clone();
                members.retain(|name, _| {
                    let missing = self.missing(&format!("{key}.{name}"));
                    missing.inspect(|why| self.say(at, format!("`{key}.{name}` was left out: {why}"))).is_none()
                });
                members
            }
            None | Some(Value::Null) => Map::new(),
            Some(_) => {
                self.say(at, format!("`{key}` was left out: it is not a mapping."));
                Map::new()
            }
        }
    }

    /// The value of a key at the top of the tree, if it is a text.
    pub(super) fn top(&self, key: &str) -> Option<&'a str> {
        self.context.resolved.tree.get(key)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// Whether a text must not be printed under `key`.
    pub(super) fn is_secret(&self, key: &str, text: &str) -> bool {
        self.context.secrets.shows(key, text)
    }

    /// The same value with variables in the places of secrets; says which are to be set.
    pub(super) fn hidden(&mut self, at: &mut Section, key: &str, mut value: Value) -> Value {
        let name = &self.server.name;
        let mut hidden = self.context.secrets.hide(key, &mut value, &|key| variable(&[name, key]));
        hidden.sort();
        hidden.dedup();
        for variable in hidden {
            let text = format!(
                "Set the environment variable {variable} to the secret that Gym's configuration has in `{key}`."
            );
            self.say(at, text);
        }
        value
    }
}

/// Digits, also as a text.
pub(super) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}
