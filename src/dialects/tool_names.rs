//! The engine's names of functions that are something else to the client: members of namespaces, and custom tools.

use std::collections::HashMap;
use std::sync::Arc;

/// What a function of the engine is to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientTool {
    /// The namespace that it is a member of.
    pub(super) namespace: Option<String>,
    /// Its name, in that namespace.
    pub(super) name: String,
    /// Its input is a text, not an object: a custom tool of the Responses API.
    pub(super) custom: bool,
}

impl ClientTool {
    /// The name that the engine gets for it.
    pub(super) fn engine_name(&self) -> String {
        joined(self.namespace.as_deref(), &self.name)
    }
}

/// Functions that are something else to the client, by the engine's names.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolNames(Arc<HashMap<String, ClientTool>>);

impl ToolNames {
    /// Adds one; `false`: another one has its name already.
    pub(super) fn add(&mut self, tool: ClientTool) -> bool {
        let name = tool.engine_name();
        let is_free = !self.0.contains_key(&name);
        if is_free {
            Arc::make_mut(&mut self.0).insert(name, tool);
        }
        is_free
    }

    /// What the engine's function of that name is to the client; `None`: a function of the same name.
    pub(super) fn find(&self, engine_name: &str) -> Option<&ClientTool> {
        self.0.get(engine_name)
    }
}

/// The engine's name for a tool of the client, whether or not it is among those of the request.
pub(super) fn joined(namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        // As OpenAI's clients flatten them themselves.
        Some(namespace) => format!("{namespace}__{name}"),
        None => name.to_owned(),
    }
}
