//! What `adapter_config.json` says of an adapter (PEFT's format), and what of it vLLM does not take.

use serde_json::Value;

/// What is said of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AdapterConfig {
    /// The model it was made for: an id on the hub, or a path on the machine of its makers.
    pub(super) base: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) rank: Option<u64>,
    /// What a person should know, a sentence each.
    pub(super) notes: Vec<String>,
}

/// `--max-lora-rank` of vLLM unless it is set (`config/lora.py`).
const DEFAULT_MAX_RANK: u64 = 16;

/// Reads `config`.
pub(super) fn read(config: &Value) -> AdapterConfig {
    let word = |key: &str| config.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let kind = word("peft_type");
    let rank = config.get("r").and_then(Value::as_u64);
    let mut notes = Vec::new();
    if let Some(kind) = kind.as_deref().filter(|kind| *kind != "LORA") {
        notes.push(format!("it is of type {kind}: vLLM takes LoRA adapters only"));
    }
    if config.get("use_dora").and_then(Value::as_bool) == Some(true) {
        notes.push("it uses DoRA, which vLLM refuses".to_owned());
    }
    // What is trained whole beside the adapter (vLLM `lora/peft_helper.py`).
    if config.get("modules_to_save").and_then(Value::as_array).is_some_and(|modules| !modules.is_empty()) {
        notes.push("it has whole layers (modules_to_save), which vLLM refuses".to_owned());
    }
    if let Some(rank) = rank.filter(|rank| *rank > DEFAULT_MAX_RANK) {
        notes.push(format!(
            "its model needs `args: {{max-lora-rank: {rank}}}` or more: vLLM takes {DEFAULT_MAX_RANK} unless told"
        ));
    }
    AdapterConfig { base: word("base_model_name_or_path"), kind, rank, notes }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn base_and_rank_are_read_and_what_vllm_refuses_is_told() {
        let plain =
            json!({"base_model_name_or_path": "Qwen/Qwen3-8B", "peft_type": "LORA", "r": 16, "modules_to_save": null});
        let want = AdapterConfig {
            base: Some("Qwen/Qwen3-8B".into()),
            kind: Some("LORA".into()),
            rank: Some(16),
            notes: vec![],
        };
        assert_eq!(read(&plain), want);
        let odd = json!({"peft_type": "IA3", "use_dora": true, "modules_to_save": ["lm_head"], "r": 64});
        let notes = read(&odd).notes;
        assert_eq!(notes.len(), 4, "{notes:?}");
        assert!(notes[0].contains("IA3") && notes[3].contains("max-lora-rank: 64"), "{notes:?}");
        assert_eq!(read(&json!(7)), AdapterConfig::default());
    }

    proptest! {
        #[test]
        fn no_config_panics(text in any::<String>(), number in any::<f64>()) {
            for key in ["base_model_name_or_path", "peft_type", "r", "modules_to_save", "use_dora"] {
                for value in [json!(text), json!(number), json!([text]), json!({"a": number})] {
                    let _ = read(&json!({key: value}));
                }
            }
        }
    }
}
