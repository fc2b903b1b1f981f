//! What `config.json` says of a model besides its shape, which `estimate` reads: architecture, type, quantisation.

use serde_json::Value;

/// What a config says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) architecture: Option<String>,
    pub(super) model_type: Option<String>,
    pub(super) dtype: Option<String>,
    pub(super) quantization: Option<Quantization>,
}

/// How weights are quantised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quantization {
    /// Such as `awq`, `fp8`, `modelopt NVFP4`.
    pub(super) method: String,
    /// Bits of a weight.
    pub(super) bits: Option<u64>,
}

impl Quantization {
    /// Such as `awq 4-bit`.
    pub(super) fn text(&self) -> String {
        match self.bits {
            // These names say it.
            Some(bits) if !self.method.contains(&bits.to_string()) => format!("{} {bits}-bit", self.method),
            _ => self.method.clone(),
        }
    }
}

/// Reads `config`; `quant` is ModelOpt's `hf_quant_config.json`.
pub(super) fn read(config: &Value, quant: Option<&Value>) -> Description {
    let inner = ["text_config", "llm_config", "language_config"].iter().find_map(|key| config.get(key));
    let word = |key: &str| {
        let here = config.get(key).and_then(Value::as_str);
        here.or_else(|| inner?.get(key)?.as_str()).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let architecture = config.get("architectures").and_then(Value::as_array).and_then(|list| list.first()?.as_str());
    let scheme = ["quantization_config", "compression_config"]
        .iter()
        .find_map(|key| config.get(key).or_else(|| inner?.get(key)).filter(|scheme| scheme.is_object()));
    let dtype = word("dtype").or_else(|| word("torch_dtype"));
    Description {
        architecture: architecture.map(str::to_owned),
        model_type: word("model_type"),
        dtype: dtype.map(|text| text.trim_start_matches("torch.").to_owned()).filter(|text| text != "auto"),
        quantization: scheme.and_then(quantization).or_else(|| quant.and_then(quantization)),
    }
}

fn quantization(scheme: &Value) -> Option<Quantization> {
    // `hf_quant_config.json` has one level more.
    let inner = scheme.get("quantization").filter(|inner| inner.is_object()).unwrap_or(scheme);
    let algorithm = inner.get("quant_algo").and_then(Value::as_str);
    let method = scheme.get("quant_method").and_then(Value::as_str).map(str::to_lowercase);
    let method = match (method, algorithm) {
        (Some(method), Some(algorithm)) if method.starts_with("modelopt") => format!("modelopt {algorithm}"),
        (Some(method), _) => method,
        (None, Some(algorithm)) => format!("modelopt {algorithm}"),
        (None, None) => return None,
    };
    let bits = bits(scheme).or_else(|| algorithm.and_then(named_bits)).or_else(|| named_bits(&method));
    Some(Quantization { method, bits })
}

fn bits(scheme: &Value) -> Option<u64> {
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64);
    let is_set = |key: &str| scheme.get(key).and_then(Value::as_bool) == Some(true);
    let loaded = || match (is_set("load_in_4bit"), is_set("load_in_8bit")) {
        (true, _) => Some(4),
        (_, true) => Some(8),
        _ => None,
    };
    let groups = || {
        let groups = scheme.get("config_groups")?.as_object()?;
        let each = groups.values().filter_map(|group| number(group.get("weights")?, "num_bits"));
        // Several kinds: the coarsest one is what people call it by.
        each.min()
    };
    number(scheme, "bits").or_else(|| number(scheme, "w_bit")).or_else(loaded).or_else(groups)
}

/// Bits that a name tells.
fn named_bits(name: &str) -> Option<u64> {
    let name = name.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match () {
        () if is(&["fp4", "int4", "w4a"]) => Some(4),
        () if is(&["fp8", "int8", "w8a"]) => Some(8),
        () => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn quantized(scheme: &Value) -> Option<String> {
        read(&json!({"quantization_config": scheme}), None).quantization.map(|found| found.text())
    }

    #[test]
    fn what_a_config_says_is_read() {
        let config = json!({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16"});
        let want = Description {
            architecture: Some("Qwen3ForCausalLM".into()),
            model_type: Some("qwen3".into()),
            dtype: Some("bfloat16".into()),
            quantization: None,
        };
        assert_eq!(read(&config, None), want);
        let inner = json!({"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
            "text_config": {"model_type": "gemma3_text", "dtype": "torch.float16"}});
        let found = read(&inner, None);
        assert_eq!((found.model_type.as_deref(), found.dtype.as_deref()), (Some("gemma3"), Some("float16")));
        assert_eq!(read(&json!([1, "x"]), None), Description::default());
        assert_eq!(read(&json!({"architectures": [], "dtype": "auto", "model_type": 3}), None), Description::default());
    }

    #[test]
    fn quantisation_is_called_as_people_call_it() {
        for (scheme, want) in [
            (json!({"quant_method": "awq", "bits": 4, "group_size": 128}), Some("awq 4-bit")),
            (json!({"quant_method": "gptq", "bits": 8}), Some("gptq 8-bit")),
            (json!({"quant_method": "fp8", "weight_block_size": [128, 128]}), Some("fp8")),
            (json!({"quant_method": "mxfp4"}), Some("mxfp4")),
            (json!({"quant_method": "bitsandbytes", "load_in_4bit": true}), Some("bitsandbytes 4-bit")),
            (
                json!({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}},
                    "group_1": {"weights": {"num_bits": 8}}}}),
                Some("compressed-tensors 4-bit"),
            ),
            (json!({"quant_method": "modelopt", "quant_algo": "NVFP4"}), Some("modelopt NVFP4")),
            (json!({"bits": 4}), None),
        ] {
            assert_eq!(quantized(&scheme).as_deref(), want, "{scheme}");
        }
        let aside = json!({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}});
        let found = read(&json!({}), Some(&aside)).quantization.unwrap();
        assert_eq!((found.text().as_str(), found.bits), ("modelopt FP8", Some(8)));
    }

    proptest! {
        #[test]
        fn no_config_panics(
            key in prop::sample::select(vec!["architectures", "model_type", "dtype", "text_config", "quantization_config"]),
            inner in prop::sample::select(vec!["quant_method", "bits", "config_groups", "quantization", "quant_algo"]),
            text in any::<String>(), number in any::<f64>(),
        ) {
            for value in [json!(text), json!(number), json!([number]), json!({inner: text}), json!({inner: {"a": {"weights": number}}})] {
                let _ = read(&json!({key: value}), Some(&json!({inner: value})));
            }
        }
    }
}
