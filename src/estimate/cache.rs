//! The KV cache of one GPU: bytes per token and per request.

use std::collections::BTreeMap;

use super::weights::{float_bytes, partition};
use super::{EngineFlags, Layer, Shape};

/// Tokens in a block (vLLM `config/cache.py` `DEFAULT_BLOCK_SIZE`; the kernels for compressed attention take 64).
const BLOCK: u64 = 16;
const LATENT_BLOCK: u64 = 64;

/// What the layers of one GPU, that of the fullest pipeline stage, keep of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Layers by what they keep, as many as there is memory set aside for.
    kinds: BTreeMap<Layer, u64>,
    /// Bytes of one token in one layer.
    width: u64,
    block: u64,
    in_flight: u64,
}

impl Cache {
    /// The cache that `flags` makes of `shape`.
    ///
    /// # Errors
    /// Says why it is unknown.
    pub(super) fn new(shape: &Shape, flags: &EngineFlags) -> Result<Self, String> {
        let layers = shape.layers.as_ref().map_err(Clone::clone)?;
        // Every stage gets as many blocks as the one with the most to keep can have.
        let mut kinds = BTreeMap::<Layer, u64>::new();
        let mut begin = 0;
        for end in partition(shape.depth, flags.pipeline_parallel) {
            let stage = layers.iter().take(index(end)).skip(index(begin));
            let mut own = BTreeMap::new();
            stage.filter(|layer| keeps(layer)).for_each(|layer| *own.entry(*layer).or_insert(0) += 1);
            begin = end;
            if own.values().sum::<u64>() > kinds.values().sum() {
                kinds = own;
            }
        }
        let width = match kinds.is_empty() {
            true => 0,
            false => width(shape, flags)?,
        };
        let block = flags.block_size.unwrap_or(if shape.latent.is_some() { LATENT_BLOCK } else { BLOCK });
        Ok(Self { kinds: padded(kinds), width, block, in_flight: flags.in_flight() })
    }

    /// Bytes that a token takes in all layers, as long as it is within every window.
    #[must_use]
    pub fn per_token(&self) -> u64 {
        self.kinds.values().sum::<u64>().saturating_mul(self.width)
    }

    /// Some layers forget before a request has `length` tokens: [`Cache::per_token`] holds for the latest tokens only.
    #[must_use]
    pub fn forgets(&self, length: u64) -> bool {
        let window = |layer: &Layer| matches!(layer, Layer::Sliding(size) | Layer::Chunked(size) if *size < length);
        self.kinds.keys().any(window)
    }

    /// Bytes set aside for a request of `length` tokens (vLLM `v1/kv_cache_interface.py` `max_memory_usage_bytes` of
    /// `FullAttentionSpec`, `SlidingWindowSpec` and `ChunkedLocalAttentionSpec`).
    #[must_use]
    pub fn request(&self, length: u64) -> u64 {
        let page = self.width.saturating_mul(self.block);
        let blocks = |tokens: u64| tokens.min(length).div_ceil(self.block.max(1));
        self.kinds.iter().fold(0, |sum, (layer, count)| {
            let blocks = match layer {
                Layer::Full => blocks(length),
                // A window need not begin where a block does: one more.
                Layer::Sliding(window) => {
                    blocks((window.saturating_sub(1)).saturating_add(self.in_flight)).saturating_add(1)
                }
                Layer::Chunked(chunk) => blocks(chunk.saturating_add(self.in_flight)),
                Layer::State | Layer::None => 0,
            };
            blocks.saturating_mul(page).saturating_mul(*count).saturating_add(sum)
        })
    }

    /// Longest request of at most `most` tokens that fits into `bytes`; 0 when none does.
    #[must_use]
    pub fn longest(&self, bytes: u64, most: u64) -> u64 {
        let (mut fits, mut over) = (0, most.saturating_add(1));
        while over - fits > 1 {
            let middle = fits + (over - fits) / 2;
            if self.request(middle) <= bytes { fits = middle } else { over = middle }
        }
        fits
    }
}

fn index(layer: u64) -> usize {
    usize::try_from(layer).unwrap_or(usize::MAX)
}

fn keeps(layer: &Layer) -> bool {
    !matches!(layer, Layer::State | Layer::None)
}

/// Layers of several kinds share one pool of blocks in groups of equal size, filled up with layers that hold nothing:
/// Gemma 3's 52 sliding layers beside 10 full ones take the room of 60 (vLLM `v1/core/kv_cache_utils.py`
/// `_get_kv_cache_groups_uniform_page_size`).
fn padded(mut kinds: BTreeMap<Layer, u64>) -> BTreeMap<Layer, u64> {
    let (least, most) = (kinds.values().min().copied().unwrap_or(1), kinds.values().max().copied().unwrap_or(1));
    let group = if most.saturating_mul(2) < least.saturating_mul(3) { most } else { least };
    kinds.values_mut().for_each(|count| *count = count.div_ceil(group).saturating_mul(group));
    kinds
}

/// Bytes of one token in one layer on one GPU: keys and values of the heads it has, at least one (`AttentionSpec`,
/// `config/model.py` `get_num_kv_heads`), or one compressed vector that every GPU holds (`MLAAttentionSpec`).
fn width(shape: &Shape, flags: &EngineFlags) -> Result<u64, String> {
    let dtype = flags.kv_cache_dtype.as_deref().or(shape.kv_cache_dtype.as_deref()).unwrap_or("auto");
    // In sixteenths of a byte, as some types have less than one.
    let element = match dtype {
        "auto" => float_bytes(flags)?.saturating_mul(16),
        "float32" | "float" => 64,
        "float16" | "half" | "bfloat16" => 32,
        "fp8" | "fp8_e4m3" | "fp8_e5m2" | "fp8_inc" | "int8" => 16,
        // Compressed vector, its scales and the uncompressed part, in one piece (`mla_attention.py`).
        "fp8_ds_mla" if shape.latent.is_some() => return Ok(656),
        other => return Err(format!("the size of a KV cache of type {other} is not computed")),
    };
    let elements = match (shape.latent, shape.kv_heads, shape.head_dim) {
        (Some(latent), _, _) => latent.width,
        (None, Some(heads), Some(size)) => {
            let own = (heads / flags.tensor_parallel.max(1)).max(1);
            own.saturating_mul(size).saturating_mul(2)
        }
        _ => return Err("config.json does not tell the number and size of key and value heads".to_owned()),
    };
    Ok(elements.saturating_mul(element) / 16)
}
