//! The files that an import reads: each to a tree.

use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::yaml;
use crate::config::LARGEST_FILE;

/// A file that was read.
pub(super) struct File {
    /// As it was named.
    pub(super) name: String,
    /// What is in it.
    pub(super) tree: Map<String, Value>,
}

/// Reads all files; `-` is standard input.
///
/// # Errors
/// Each one that cannot be read, or is neither YAML nor JSON.
pub(super) fn read_all(names: &[String]) -> Result<Vec<File>, Vec<String>> {
    parse_all(names, &|name| {
        if name == "-" { text(io::stdin()) } else { text(std::fs::File::open(name)?) }
    })
}

/// What is in a file.
///
/// # Errors
/// When it cannot be read, or is too large: a device has no end.
pub(super) fn read_file(path: &Path) -> io::Result<String> {
    let text = text(std::fs::File::open(path)?)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other("it is larger than 8 MiB"));
    }
    Ok(text)
}

/// The text that comes, no more than a byte beyond what is understood.
fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// The same with another reader.
pub(super) fn parse_all(names: &[String], read: &dyn Fn(&str) -> io::Result<String>) -> Result<Vec<File>, Vec<String>> {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let text = match read(name) {
            Ok(text) if text.len() as u64 > LARGEST_FILE => {
                errors.push(format!("{name}: it is larger than 8 MiB, which no configuration is."));
                continue;
            }
            Ok(text) => text,
            Err(error) => {
                errors.push(format!("{name}: cannot be read: {error}. Check the path and its permissions."));
                continue;
            }
        };
        match yaml::read(&text) {
            Ok(tree) => files.push(File { name: name.clone(), tree }),
            Err(why) => errors.push(format!("{name}: not usable YAML or JSON: {why}.")),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// `value` with every `${` written so that it stands for itself here.
pub(super) fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${", "$${")),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, escaped(value))).collect()),
        other => other,
    }
}
