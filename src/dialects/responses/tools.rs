//! Tools of a Responses request: which functions the engine gets for them, and which must be called.

use serde_json::{Value, json};

use super::custom_input::PARAMETER;
use crate::dialects::chat::{choice_of, function_tool, has_function};
use crate::dialects::members::{
    Members, array, as_text, invalid, missing, object, objects, peek, required, take, take_array, unsupported,
};
use crate::dialects::tool_names::{ClientTool, ToolNames};
use crate::openai::ApiError;

/// Tools that a provider runs, or that its models were trained for. Some have versions: `web_search_2025_08_26`.
const HOSTED: [&str; 14] = [
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_preview",
];

/// The tools of a request.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// In chat's shape.
    functions: Vec<Value>,
    /// Functions that are something else to the client.
    pub(super) names: ToolNames,
    /// Types of those that nobody here can run, once each.
    pub(super) dropped: Vec<String>,
}

impl Tools {
    /// Takes `tools` from the request, and reads those that items of its input bring.
    pub(super) fn take(request: &mut Members) -> Result<Self, ApiError> {
        let mut tools = Self::default();
        for tool in objects(take_array(request, "tools", "tools")?, "tools") {
            let (tool, param) = tool?;
            tools.add(tool, None, &param)?;
        }
        let items = request.get_mut("input").and_then(Value::as_array_mut);
        for (at, item) in items.into_iter().flatten().enumerate() {
            if item["type"] == "additional_tools" {
                let param = format!("input[{at}].tools");
                for tool in objects(array(item["tools"].take(), &param)?, &param) {
                    let (tool, param) = tool?;
                    tools.add(tool, None, &param)?;
                }
            }
        }
        Ok(tools)
    }

    fn add(&mut self, mut tool: Members, namespace: Option<&str>, param: &str) -> Result<(), ApiError> {
        let path = format!("{param}.type");
        match peek(&tool, "type") {
            Some("function") => self.add_function(tool, namespace, param),
            Some("custom") => self.add_custom(tool, namespace, param),
            Some("namespace") if namespace.is_none() => {
                let name = required(&mut tool, "name", param)?;
                let path = format!("{param}.tools");
                for member in objects(take_array(&mut tool, "tools", &path)?, &path) {
                    let (member, param) = member?;
                    self.add(member, Some(&name), &param)?;
                }
                Ok(())
            }
            Some(kind) if is_hosted(kind) => {
                if !self.dropped.iter().any(|known| known == kind) {
                    self.dropped.push(kind.to_owned());
                }
                Ok(())
            }
            Some(kind) => Err(unsupported(
                path,
                format!(
                    "`{param}` is a tool of type {kind}, which is not known here. This endpoint supports function, custom \
                     and namespace; hosted tools such as web_search are dropped."
                ),
            )),
            None => Err(missing(path)),
        }
    }

    fn add_function(&mut self, mut tool: Members, namespace: Option<&str>, param: &str) -> Result<(), ApiError> {
        if tool.contains_key("function") && !tool.contains_key("name") {
            let message = format!(
                "`{param}` has the shape of Chat Completions; in the Responses API `name` and `parameters` stand beside `type`."
            );
            return Err(invalid(param, message));
        }
        let name = required(&mut tool, "name", param)?;
        let [description, parameters, strict] =
            ["description", "parameters", "strict"].map(|member| take(&mut tool, member));
        let name = match namespace {
            Some(namespace) => self.rename(Some(namespace), name, false, param)?,
            None if self.names.find(&name).is_some() => return Err(name_is_taken(param, &name)),
            None => name,
        };
        self.functions.push(function_tool(name, description, parameters, strict));
        Ok(())
    }

    /// A custom tool takes a text: a function with one string.
    fn add_custom(&mut self, mut tool: Members, namespace: Option<&str>, param: &str) -> Result<(), ApiError> {
        let name = required(&mut tool, "name", param)?;
        let name = self.rename(namespace, name, true, param)?;
        let mut about = "The input of the tool, as it is.".to_owned();
        if let Some(format) = tool.get("format").filter(|format| format["type"] == "grammar") {
            let [syntax, definition] = ["syntax", "definition"].map(|key| as_text(format[key].clone()));
            about = format!("{about} It must match this grammar ({syntax}):\n{definition}");
        }
        let parameters = json!({
            "type": "object",
            "properties": { PARAMETER: { "type": "string", "description": about } },
            "required": [PARAMETER],
            "additionalProperties": false,
        });
        self.functions.push(function_tool(name, take(&mut tool, "description"), Some(parameters), None));
        Ok(())
    }

    /// The engine's name for a tool that is no plain function.
    fn rename(&mut self, namespace: Option<&str>, name: String, custom: bool, param: &str) -> Result<String, ApiError> {
        let tool = ClientTool { namespace: namespace.map(str::to_owned), name, custom };
        let name = tool.engine_name();
        if has_function(&self.functions, &name) || !self.names.add(tool) {
            return Err(name_is_taken(param, &name));
        }
        Ok(name)
    }

    /// Moves `tool_choice` from the request to `set`, and the functions that may be called with it.
    pub(super) fn set(mut self, request: &mut Members, set: &mut Members) -> Result<(), ApiError> {
        let choice = take(request, "tool_choice").map(|choice| self.choice(choice)).transpose()?;
        if self.functions.is_empty() {
            if choice.is_some_and(|choice| choice != "none" && choice != "auto") {
                return Err(invalid("tool_choice", self.nothing_to_call()));
            }
            // Engines refuse these without tools.
            request.shift_remove("parallel_tool_calls");
            return Ok(());
        }
        set.insert("tools".into(), self.functions.into());
        set.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
        Ok(())
    }

    fn nothing_to_call(&self) -> String {
        match self.dropped.is_empty() {
            true => "`tool_choice` demands a tool call, but `tools` is empty.".to_owned(),
            false => format!(
                "`tool_choice` demands a tool call, but nobody here can run the tools that are left ({}). Leave \
                 `tool_choice` out, or add a function.",
                self.dropped.join(", ")
            ),
        }
    }

    /// Chat's choice; only the functions that are allowed are kept.
    fn choice(&mut self, choice: Value) -> Result<Value, ApiError> {
        let mut choice = match choice {
            Value::String(word) if matches!(word.as_str(), "none" | "auto" | "required") => return Ok(word.into()),
            Value::String(word) => {
                let message = format!("`tool_choice` must be none, auto, required or an object, not \"{word}\".");
                return Err(invalid("tool_choice", message));
            }
            other => object(other, "tool_choice")?,
        };
        match peek(&choice, "type") {
            Some("function" | "custom") => Ok(choice_of(&self.known(&mut choice, "tool_choice")?)),
            Some("allowed_tools") => {
                self.keep_allowed(&mut choice)?;
                match peek(&choice, "mode") {
                    Some(mode @ ("auto" | "required")) => Ok(mode.into()),
                    _ => Err(invalid("tool_choice.mode", "`tool_choice.mode` must be auto or required.")),
                }
            }
            Some(kind) => Err(not_callable("tool_choice.type", "tool_choice", kind)),
            None => Err(missing("tool_choice.type")),
        }
    }

    /// Keeps the functions that the choice allows. Hosted tools that it allows were dropped already.
    fn keep_allowed(&mut self, choice: &mut Members) -> Result<(), ApiError> {
        let allowed = array(take(choice, "tools").unwrap_or_default(), "tool_choice.tools")?;
        let mut names = Vec::new();
        for tool in objects(allowed, "tool_choice.tools") {
            let (mut tool, param) = tool?;
            match peek(&tool, "type") {
                None | Some("function" | "custom") => names.push(self.known(&mut tool, &param)?),
                Some(kind) if is_hosted(kind) => {}
                Some(kind) => return Err(not_callable(format!("{param}.type"), &param, kind)),
            }
        }
        self.functions.retain(|tool| names.iter().any(|name| tool["function"]["name"] == name.as_str()));
        Ok(())
    }

    /// The engine's name for the tool that the object at `param` names.
    fn known(&self, named: &mut Members, param: &str) -> Result<String, ApiError> {
        let namespace = take(named, "namespace").map(as_text);
        let client = ClientTool { namespace, name: required(named, "name", param)?, custom: false };
        let name = client.engine_name();
        if has_function(&self.functions, &name) {
            return Ok(name);
        }
        let param = format!("{param}.name");
        let message = format!("`{param}` is \"{}\", but no function in `tools` has that name.", client.name);
        Err(invalid(param, message))
    }
}

/// Whether tools of that type are a provider's, with or without a version.
fn is_hosted(kind: &str) -> bool {
    let is_version = |rest: &str| rest.is_empty() || rest.bytes().all(|byte| byte == b'_' || byte.is_ascii_digit());
    HOSTED.iter().any(|hosted| kind.strip_prefix(hosted).is_some_and(is_version))
}

fn not_callable(path: impl Into<String>, param: &str, kind: &str) -> ApiError {
    let message = format!(
        "`{param}` names a tool of type {kind}, which nobody here can run: only functions and custom tools can be called. \
         Leave it out."
    );
    unsupported(path, message)
}

fn name_is_taken(param: &str, name: &str) -> ApiError {
    let path = format!("{param}.name");
    let message = format!("`{param}` is \"{name}\" for the engine, and so is another of `tools`. Rename one of them.");
    invalid(path, message)
}
