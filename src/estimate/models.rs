//! Models of real shapes for tests: headers without tensors, after the `config.json` files on the Hugging Face hub.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::{Facts, read};

pub(super) type Made = Vec<(String, &'static str, Vec<u64>)>;

/// A file whose header is real and whose tensors are a hole.
pub(super) fn write(path: &Path, tensors: &Made) -> u64 {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, dtype, shape) in tensors {
        let element = match *dtype {
            "F32" => 4,
            "BF16" => 2,
            _ => 1,
        };
        let begin = end;
        end += shape.iter().product::<u64>() * element;
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}));
    }
    let text = Value::from(header).to_string();
    let mut file = File::create(path).unwrap();
    file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_len(8 + text.len() as u64 + end).unwrap();
    end
}

/// Facts of a model of this config, and the bytes of all its tensors.
pub(super) fn made(config: &Value, tensors: &Made) -> (Facts, u64) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let bytes = write(&folder.path().join("model.safetensors"), tensors);
    (read(folder.path()).unwrap(), bytes)
}

/// The tensors of a decoder as Llama, Qwen 3 and their mixtures name them.
pub(super) fn decoder(config: &Value) -> Made {
    let text = config.get("text_config").unwrap_or(config);
    let n = |key: &str| text[key].as_u64().unwrap();
    let or = |key: &str, other: u64| text[key].as_u64().unwrap_or(other);
    let (hidden, heads, kv) = (n("hidden_size"), n("num_attention_heads"), n("num_key_value_heads"));
    let head = or("head_dim", hidden / heads);
    let prefix = if text == config { "" } else { "language_model." };
    let qwen3 = text["model_type"].as_str().unwrap().starts_with("qwen3");
    let gemma3 = text["model_type"] == "gemma3_text";
    let mut tensors: Made = vec![
        (format!("{prefix}model.embed_tokens.weight"), "BF16", vec![n("vocab_size"), hidden]),
        (format!("{prefix}model.norm.weight"), "BF16", vec![hidden]),
    ];
    if config["lm_head_on_disk"] == true || config["tie_word_embeddings"] == false {
        tensors.push((format!("{prefix}lm_head.weight"), "BF16", vec![n("vocab_size"), hidden]));
    }
    for layer in 0..n("num_hidden_layers") {
        let mut add = |name: &str, shape: &[u64]| {
            tensors.push((format!("{prefix}model.layers.{layer}.{name}.weight"), "BF16", shape.to_vec()));
        };
        add("self_attn.q_proj", &[heads * head, hidden]);
        add("self_attn.k_proj", &[kv * head, hidden]);
        add("self_attn.v_proj", &[kv * head, hidden]);
        add("self_attn.o_proj", &[hidden, heads * head]);
        add("input_layernorm", &[hidden]);
        add("post_attention_layernorm", &[hidden]);
        if qwen3 || gemma3 {
            add("self_attn.q_norm", &[head]);
            add("self_attn.k_norm", &[head]);
        }
        if gemma3 {
            add("pre_feedforward_layernorm", &[hidden]);
            add("post_feedforward_layernorm", &[hidden]);
        }
        let experts = or("num_experts", or("num_local_experts", 0));
        let (block, names) = match experts {
            0 => ("mlp", ["gate_proj", "up_proj", "down_proj"]),
            _ if qwen3 => ("mlp", ["gate_proj", "up_proj", "down_proj"]),
            _ => ("block_sparse_moe", ["w1", "w3", "w2"]),
        };
        let inner = or("moe_intermediate_size", n("intermediate_size"));
        if experts > 0 {
            add(&format!("{block}.gate"), &[experts, hidden]);
        }
        for expert in 0..experts.max(1) {
            let at = if experts > 0 { format!("{block}.experts.{expert}") } else { block.to_owned() };
            add(&format!("{at}.{}", names[0]), &[inner, hidden]);
            add(&format!("{at}.{}", names[1]), &[inner, hidden]);
            add(&format!("{at}.{}", names[2]), &[hidden, inner]);
        }
    }
    tensors
}

pub(super) fn qwen3(hidden: u64, layers: u64, heads: u64, inner: u64, tied: bool) -> Value {
    json!({"model_type": "qwen3", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": inner, "vocab_size": 151_936,
        "max_position_embeddings": 40960, "max_window_layers": layers, "use_sliding_window": false,
        "sliding_window": null, "rope_scaling": null, "tie_word_embeddings": tied, "torch_dtype": "bfloat16"})
}

pub(super) fn llama3(hidden: u64, layers: u64, heads: u64, inner: u64) -> Value {
    json!({"model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": 8, "intermediate_size": inner, "vocab_size": 128_256,
        "max_position_embeddings": 131_072, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "rope_scaling": {"factor": 8.0, "rope_type": "llama3", "original_max_position_embeddings": 8192}})
}

pub(super) fn qwen3_moe() -> Value {
    json!({"model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32,
        "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144, "moe_intermediate_size": 768,
        "num_experts": 128, "vocab_size": 151_936, "max_position_embeddings": 40960, "tie_word_embeddings": false})
}

pub(super) fn mixtral() -> Value {
    json!({"model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14336, "num_local_experts": 8, "vocab_size": 32000,
        "max_position_embeddings": 32768, "sliding_window": null, "tie_word_embeddings": false})
}

pub(super) fn gemma3() -> Value {
    json!({"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": {
        "model_type": "gemma3_text", "hidden_size": 5376, "num_hidden_layers": 62, "num_attention_heads": 32,
        "num_key_value_heads": 16, "head_dim": 128, "intermediate_size": 21504, "vocab_size": 262_208,
        "sliding_window": 1024, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}})
}
