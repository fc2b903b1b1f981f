//! How an engine is asked to run a model, as far as its memory depends on it.

/// Flags of `vllm serve` that change what a model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFlags {
    /// `--tensor-parallel-size`.
    pub tensor_parallel: u64,
    /// `--pipeline-parallel-size`.
    pub pipeline_parallel: u64,
    /// `--data-parallel-size`; experts are spread over these GPUs too.
    pub data_parallel: u64,
    /// `--enable-expert-parallel`.
    pub expert_parallel: bool,
    /// `--dtype`; `None` is `auto`.
    pub dtype: Option<String>,
    /// `--kv-cache-dtype`; `None` is `auto`.
    pub kv_cache_dtype: Option<String>,
    /// `--quantization`.
    pub quantization: Option<String>,
    /// `--max-model-len`; `None` is the model's own, or `auto`.
    pub max_model_len: Option<u64>,
    /// `--max-model-len auto`: the engine takes the greatest length that fits.
    pub shortens: bool,
    /// `--max-num-batched-tokens`; `None` lets vLLM choose by the size of the card.
    pub batched_tokens: Option<u64>,
    /// `--block-size`; `None` lets vLLM choose.
    pub block_size: Option<u64>,
    /// Memory of one GPU in bytes, where known: vLLM chooses defaults by it.
    pub gpu_memory: Option<u64>,
    /// Flags given that change the need in a way which is not computed here.
    pub uncounted: Vec<&'static str>,
}

impl Default for EngineFlags {
    fn default() -> Self {
        Self {
            tensor_parallel: 1,
            pipeline_parallel: 1,
            data_parallel: 1,
            expert_parallel: false,
            dtype: None,
            kv_cache_dtype: None,
            quantization: None,
            max_model_len: None,
            shortens: false,
            batched_tokens: None,
            block_size: None,
            gpu_memory: None,
            uncounted: Vec::new(),
        }
    }
}

/// Flags that change the need but are not modelled: with one of them no verdict is given.
const UNCOUNTED: [&str; 7] = [
    "cpu-offload-gb",
    "decode-context-parallel-size",
    "hf-overrides",
    "kv-cache-memory-bytes",
    "language-model-only",
    "num-gpu-blocks-override",
    "speculative-config",
];

impl EngineFlags {
    /// Reads the flags through `flag`, which gives the value of a flag named without dashes (`max-model-len`);
    /// `true`, `1` and the empty text turn a switch on. A value that cannot be read counts as not given: vLLM itself
    /// refuses it with better words.
    #[must_use]
    pub fn from_flags(flag: &dyn Fn(&str) -> Option<String>) -> Self {
        let size = |name| flag(name).and_then(|text| text.trim().parse().ok()).filter(|&size| size > 0);
        let word = |name| flag(name).filter(|text| !text.is_empty() && text != "auto");
        Self {
            tensor_parallel: size("tensor-parallel-size").unwrap_or(1),
            pipeline_parallel: size("pipeline-parallel-size").unwrap_or(1),
            data_parallel: size("data-parallel-size").unwrap_or(1),
            expert_parallel: flag("enable-expert-parallel")
                .is_some_and(|text| matches!(text.trim(), "" | "true" | "1")),
            dtype: word("dtype"),
            kv_cache_dtype: word("kv-cache-dtype"),
            quantization: word("quantization"),
            max_model_len: flag("max-model-len").and_then(|text| length(&text)),
            shortens: flag("max-model-len").is_some_and(|text| matches!(text.trim(), "auto" | "-1")),
            batched_tokens: flag("max-num-batched-tokens").and_then(|text| length(&text)),
            block_size: size("block-size"),
            gpu_memory: None,
            uncounted: UNCOUNTED.into_iter().filter(|name| word(name).is_some_and(|text| text != "0")).collect(),
        }
    }

    /// GPUs that one copy of the model is spread over.
    #[must_use]
    pub fn gpus(&self) -> u64 {
        self.tensor_parallel.max(1).saturating_mul(self.pipeline_parallel.max(1))
    }

    /// Tokens that may be scheduled and not yet settled, which layers with a window keep on top of the window.
    ///
    /// Two batches are under way with asynchronous scheduling, one more than there are pipeline stages; the size of a
    /// batch depends on the card (vLLM `config/vllm.py` `max_in_flight_tokens`, `engine/arg_utils.py`
    /// `get_batch_defaults`). A card of unknown size counts as one of 80 GB.
    pub(super) fn in_flight(&self) -> u64 {
        const GIB: u64 = 1 << 30;
        let batch = self.batched_tokens.unwrap_or(match self.gpu_memory {
            Some(bytes) if bytes >= 160 * GIB => 16384,
            Some(bytes) if bytes < 70 * GIB => 2048,
            _ => 8192,
        });
        batch.saturating_mul(self.pipeline_parallel.max(1).saturating_add(1))
    }
}

/// Reads a length as vLLM does: `32768`, `32k` (thousands), `32K` (1024), `25.6k`; `None` for `auto`, `-1` and what is
/// not a length (vLLM `utils/argparse_utils.py` `human_readable_int_or_auto`).
#[must_use]
pub fn length(text: &str) -> Option<u64> {
    let text = text.trim();
    let last = text.chars().next_back()?;
    let (digits, unit): (&str, u64) = match last {
        'k' => (&text[..text.len() - 1], 1_000),
        'm' => (&text[..text.len() - 1], 1_000_000),
        'g' => (&text[..text.len() - 1], 1_000_000_000),
        'K' => (&text[..text.len() - 1], 1 << 10),
        'M' => (&text[..text.len() - 1], 1 << 20),
        'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(unit).filter(|&length| length > 0);
    }
    let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let tenths = digits.parse::<f64>().ok().filter(|_| plain && last.is_ascii_lowercase())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates, and has no sign")]
    let length = (tenths * unit as f64) as u64;
    Some(length).filter(|&length| length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_vllm_reads_them() {
        for (text, want) in [
            ("32768", Some(32768)),
            ("32k", Some(32_000)),
            ("32K", Some(32_768)),
            ("25.6k", Some(25_600)),
            ("1M", Some(1 << 20)),
            ("auto", None),
            ("-1", None),
            ("0", None),
            ("", None),
            ("1.5K", None),
            ("é", None),
            ("99999999999999999999K", None),
        ] {
            assert_eq!(length(text), want, "{text}");
        }
    }

    #[test]
    fn flags_are_read() {
        let flags = |name: &str| match name {
            "tensor-parallel-size" => Some("4".to_owned()),
            "pipeline-parallel-size" => Some("zwei".to_owned()),
            "enable-expert-parallel" => Some("true".to_owned()),
            "kv-cache-dtype" => Some("auto".to_owned()),
            "max-model-len" => Some("8K".to_owned()),
            "cpu-offload-gb" => Some("0".to_owned()),
            "speculative-config" => Some("{}".to_owned()),
            _ => None,
        };
        let read = EngineFlags::from_flags(&flags);
        assert_eq!(
            read,
            EngineFlags {
                tensor_parallel: 4,
                expert_parallel: true,
                max_model_len: Some(8192),
                uncounted: vec!["speculative-config"],
                ..EngineFlags::default()
            }
        );
        assert_eq!(read.gpus(), 4);
    }
}
