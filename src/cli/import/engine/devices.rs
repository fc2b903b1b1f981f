//! The GPUs of an engine: as they are listed, and as its parallel sizes need them.

use serde_json::{Value, json};

use super::super::values::scalar;

/// GPUs in the spelling of `CUDA_VISIBLE_DEVICES`.
pub(super) fn devices(text: &str) -> Option<Vec<Value>> {
    let one = |text: &str| {
        let text = text.trim();
        let rest = |begin: &str, more: &str| {
            text.strip_prefix(begin).is_some_and(|rest| {
                !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            })
        };
        match text.parse::<u32>() {
            Ok(index) if index < 1000 => Some(json!(index)),
            _ => (rest("GPU-", "-") || rest("MIG-", "-/")).then(|| text.into()),
        }
    };
    text.split(',').map(one).collect()
}

/// GPUs in a list or a text.
pub(in crate::cli::import) fn gpus(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(scalar).collect();
            items.and_then(|items| if items.is_empty() { Some(Vec::new()) } else { devices(&items.join(",")) })
        }
        other => devices(&scalar(other)?),
    }
}
