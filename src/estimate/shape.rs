//! The shape of a model as its `config.json` gives it, in the many spellings there are.

use serde_json::Value;

use super::json::{any, flag, number, word};
use super::layers::{self, Layer};

/// What of `config.json` memory depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// `model_type` of the language model, such as `qwen3`.
    pub model_type: String,
    /// Layers of the language model.
    pub depth: u64,
    /// Attention heads, where there are any.
    pub heads: Option<u64>,
    /// Key and value heads of the whole model.
    pub kv_heads: Option<u64>,
    /// Size of a head.
    pub head_dim: Option<u64>,
    /// Size of the vocabulary.
    pub vocab: Option<u64>,
    /// Routed experts per layer.
    pub experts: Option<u64>,
    /// The output layer is the embedding, so that it is not loaded a second time.
    pub tied: bool,
    /// What each layer keeps of the past, or why that is unknown.
    pub layers: Result<Vec<Layer>, String>,
    /// Multi-head latent attention (DeepSeek): one compressed vector per token instead of keys and values.
    pub latent: Option<Latent>,
    /// Longest request by default; `None` with [`Shape::layers`] of no cache means it does not matter.
    pub max_len: u64,
    /// The config names no longest request, and `max_len` is vLLM's stopgap.
    pub max_len_guessed: bool,
    /// `quant_method` of a checkpoint that is quantized on disk.
    pub quantized: Option<String>,
    /// Type of the KV cache that the checkpoint asks for, such as `fp8`.
    pub kv_cache_dtype: Option<String>,
}

/// Sizes of multi-head latent attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latent {
    /// Elements kept per token and layer: `kv_lora_rank + qk_rope_head_dim`.
    pub width: u64,
    /// `kv_lora_rank`.
    pub rank: u64,
    /// `qk_nope_head_dim + v_head_dim`: what `kv_b_proj` makes of the compressed vector, per head.
    pub unpacked: u64,
}

/// Model types whose attention vLLM runs on compressed vectors (`model_arch_config_convertor.py` `is_deepseek_mla`).
const LATENT: [&str; 11] = [
    "axk1",
    "deepseek_v2",
    "deepseek_v3",
    "deepseek_v32",
    "glm4_moe_lite",
    "glm_moe_dsa",
    "kimi_k2",
    "kimi_linear",
    "longcat_flash",
    "pangu_ultra_moe",
    "bailing_hybrid",
];

/// More layers than any model has: a bound for what a file can make us allocate.
const MOST_LAYERS: u64 = 10_000;

/// Reads a `config.json`; `quant` is ModelOpt's `hf_quant_config.json`.
///
/// # Errors
/// In words, when this describes no model that is understood.
pub(super) fn read(config: &Value, quant: Option<&Value>) -> Result<Shape, String> {
    let text = language(config);
    let model_type = word(text, "model_type").or_else(|| word(config, "model_type")).unwrap_or_default().to_owned();
    let depth = any(text, &["num_hidden_layers", "n_layer", "num_layers", "n_layers"])
        .ok_or("config.json names no number of layers (num_hidden_layers)")?;
    if depth > MOST_LAYERS {
        return Err(format!("config.json claims {depth} layers"));
    }
    let gemma3 = model_type == "gemma3_text";
    let default = |known: bool, value: u64| known.then_some(value);
    let heads = any(text, &["num_attention_heads", "n_head", "n_heads"]).or(default(gemma3, 8));
    let kv_heads = kv_heads(text, &model_type, heads).map(|heads| if heads == 0 { 1 } else { heads });
    let hidden = any(text, &["hidden_size", "n_embd", "d_model"]);
    // `head_dim` may be null or 0, which means "not given" (`model_arch_config_convertor.py` `get_head_size`).
    let head_dim = any(text, &["head_dim", "hidden_size_per_head"])
        .filter(|&size| size > 0)
        .or(default(gemma3, 256))
        .or_else(|| hidden?.checked_div(heads?));
    let latent = latent(text, &model_type);
    let scheme = quantization(config, text, quant);
    let (max_len, max_len_guessed) = match max_len(config, text, gemma3) {
        Some(length) => (length, false),
        None => (2048, true),
    };
    Ok(Shape {
        depth,
        heads,
        kv_heads,
        head_dim,
        vocab: number(text, "vocab_size"),
        experts: any(text, &["num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts"])
            .filter(|&experts| experts > 0),
        tied: flag(config, "tie_word_embeddings")
            .or_else(|| flag(text, "tie_word_embeddings"))
            .unwrap_or_else(|| model_type.starts_with("gemma")),
        layers: layers::read(config, text, &model_type, depth),
        latent,
        max_len,
        max_len_guessed,
        quantized: scheme.and_then(|scheme| word(scheme, "quant_method")).map(str::to_lowercase).or_else(|| {
            let algo = quant?.get("quantization")?.get("quant_algo")?.as_str()?;
            Some(format!("modelopt {algo}"))
        }),
        kv_cache_dtype: scheme.or(quant).and_then(kv_cache_dtype),
        model_type,
    })
}

/// The language model of a multimodal config (`transformers_utils/config.py` `get_hf_text_config`).
fn language(config: &Value) -> &Value {
    for key in ["text_config", "llm_config", "language_config", "thinker_config", "decoder"] {
        if let Some(inner) = config.get(key).filter(|inner| inner.is_object()) {
            return language(inner);
        }
    }
    config
}

/// `model_arch_config_convertor.py` `get_total_num_kv_heads`, with its special cases.
fn kv_heads(text: &Value, model_type: &str, heads: Option<u64>) -> Option<u64> {
    if model_type == "falcon"
        && flag(text, "multi_query") == Some(true)
        && flag(text, "new_decoder_architecture") != Some(true)
    {
        return Some(1);
    }
    let names = ["n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num", "num_attention_groups"];
    let dbrx = || number(text.get("attn_config")?, "kv_n_heads");
    any(text, &names).or_else(dbrx).or((model_type == "gemma3_text").then_some(4)).or(heads)
}

fn latent(text: &Value, model_type: &str) -> Option<Latent> {
    if !LATENT.contains(&model_type) || flag(text, "is_causal") == Some(false) {
        return None;
    }
    let rank = number(text, "kv_lora_rank")?;
    let rope = number(text, "qk_rope_head_dim").unwrap_or(0);
    let unpacked =
        number(text, "qk_nope_head_dim").unwrap_or(0).saturating_add(number(text, "v_head_dim").unwrap_or(0));
    Some(Latent { width: rank.saturating_add(rope), rank, unpacked })
}

fn quantization<'a>(config: &'a Value, text: &'a Value, quant: Option<&'a Value>) -> Option<&'a Value> {
    let found = |value: &'a Value| {
        value.get("quantization_config").or_else(|| value.get("compression_config")).filter(|scheme| scheme.is_object())
    };
    found(config).or_else(|| found(text)).or_else(|| quant.filter(|quant| quant.get("quant_method").is_some()))
}

/// Only ModelOpt and compressed-tensors bring a type of the KV cache (`utils/torch_utils.py`
/// `resolve_kv_cache_dtype_string`, `quantization/compressed_tensors` `kv_cache_scheme`).
fn kv_cache_dtype(scheme: &Value) -> Option<String> {
    let inner = scheme.get("quantization").unwrap_or(scheme);
    if let Some(algo) = word(inner, "kv_cache_quant_algo") {
        return Some(algo.to_lowercase());
    }
    let bits = number(scheme.get("kv_cache_scheme")?, "num_bits")?;
    Some(if bits == 8 { "fp8".to_owned() } else { format!("{bits} bits") })
}

/// Longest request by default (`model_arch_config_convertor.py` `derive_max_model_len_and_key`, then
/// `config/model.py` `_get_and_verify_max_len`): the smallest of the known keys, times the factor of a position
/// scaling that does not already count it in.
fn max_len(config: &Value, text: &Value, gemma3: bool) -> Option<u64> {
    const KEYS: [&str; 9] = [
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "seq_length",
        "model_max_length",
        "max_target_positions",
        "max_sequence_length",
        "max_seq_length",
        "seq_len",
    ];
    let smallest = KEYS.iter().filter_map(|key| number(text, key)).min();
    let base = number(text, "model_max_length").or(smallest).or(gemma3.then_some(131_072))?;
    if gemma3 {
        return Some(base);
    }
    let mut factor = 1.0;
    for scaling in scalings(text) {
        match word(scaling, "rope_type").or_else(|| word(scaling, "type")).unwrap_or("default") {
            "longrope" | "su" => {
                let original = "original_max_position_embeddings";
                return number(text, original).or_else(|| number(config, original)).or(Some(base));
            }
            "llama3" | "yarn" | "deepseek_yarn" | "deepseek_llama_scaling" => {}
            _ => factor = scaling.get("factor").and_then(Value::as_f64).unwrap_or(factor),
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates; below 0 is 0")]
    Some((base as f64 * factor) as u64)
}

/// The position scalings: one, or one for each type of layer.
fn scalings(text: &Value) -> Vec<&Value> {
    let Some(found) = ["rope_parameters", "rope_scaling"].iter().find_map(|key| text.get(key)?.as_object()) else {
        return Vec::new();
    };
    let nested = !found.is_empty() && found.values().all(Value::is_object);
    match nested {
        true => found.values().collect(),
        false => ["rope_parameters", "rope_scaling"].iter().find_map(|key| text.get(key)).into_iter().collect(),
    }
}
