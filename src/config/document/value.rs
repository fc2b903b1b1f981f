//! From the tree that was written to the value that is meant: variables expanded, scalars read as their setting wants.

use serde_json::{Map, Number, Value};

use super::source_map::SourceMap;
use super::variables::{Env, Wrong, expand};
use super::yaml::{Kind, Node};
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::schema::{element, member, shapes, types};
use crate::config::units::TEXT_FORMAT;

/// Resolves a document.
pub(in crate::config) struct Resolver<'a> {
    /// The JSON Schema of the whole.
    pub(in crate::config) schema: &'a Value,
    /// The environment.
    pub(in crate::config) env: Env<'a>,
    /// Filled with lines and spellings.
    pub(in crate::config) source_map: SourceMap,
    /// Filled with what cannot be expanded.
    pub(in crate::config) drafts: Vec<Draft>,
}

impl Resolver<'_> {
    /// The value of `node`, which stands at `path` and is described by `schema` (`None`: anything goes).
    /// `None`: it could not be expanded, with a draft.
    pub(in crate::config) fn resolve(&mut self, node: &Node, path: &Path, schema: Option<&Value>) -> Option<Value> {
        let wants = schema.map(|schema| types(self.schema, schema)).unwrap_or_default();
        match &node.kind {
            Kind::Map(members) => {
                let mut map = Map::new();
                for (key, line, value) in members {
                    let path = path.key(key);
                    self.source_map.note(&path, *line, value);
                    let schema = schema.and_then(|schema| member(self.schema, schema, key));
                    if let Some(value) = self.resolve(value, &path, schema) {
                        map.entry(key.clone()).or_insert(value);
                    }
                }
                Some(Value::Object(map))
            }
            Kind::List(items) => {
                let schema = schema.and_then(|schema| element(self.schema, schema));
                let resolved: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| {
                        let path = path.index(at);
                        self.source_map.note(&path, item.line, item);
                        self.resolve(item, &path, schema)
                    })
                    .collect();
                resolved.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
            }
            // A heading with nothing (or only comments) below it.
            Kind::Null if wants.contains(&"object") => Some(Value::Object(Map::new())),
            Kind::Null if wants.contains(&"array") => Some(Value::Array(Vec::new())),
            Kind::Null => Some(Value::Null),
            Kind::Bool(_) | Kind::Number(_) if self.as_written(schema, &wants) => {
                Some(Value::String(node.spelling.clone()))
            }
            Kind::Bool(value) => Some(Value::Bool(*value)),
            Kind::Number(number) => Some(Value::Number(whole(number, &wants))),
            Kind::Text(text) => self.text(node, text, path, &wants, schema),
        }
    }

    /// Whether the setting is a text, so that `1.10` is four characters and no number.
    fn as_written(&self, schema: Option<&Value>, wants: &[&str]) -> bool {
        let shapes = schema.map(|schema| shapes(self.schema, schema)).unwrap_or_default();
        wants == ["string"] || shapes.iter().any(|shape| shape.get("format").is_some_and(|it| it == TEXT_FORMAT))
    }

    fn text(&mut self, node: &Node, text: &str, path: &Path, wants: &[&str], schema: Option<&Value>) -> Option<Value> {
        let expanded = match expand(text, self.env) {
            Ok(expanded) => expanded,
            Err(wrong) => {
                self.drafts.extend(wrong.into_iter().map(|wrong| describe(wrong, path)));
                return None;
            }
        };
        let quoted = node.spelling.starts_with(['"', '\'', '|', '>']);
        let only_scalars = !wants.is_empty() && !wants.contains(&"string");
        let wanted = |types: &[&str]| wants.is_empty() || wants.iter().any(|name| types.contains(name));
        if expanded.whole && (!quoted || only_scalars) && !self.as_written(schema, wants) {
            match serde_json::from_str(&expanded.text) {
                Ok(value @ Value::Bool(_)) if wanted(&["boolean"]) => return Some(value),
                Ok(Value::Number(number)) if wanted(&["integer", "number"]) => {
                    return Some(Value::Number(whole(&number, wants)));
                }
                _ => {}
            }
        }
        Some(Value::String(expanded.text))
    }
}

/// `3.0` where a whole number is wanted is 3.
fn whole(number: &Number, wants: &[&str]) -> Number {
    let integer = wants.contains(&"integer") && !wants.contains(&"number");
    match number.as_f64() {
        // Below 2^53 every whole number is exact.
        Some(float) if integer && number.is_f64() && float.fract() == 0.0 && (0.0..9e15).contains(&float) => {
            format!("{float:.0}").parse::<u64>().map_or_else(|_| number.clone(), Number::from)
        }
        _ => number.clone(),
    }
}

fn describe(wrong: Wrong, path: &Path) -> Draft {
    match wrong {
        Wrong::Missing(name) => Draft::new(
            path.clone(),
            format!("The environment variable {name} is not set."),
            format!("Set {name}, or give a default: ${{{name}:-default}}."),
        ),
        Wrong::Open => Draft::new(
            path.clone(),
            "`${` is never closed.",
            "Write ${NAME}, or $${ if the two characters themselves are meant.",
        )
        .hidden(),
        Wrong::Name(_) => Draft::new(
            path.clone(),
            "Between `${` and `}` there is no name of an environment variable.",
            "Write ${NAME} or ${NAME:-default} (letters, digits and _), or $${ if the characters themselves are meant.",
        )
        .hidden(),
    }
}
