//! How large the LoRA adapters on this machine are: vLLM must be told when one is larger than it expects.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::config::Spawn;

/// Such a file is a few KB.
const LARGEST: u64 = 4 << 20;

/// The ranks of the adapters of `spawn` that are folders here; those from a hub are not known before they are loaded.
/// Reads files.
pub(crate) fn of(spawn: &Spawn) -> Vec<u64> {
    spawn.lora.values().filter_map(|path| in_folder(Path::new(path))).collect()
}

fn in_folder(folder: &Path) -> Option<u64> {
    let mut bytes = Vec::new();
    File::open(folder.join("adapter_config.json")).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
    largest(&serde_json::from_slice(&bytes).ok()?)
}

/// The largest rank in an `adapter_config.json`: `r`, or one of `rank_pattern` for some layers (PEFT, LoraConfig).
fn largest(config: &Value) -> Option<u64> {
    let patterns = config.get("rank_pattern").and_then(Value::as_object);
    let each = patterns.into_iter().flat_map(|patterns| patterns.values());
    each.chain(config.get("r")).filter_map(Value::as_u64).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::testing::spawn;

    #[test]
    fn ranks_are_read_where_they_can_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spawn = spawn(&["vllm", "serve"]);
        spawn.lora.insert("hub".into(), "org/adapter".into());
        for (name, text) in [
            ("a", r#"{"r": 8}"#),
            ("b", r#"{"r": 8, "rank_pattern": {"q_proj": 64}}"#),
            ("c", r#"{"r": "x"}"#),
            ("d", "broken"),
        ] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
            std::fs::write(folder.path().join(name).join("adapter_config.json"), text).expect("a file");
            spawn.lora.insert(name.into(), folder.path().join(name).display().to_string());
        }
        assert_eq!(of(&spawn), [8, 64]);
    }
}
