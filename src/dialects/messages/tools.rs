//! Tools of a Messages request: which functions the engine gets for them, and which must be called.

use serde_json::Value;

use crate::dialects::chat::{choice_of, function_tool, has_function};
use crate::dialects::members::{
    Members, flag, invalid, missing, objects, peek, required, take, take_array, take_object, unsupported,
};
use crate::openai::ApiError;

/// Tools that Anthropic runs, or that its models were trained for. Their types end with a date: `web_search_20250305`.
const DATED: [&str; 10] = [
    "advisor",
    "bash",
    "code_execution",
    "computer",
    "memory",
    "text_editor",
    "tool_search_tool_bm25",
    "tool_search_tool_regex",
    "web_fetch",
    "web_search",
];

/// Of these, those that the client runs, with the arguments that Anthropic's documentation of each names. `computer` is not
/// among them: its results are pictures, which a tool's result in chat cannot have.
const RUN_BY_CLIENTS: [(&str, &str, &str); 3] = [
    (
        "bash",
        "Run a command in a shell that stays open between calls.",
        r#"{"type": "object", "properties": {"command": {"type": "string", "description": "The command to run"},
            "restart": {"type": "boolean", "description": "Begin with a new shell"}}}"#,
    ),
    (
        "memory",
        "Read and change the files of a memory folder that lasts longer than this conversation.",
        r#"{"type": "object", "required": ["command"], "properties": {
            "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert", "delete", "rename"]},
            "path": {"type": "string"}, "view_range": {"type": "array", "items": {"type": "integer"}},
            "file_text": {"type": "string"}, "old_str": {"type": "string"}, "new_str": {"type": "string"},
            "insert_line": {"type": "integer"}, "insert_text": {"type": "string"}, "old_path": {"type": "string"},
            "new_path": {"type": "string"}}}"#,
    ),
    (
        "text_editor",
        "View, create and change text files.",
        r#"{"type": "object", "required": ["command", "path"], "properties": {
            "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert", "undo_edit"]},
            "path": {"type": "string"}, "view_range": {"type": "array", "items": {"type": "integer"}},
            "file_text": {"type": "string"}, "old_str": {"type": "string"}, "new_str": {"type": "string"},
            "insert_line": {"type": "integer"}, "insert_text": {"type": "string"}}}"#,
    ),
];

/// Tools of MCP servers, which Anthropic calls.
const MCP: &str = "mcp_toolset";

/// The tools of a request.
pub(super) struct Tools {
    /// In chat's shape.
    functions: Vec<Value>,
    /// Types of those that nobody here can run, once each.
    dropped: Vec<String>,
    /// The same ones' names.
    dropped_names: Vec<String>,
}

impl Tools {
    /// Takes `tools` and `mcp_servers` from the request.
    pub(super) fn take(request: &mut Members) -> Result<Self, ApiError> {
        let mut tools = Self { functions: Vec::new(), dropped: Vec::new(), dropped_names: Vec::new() };
        for tool in objects(take_array(request, "tools", "tools")?, "tools") {
            let (tool, param) = tool?;
            tools.add(tool, &param)?;
        }
        if !take_array(request, "mcp_servers", "mcp_servers")?.is_empty() {
            tools.drop_kind(MCP);
        }
        Ok(tools)
    }

    fn add(&mut self, mut tool: Members, param: &str) -> Result<(), ApiError> {
        let known = peek(&tool, "type").filter(|kind| *kind != "custom");
        if let Some((description, schema)) = known.and_then(run_by_client) {
            let name = required(&mut tool, "name", param)?;
            let schema = serde_json::from_str(schema).unwrap_or_default();
            self.functions.push(function_tool(name, Some(description.into()), Some(schema), None));
            return Ok(());
        }
        if let Some(kind) = known {
            if !is_of_anthropic(kind) {
                return Err(unsupported(
                    format!("{param}.type"),
                    format!(
                        "`{param}` is a tool of type {kind}, which is not known here. This endpoint supports tools with an \
                         `input_schema`; those of Anthropic such as web_search_20250305 are dropped."
                    ),
                ));
            }
            self.drop_kind(kind);
            self.dropped_names.extend(peek(&tool, "name").map(str::to_owned));
            return Ok(());
        }
        let name = required(&mut tool, "name", param)?;
        let [description, schema, strict] = ["description", "input_schema", "strict"].map(|key| take(&mut tool, key));
        if schema.is_none() {
            return Err(missing(format!("{param}.input_schema")));
        }
        self.functions.push(function_tool(name, description, schema, strict));
        Ok(())
    }

    fn drop_kind(&mut self, kind: &str) {
        if !self.dropped.iter().any(|known| known == kind) {
            self.dropped.push(kind.to_owned());
        }
    }

    /// Moves `tool_choice` from the request to `set`, with the functions; returns the types that were dropped.
    pub(super) fn set(self, request: &mut Members, set: &mut Members) -> Result<Vec<String>, ApiError> {
        let choice = take_object(request, "tool_choice")?;
        let is_single = choice.as_ref().map(|choice| flag(choice, "disable_parallel_tool_use")).transpose()?;
        let choice = choice.map(|choice| self.choice(choice)).transpose()?;
        if self.functions.is_empty() {
            if choice.is_some_and(|choice| choice == "required") {
                return Err(invalid("tool_choice", self.nothing_to_call()));
            }
            return Ok(self.dropped);
        }
        set.insert("tools".into(), self.functions.into());
        set.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
        if is_single == Some(true) {
            set.insert("parallel_tool_calls".into(), false.into());
        }
        Ok(self.dropped)
    }

    fn nothing_to_call(&self) -> String {
        match self.dropped.is_empty() {
            true => "`tool_choice` demands a tool call, but `tools` is empty.".to_owned(),
            false => format!(
                "`tool_choice` demands a tool call, but nobody here can run the tools that are left ({}). Leave \
                 `tool_choice` out, or add a tool with an `input_schema`.",
                self.dropped.join(", ")
            ),
        }
    }

    fn choice(&self, mut choice: Members) -> Result<Value, ApiError> {
        Ok(match peek(&choice, "type") {
            Some("auto") => "auto".into(),
            Some("any") => "required".into(),
            Some("none") => "none".into(),
            Some("tool") => {
                let name = required(&mut choice, "name", "tool_choice")?;
                if has_function(&self.functions, &name) {
                    return Ok(choice_of(&name));
                }
                let why = match self.dropped_names.contains(&name) {
                    true => "a tool that nobody here can run. Leave `tool_choice` out",
                    false => "but no tool in `tools` has that name",
                };
                return Err(invalid("tool_choice.name", format!("`tool_choice.name` is \"{name}\", {why}.")));
            }
            _ => return Err(invalid("tool_choice.type", "`tool_choice.type` must be auto, any, tool or none.")),
        })
    }
}

/// Whether tools of that type are Anthropic's.
fn is_of_anthropic(kind: &str) -> bool {
    kind == MCP || undated(kind).is_some_and(|name| DATED.contains(&name))
}

/// What a tool of Anthropic's that the client runs does, and the schema of its arguments.
fn run_by_client(kind: &str) -> Option<(&'static str, &'static str)> {
    let name = undated(kind)?;
    RUN_BY_CLIENTS.iter().find(|(known, ..)| *known == name).map(|(_, description, schema)| (*description, *schema))
}

/// `kind` without the date at its end; `None`: it has none.
fn undated(kind: &str) -> Option<&str> {
    let is_date = |date: &str| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    kind.rsplit_once('_').filter(|(_, date)| is_date(date)).map(|(name, _)| name)
}
