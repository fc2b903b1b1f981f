//! Which layers of a model keep keys and values of every token, of a window of tokens, or a state of fixed size.

use serde_json::Value;

use super::json::{any, flag, number, word};

/// What one layer keeps of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Keys and values of every token.
    Full,
    /// Keys and values of the last so many tokens.
    Sliding(u64),
    /// Keys and values of the current chunk of so many tokens (Llama 4).
    Chunked(u64),
    /// A state whose size does not depend on the tokens (Mamba, linear attention, convolution).
    State,
    /// Nothing: no attention, attention over one batch only (encoders), or the cache of another layer.
    None,
}

/// Encoders: no token is generated, so nothing is kept (vLLM `v1/kv_cache_interface.py` `EncoderOnlyAttentionSpec`).
const ENCODERS: [&str; 16] = [
    "bert",
    "roberta",
    "xlm-roberta",
    "modernbert",
    "distilbert",
    "nomic_bert",
    "new",
    "gte",
    "mpnet",
    "electra",
    "deberta",
    "deberta-v2",
    "clip",
    "siglip",
    "siglip2",
    "snowflake_gte",
];

/// Models of states only.
const STATES: [&str; 6] = ["mamba", "mamba2", "falcon_mamba", "rwkv", "rwkv6", "rwkv7"];

/// The layers from first to last.
///
/// # Errors
/// Says what about this model is not understood: an unknown attention counts as unknown, not as full.
pub(super) fn read(config: &Value, text: &Value, model_type: &str, depth: u64) -> Result<Vec<Layer>, String> {
    let all = |layer: Layer| (0..depth).map(|_| layer).collect::<Vec<_>>();
    if ENCODERS.contains(&model_type)
        || flag(text, "is_causal") == Some(false)
        || flag(text, "use_bidirectional_attention") == Some(true)
    {
        return Ok(all(Layer::None));
    }
    if STATES.contains(&model_type) {
        return Ok(all(Layer::State));
    }
    if flag(config, "is_encoder_decoder") == Some(true) {
        return Err(format!("{model_type} is an encoder with a decoder, whose cross-attention cache is not computed"));
    }
    let odd = ["compress_ratios", "index_topk", "block_configs", "global_head_dim", "rswa_window", "swa_head_dim"];
    if let Some(key) = odd.iter().find(|key| text.get(**key).is_some_and(|value| !value.is_null())) {
        return Err(format!("{model_type} has `{key}`, a form of attention whose cache is not computed"));
    }
    if number(text, "v_head_dim").is_some() && number(text, "kv_lora_rank").is_none() {
        return Err(format!("{model_type} has values of another size than keys, whose cache is not computed"));
    }
    let window = Layer::Sliding(number(text, "sliding_window").unwrap_or(0));
    let mut layers = match listed(text, window)? {
        Some(layers) => layers,
        None => (0..depth).map(|index| by_rule(text, model_type, index, depth)).collect::<Result<_, _>>()?,
    };
    // The multi-token-prediction layers may be listed too; they are loaded for speculative decoding only.
    layers.truncate(usize::try_from(depth).unwrap_or(usize::MAX));
    // Gemma 3n and 4: the last layers use the cache of earlier ones.
    let shared = any(text, &["num_kv_shared_layers"]).unwrap_or(0);
    let own = depth.saturating_sub(shared);
    for layer in layers.iter_mut().skip(usize::try_from(own).unwrap_or(usize::MAX)) {
        *layer = Layer::None;
    }
    if layers.len() as u64 != depth {
        return Err(format!("config.json lists {} types of layers for {depth} layers", layers.len()));
    }
    if layers.contains(&Layer::Sliding(0)) || layers.contains(&Layer::Chunked(0)) {
        return Err("config.json has layers with a window, but not its size".to_owned());
    }
    Ok(layers)
}

/// Lists that name each layer.
fn listed(text: &Value, window: Layer) -> Result<Option<Vec<Layer>>, String> {
    let chunk = Layer::Chunked(number(text, "attention_chunk_size").unwrap_or(0));
    if let Some(types) = ["layer_types", "layers_block_type"].iter().find_map(|key| text.get(key)?.as_array()) {
        let layer = |value: &Value| match value.as_str().unwrap_or_default() {
            "full_attention" | "attention" => Ok(Layer::Full),
            "sliding_attention" => Ok(window),
            "chunked_attention" => Ok(chunk),
            "linear_attention" | "mamba" | "mamba2" | "conv" | "recurrent" => Ok(Layer::State),
            "mlp" | "moe" => Ok(Layer::None),
            other => Err(format!("config.json has layers of type `{other}`, whose cache is not computed")),
        };
        // Qwen 2 lists types even where `use_sliding_window` turns windows off, and then as full attention.
        return types.iter().map(layer).collect::<Result<_, _>>().map(Some);
    }
    // Nemotron-H: M is Mamba, * attention, - a dense and E a mixture layer.
    if let Some(pattern) = word(text, "hybrid_override_pattern") {
        let layer = |c| match c {
            '*' => Ok(Layer::Full),
            'M' => Ok(Layer::State),
            '-' | 'E' => Ok(Layer::None),
            _ => Err(format!("hybrid_override_pattern has `{c}`, a kind of layer that is not known")),
        };
        return pattern.chars().filter(|c| *c != '|').map(layer).collect::<Result<_, _>>().map(Some);
    }
    // MiniMax-Text-01: 1 is attention, 0 linear attention.
    if let Some(types) = text.get("attn_type_list").and_then(Value::as_array) {
        let layer = |value: &Value| if value.as_u64() == Some(1) { Layer::Full } else { Layer::State };
        return Ok(Some(types.iter().map(layer).collect()));
    }
    Ok(None)
}

/// Families that give a rule instead of a list.
fn by_rule(text: &Value, model_type: &str, index: u64, depth: u64) -> Result<Layer, String> {
    let window = number(text, "sliding_window");
    let sliding = window.map_or(Layer::Full, Layer::Sliding);
    let every = |period: u64| period > 0 && (index + 1).is_multiple_of(period);
    let within = |list: &str, first: u64| {
        let list = text.get(list).or_else(|| text.get("linear_attn_config")?.get(list))?.as_array()?;
        Some(list.iter().any(|value| value.as_u64() == index.checked_add(first)))
    };
    let or_state = |full: bool| if full { Layer::Full } else { Layer::State };
    Ok(match model_type {
        "gemma3_text" | "gemma3" if every(number(text, "sliding_window_pattern").unwrap_or(6)) => Layer::Full,
        "gemma3_text" | "gemma3" => Layer::Sliding(window.unwrap_or(4096)),
        "gemma2" if every(2) => Layer::Full,
        "gemma2" => Layer::Sliding(window.unwrap_or(4096)),
        "cohere2" if every(number(text, "sliding_window_pattern").unwrap_or(4)) => Layer::Full,
        "gpt_oss" if every(2) => Layer::Full,
        "qwen2" | "qwen2_moe" | "qwen3" | "qwen3_moe" | "qwen2_5_vl_text" | "qwen2_5_vl" | "qwen2_vl" => {
            let slides = flag(text, "use_sliding_window") == Some(true)
                && index >= number(text, "max_window_layers").unwrap_or(depth);
            if slides { sliding } else { Layer::Full }
        }
        "qwen3_next" | "qwen3_5_text" | "qwen3_5_moe_text" => {
            or_state(every(number(text, "full_attention_interval").unwrap_or(4)))
        }
        "llama4_text" | "llama4" => {
            let rope = text.get("no_rope_layers").and_then(Value::as_array).filter(|list| !list.is_empty());
            let full = match rope {
                Some(list) => usize::try_from(index).ok().and_then(|i| list.get(i)?.as_u64()) == Some(0),
                None => every(number(text, "no_rope_layer_interval").unwrap_or(4)),
            };
            if full { Layer::Full } else { Layer::Chunked(number(text, "attention_chunk_size").unwrap_or(8192)) }
        }
        "jamba" => {
            let period = number(text, "attn_layer_period").unwrap_or(8).max(1);
            or_state(index % period == number(text, "attn_layer_offset").unwrap_or(4))
        }
        "bamba" => or_state(within("attn_layer_indices", 0).unwrap_or(false)),
        "lfm2" | "lfm2_moe" if text.get("full_attn_idxs").is_some() => {
            or_state(within("full_attn_idxs", 0).unwrap_or(false))
        }
        "kimi_linear" => or_state(within("full_attn_layers", 1).unwrap_or(false)),
        "zamba2" | "plamo2" | "falcon_h1" | "granitemoehybrid" | "recurrent_gemma" | "nemotron_h"
        | "bailing_hybrid" | "gemma4_text" | "gemma4" | "gemma3n_text" | "gemma3n" | "phi4flash" | "minicpm_sala" => {
            return Err(format!("{model_type} mixes layers in a way that is not computed"));
        }
        _ => sliding,
    })
}
