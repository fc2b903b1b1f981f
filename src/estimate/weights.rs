//! Bytes of weights on the fullest GPU: which tensors tensor parallelism splits, which it repeats, which are not loaded.

use super::header::Tensor;
use super::{EngineFlags, Facts, Shape};

/// A share of a tensor: so many parts of so many.
type Share = (u64, u64);

/// Rows that an embedding is padded to (vLLM `vocab_parallel_embedding.py` `DEFAULT_VOCAB_PADDING_SIZE`).
const VOCAB_PADDING: u64 = 64;

/// Bytes of weights on the fullest GPU, and what a person should know of the figure.
///
/// # Errors
/// Says why it is unknown.
pub(super) fn per_gpu(facts: &Facts, flags: &EngineFlags) -> Result<(u64, Vec<String>), String> {
    let weights = facts.weights.as_ref().map_err(Clone::clone)?;
    let (tensor, stages) = (flags.tensor_parallel.max(1), flags.pipeline_parallel.max(1));
    let Ok(shape) = &facts.shape else {
        if flags.gpus() > 1 {
            return Err("how the weights split over GPUs is unknown without a config.json".to_owned());
        }
        let sum = weights.tensors.iter().fold(weights.unnamed, |sum, tensor| sum.saturating_add(tensor.bytes));
        return Ok((sum, Vec::new()));
    };
    if stages > shape.depth {
        return Err(format!("{stages} pipeline stages for {} layers", shape.depth));
    }
    let plan = Plan::new(shape, flags)?;
    let partition = partition(shape.depth, stages);
    // The part of a GPU in each stage; what belongs to no stage is on every one.
    let mut sums = vec![0_u64; partition.len()];
    let last = sums.len() - 1;
    let (mut everywhere, mut speculative) = (0_u64, 0_u64);
    for item in &weights.tensors {
        let place = place(&item.name, shape);
        let bytes = plan.bytes(item, &place);
        let add = |sum: &mut u64| *sum = sum.saturating_add(bytes);
        match place {
            Place::Unloaded => {}
            Place::Speculative => speculative = speculative.saturating_add(item.bytes),
            Place::Layer(index) => {
                let stage = partition.iter().position(|end| index < *end).unwrap_or(last);
                add(&mut sums[stage]);
            }
            Place::Embedding => {
                add(&mut sums[0]);
                if shape.tied && last > 0 {
                    add(&mut sums[last]);
                }
            }
            Place::Output => add(&mut sums[last]),
            Place::Everywhere => add(&mut everywhere),
        }
    }
    let unnamed = weights.unnamed.div_ceil(tensor).div_ceil(stages);
    for (stage, sum) in sums.iter_mut().enumerate() {
        let begin = stage.checked_sub(1).map_or(0, |before| partition[before]);
        let extra = plan.unpacked_latent(partition[stage].saturating_sub(begin));
        *sum = sum.saturating_add(everywhere).saturating_add(unnamed).saturating_add(extra);
    }
    let mut notes = Vec::new();
    if speculative > 0 {
        notes.push("layers for speculative decoding (MTP) are not counted".to_owned());
    }
    if weights.unnamed > 0 && flags.gpus() > 1 {
        notes.push("weights without a readable header count as split evenly".to_owned());
    }
    Ok((sums.into_iter().max().unwrap_or(0), notes))
}

/// Ends of the pipeline stages, in layers: what is left over goes to the stages before the last (vLLM
/// `distributed/utils.py` `get_pp_indices`).
pub(super) fn partition(depth: u64, stages: u64) -> Vec<u64> {
    let stages = stages.clamp(1, depth.max(1));
    let (each, left) = (depth / stages, depth % stages);
    let mut end = 0;
    (0..stages)
        .map(|stage| {
            let from_last = stages - stage;
            end += each + u64::from(from_last >= 2 && from_last < left + 2);
            end
        })
        .collect()
}

/// Where a tensor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Layer(u64),
    Embedding,
    Output,
    /// Final norms, vision and audio towers, projectors.
    Everywhere,
    /// The tied output layer.
    Unloaded,
    Speculative,
}

fn place(name: &str, shape: &Shape) -> Place {
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if name.starts_with("mtp.") || name.contains(".mtp.") {
        return Place::Speculative;
    }
    if tower(name) {
        return Place::Everywhere;
    }
    let mut parts = name.split('.');
    while let Some(part) = parts.next() {
        if matches!(part, "layers" | "layer" | "h" | "blocks")
            && let Some(index) = parts.clone().next().and_then(|part| part.parse::<u64>().ok())
        {
            return if index < shape.depth { Place::Layer(index) } else { Place::Speculative };
        }
    }
    if ends(&["lm_head.weight", "embed_out.weight"]) || name == "output.weight" {
        return if shape.tied { Place::Unloaded } else { Place::Output };
    }
    let embedding =
        ["embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight", "tok_embeddings.weight"];
    if ends(&embedding) || name == "backbone.embeddings.weight" {
        return Place::Embedding;
    }
    Place::Everywhere
}

fn tower(name: &str) -> bool {
    ["vision", "visual", "audio", "image_encoder"].iter().any(|word| name.contains(word))
}

/// How the flags split a shape, and in which types it loads.
struct Plan<'a> {
    shape: &'a Shape,
    tensor: u64,
    experts: Share,
    /// Bytes of an element that is a float on disk.
    float: u64,
    /// `--quantization` at load of a checkpoint that is not quantized: bytes of an element of a linear layer.
    linear: Option<u64>,
}

impl<'a> Plan<'a> {
    fn new(shape: &'a Shape, flags: &EngineFlags) -> Result<Self, String> {
        let tensor = flags.tensor_parallel.max(1);
        // Experts are spread over all GPUs of all data-parallel engines; whole ones with expert parallelism, parts of
        // each without (vLLM `fused_moe/config.py` `FusedMoEParallelConfig.make`).
        let spread = tensor.saturating_mul(flags.data_parallel.max(1));
        let experts = match (flags.expert_parallel, shape.experts) {
            (true, Some(experts)) => (experts.div_ceil(spread), experts),
            _ => (1, spread),
        };
        let linear = match (flags.quantization.as_deref(), &shape.quantized) {
            (None, _) | (Some(_), Some(_)) => None,
            // Quantized while loading (vLLM `quantization/online`); the scales are too few to count.
            (Some("fp8" | "fp8_per_tensor" | "fp8_per_block"), None) => Some(1),
            (Some(other), None) => {
                return Err(format!("what `--quantization {other}` makes of the weights is not computed"));
            }
        };
        Ok(Self { shape, tensor, experts, float: float_bytes(flags)?, linear })
    }

    fn bytes(&self, item: &Tensor, place: &Place) -> u64 {
        let (part, of) = self.share(item, place);
        let share = u128::from(self.loaded(item, place)) * u128::from(part);
        u64::try_from(share.div_ceil(u128::from(of.max(1)))).unwrap_or(u64::MAX)
    }

    /// Bytes of the whole tensor once loaded: floats take the type of the model, whatever they are on disk.
    fn loaded(&self, item: &Tensor, place: &Place) -> u64 {
        // Scales of quantized weights, and what a model computes in 32 bits, stay as they are.
        let kept = ["scale", "A_log", "e_score_correction_bias", "absmax"].iter().any(|word| item.name.contains(word));
        if kept || !matches!(item.dtype.as_str(), "F64" | "F32" | "F16" | "BF16") {
            return item.bytes;
        }
        let elements = item.shape.iter().fold(1_u64, |product, extent| product.saturating_mul(*extent));
        let linear = matches!(place, Place::Layer(_)) && item.shape.len() > 1 && !repeated(&item.name);
        elements.saturating_mul(self.linear.filter(|_| linear).unwrap_or(self.float))
    }

    fn share(&self, item: &Tensor, place: &Place) -> Share {
        let (name, split) = (item.name.as_str(), (1, self.tensor));
        match place {
            Place::Embedding | Place::Output => {
                let rows = item.shape.first().copied().unwrap_or(0).max(1);
                (rows.div_ceil(VOCAB_PADDING).saturating_mul(VOCAB_PADDING), rows.saturating_mul(self.tensor))
            }
            Place::Unloaded | Place::Speculative => (0, 1),
            Place::Everywhere if tower(name) && item.shape.len() > 1 => split,
            Place::Everywhere => (1, 1),
            Place::Layer(_) if name.contains(".experts.") => self.experts,
            Place::Layer(_) if item.shape.len() < 2 || repeated(name) => (1, 1),
            Place::Layer(_) if self.shape.latent.is_none() && self.shape.kv_heads.is_some() => self.heads(name),
            Place::Layer(_) => split,
        }
    }

    /// Keys and values are split by whole heads, of which each GPU has at least one (vLLM `layers/linear.py`
    /// `QKVParallelLinear`).
    fn heads(&self, name: &str) -> Share {
        let kv = self.shape.kv_heads.unwrap_or(1).max(1);
        let own = (kv / self.tensor).max(1);
        if name.contains(".k_proj.") || name.contains(".v_proj.") {
            return (own, kv);
        }
        let fused = ["qkv_proj", "query_key_value", "Wqkv"].iter().any(|word| name.contains(word));
        match self.shape.heads {
            Some(heads) if fused => {
                let own = (heads / self.tensor).saturating_add(own.saturating_mul(2));
                (own.max(1), heads.saturating_add(kv.saturating_mul(2)))
            }
            _ => (1, self.tensor),
        }
    }

    /// `kv_b_proj` is kept a second time, unpacked per head in the type of the model, so that decoding works on the
    /// compressed cache (vLLM `attention/mla_attention.py` `W_UK_T`, `W_UV`).
    fn unpacked_latent(&self, layers: u64) -> u64 {
        let Some(latent) = self.shape.latent else { return 0 };
        let heads = self.shape.heads.unwrap_or(0).div_ceil(self.tensor);
        [heads, latent.unpacked, self.float, layers]
            .iter()
            .fold(latent.rank, |product, factor| product.saturating_mul(*factor))
    }
}

/// Matrices of a layer that every GPU holds whole (`ReplicatedLinear` in vLLM's models): routers and the first step of
/// compressed attention.
fn repeated(name: &str) -> bool {
    ["norm", ".gate.", ".router.", "shared_expert_gate", "q_a_proj", "kv_a_proj", "kv_a_proj_with_mqa", ".indexer."]
        .iter()
        .any(|word| name.contains(word))
}

/// `auto` keeps 16-bit types and makes 32-bit checkpoints 16-bit (vLLM `config/model.py` `_resolve_auto_dtype`).
pub(super) fn float_bytes(flags: &EngineFlags) -> Result<u64, String> {
    match flags.dtype.as_deref() {
        None | Some("auto" | "half" | "float16" | "bfloat16") => Ok(2),
        Some("float" | "float32") => Ok(4),
        Some(other) => Err(format!("`--dtype {other}` is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_left_over_go_before_the_last_stage() {
        assert_eq!(partition(36, 4), [9, 18, 27, 36]);
        assert_eq!(partition(61, 4), [15, 30, 46, 61]);
        assert_eq!(partition(62, 4), [15, 31, 47, 62]);
        assert_eq!(partition(63, 4), [16, 32, 48, 63]);
        assert_eq!(partition(7, 1), [7]);
        assert_eq!(partition(0, 5), [0]);
    }
}
