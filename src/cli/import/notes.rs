//! What is said about one server: at its place in the document, and in the summary.

use serde_json::{Map, Value};

use super::document::Section;
use super::resolve::Resolver;
use super::secret::{Secrets, variable};
use super::servers::Server;

/// What all servers share while they are converted.
pub(super) struct Context<'a> {
    /// Looks interpolations up.
    pub(super) resolver: &'a Resolver<'a>,
    /// What must not be printed.
    pub(super) secrets: &'a Secrets,
}

/// A server whose fields are taken one by one.
pub(super) struct Fields<'a> {
    /// The server.
    pub(super) server: &'a Server,
    context: &'a Context<'a>,
    /// For the summary.
    said: Vec<String>,
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

    /// Everything for the summary.
    pub(super) fn into_said(self) -> Vec<String> {
        self.said
    }

    /// The value of a field, with its interpolations looked up; `None` where nothing (or `null`) is written.
    ///
    /// # Errors
    /// Why it has none.
    pub(super) fn get(&self, key: &str) -> Result<Option<Value>, String> {
        match self.server.fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.inner(&[key], value).map(|value| Some(value).filter(|value| !value.is_null())),
        }
    }

    /// The same; what is wrong is said at this place.
    pub(super) fn take(&mut self, at: &mut Section, key: &str) -> Option<Value> {
        match self.get(key) {
            Ok(value) => value,
            Err(why) => {
                self.say(at, format!("`{key}` was left out: {why}"));
                None
            }
        }
    }

    /// The members of a field that is a mapping, one by one; those without a value are said at this place.
    pub(super) fn members(&mut self, at: &mut Section, key: &str) -> Map<String, Value> {
        let path: Vec<String> = self.server.path.iter().cloned().chain([key.to_owned()]).collect();
        let written = self.server.fields.get(key);
        let (path, members) = match written {
            None | Some(Value::Null) => return Map::new(),
            Some(Value::Object(members)) => (path, members.clone()),
            Some(_) => match self.context.resolver.node(&path) {
                Some((path, Value::Object(members))) => (path, members.clone()),
                _ => {
                    self.say(at, format!("`{key}` was left out: it is not a mapping."));
                    return Map::new();
                }
            },
        };
        let mut out = Map::new();
        for (name, value) in &members {
            let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
            match self.context.resolver.value(&path, value) {
                Ok(value) => drop(out.insert(name.clone(), value)),
                Err(why) => self.say(at, format!("`{key}.{name}` was left out: {why}")),
            }
        }
        out
    }

    fn inner(&self, keys: &[&str], value: &Value) -> Result<Value, String> {
        let path: Vec<String> =
            self.server.path.iter().cloned().chain(keys.iter().map(|key| (*key).to_owned())).collect();
        self.context.resolver.value(&path, value)
    }

    /// The value of a key at the top of the tree, if it has one.
    pub(super) fn top(&self, key: &str) -> Option<Value> {
        let (path, value) = self.context.resolver.node(&[key.to_owned()])?;
        self.context.resolver.value(&path, value).ok().filter(|value| !value.is_null())
    }

    /// Whether a text must not be printed under `key`.
    pub(super) fn is_secret(&self, key: &str, text: &str) -> bool {
        self.context.secrets.shows(key, text)
    }

    /// A name for a variable of this server.
    pub(super) fn variable(&self, key: &str) -> String {
        variable(&[&self.server.name, key])
    }

    /// Puts variables in the places of secrets, and says which are to be set.
    pub(super) fn hide(&mut self, at: &mut Section, key: &str, value: &mut Value) {
        let name = self.server.name.clone();
        let mut hidden = self.context.secrets.hide(key, value, &|key| variable(&[&name, key]));
        hidden.sort();
        hidden.dedup();
        for variable in hidden {
            self.say(at, set(&variable, key));
        }
    }
}

/// That a variable is to be set.
pub(super) fn set(variable: &str, key: &str) -> String {
    format!("Set the environment variable {variable} to the secret that Gym's configuration has in `{key}`.")
}

/// Digits, also as a text.
pub(super) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}
