//! The estimate itself, and whether it fits a card.

use super::{Cache, EngineFlags, Facts, Layer, weights};

/// Set aside for activations, CUDA graphs and libraries, beside weights and KV cache.
///
/// vLLM measures this with a trial run (`v1/worker/gpu_worker.py` `determine_available_memory`), and it cannot be
/// computed from files: batch size, kernels and compilation decide. 1.5 GiB is a round figure of the order seen with
/// models of some 8 billion parameters and batches of 8192 tokens, not a measurement of this model: larger batches and
/// vocabularies take more, small models less. That is why it alone never makes a [`Verdict::Cannot`].
pub const ALLOWANCE: u64 = 3 << 29;

/// What NCCL's buffers take on top as soon as GPUs talk to each other; depends on their links, an allowance too.
pub const ALLOWANCE_OF_PEERS: u64 = 1 << 29;

/// What a model needs on each of its GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of weights on the fullest GPU.
    pub weights: Option<u64>,
    /// The KV cache.
    pub cache: Option<Cache>,
    /// Tokens of the longest request.
    pub max_len: Option<u64>,
    /// The engine shortens `max_len` to what fits (`--max-model-len auto`).
    pub shortens: bool,
    /// Bytes for everything else: [`ALLOWANCE`] and [`ALLOWANCE_OF_PEERS`].
    pub allowance: u64,
    /// GPUs that one copy is spread over.
    pub gpus: u64,
    /// Why something is unknown or left out, a sentence each.
    pub notes: Vec<String>,
    /// A flag whose effect is not computed, so that no verdict can be given.
    pub uncounted: Vec<&'static str>,
}

impl Estimate {
    /// Bytes of KV cache that a request of [`Estimate::max_len`] tokens takes.
    #[must_use]
    pub fn per_request(&self) -> Option<u64> {
        Some(self.cache.as_ref()?.request(self.max_len?))
    }
}

/// What `facts` need when run as `flags` says.
#[must_use]
pub fn estimate(facts: &Facts, flags: &EngineFlags) -> Estimate {
    let mut notes = facts.notes.clone();
    let mut unknown = |what: &str, why: String| notes.push(format!("{what} unknown: {why}"));
    let (weights, more) = match weights::per_gpu(facts, flags) {
        Ok((bytes, notes)) => (Some(bytes), notes),
        Err(why) => {
            unknown("weights", why);
            (None, Vec::new())
        }
    };
    let cache = match facts.shape.as_ref().map_err(Clone::clone).and_then(|shape| Cache::new(shape, flags)) {
        Ok(cache) => Some(cache),
        Err(why) => {
            unknown("KV cache", why);
            None
        }
    };
    notes.extend(more);
    let mut max_len = flags.max_model_len;
    if let Ok(shape) = &facts.shape {
        let states = shape.layers.as_ref().map_or(0, |layers| layers.iter().filter(|l| **l == Layer::State).count());
        if states > 0 {
            notes.push(format!("the state of {states} layers, the same for short and long requests, is not counted"));
        }
        if max_len.is_none() {
            max_len = Some(shape.max_len);
            if shape.max_len_guessed {
                notes.push("config.json has no maximum length: vLLM uses 2048 tokens".to_owned());
            }
        }
        if let Some(heads) = shape.heads.filter(|heads| heads % flags.tensor_parallel.max(1) != 0) {
            notes.push(format!(
                "vLLM will refuse: {heads} attention heads do not divide by tensor-parallel-size {}",
                flags.tensor_parallel
            ));
        }
    }
    let peers = if flags.gpus().saturating_mul(flags.data_parallel.max(1)) > 1 { ALLOWANCE_OF_PEERS } else { 0 };
    Estimate {
        weights,
        cache,
        max_len,
        shortens: flags.shortens,
        allowance: ALLOWANCE + peers,
        gpus: flags.gpus(),
        notes,
        uncounted: flags.uncounted.clone(),
    }
}

/// Whether a model fits its GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Fits {
        /// Tokens of KV cache that are left room for, in requests of the greatest length; `None` for a model that
        /// keeps nothing.
        tokens: Option<u64>,
        /// Requests of the greatest length at a time.
        requests: Option<u64>,
    },
    /// Weights and one request fit, but only without the whole allowance: the engine may refuse to start.
    Tight {
        /// Bytes missing.
        short: u64,
        /// Greatest `max-model-len` that fits; 0 for none.
        longest: u64,
    },
    /// Weights and one request alone do not fit: the engine will refuse to start, or run out of memory.
    Cannot {
        /// Bytes missing, without any allowance.
        short: u64,
        /// The weights alone are too much.
        weights: bool,
        /// Greatest `max-model-len` that fits; 0 for none.
        longest: u64,
        /// GPUs that it takes at least; `None` when the share of a GPU is too small for any number.
        gpus: Option<u64>,
    },
    /// Not known, and why.
    Unknown(String),
}

/// Judges `estimate` on GPUs of `total` bytes, of which the engine takes `share` (`gpu_memory_utilization`, which
/// covers weights, cache and everything else; vLLM `v1/worker/utils.py` `request_memory`).
#[must_use]
pub fn fits(estimate: &Estimate, total: u64, share: f64) -> Verdict {
    if !estimate.uncounted.is_empty() {
        return Verdict::Unknown(format!("what --{} changes is not computed", estimate.uncounted.join(", --")));
    }
    let Some(weights) = estimate.weights else {
        return Verdict::Unknown("what the weights take is unknown".to_owned());
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates; below 0 is 0")]
    let budget = (total as f64 * share).ceil() as u64;
    let free = budget.saturating_sub(weights).saturating_sub(estimate.allowance);
    let (cache, max_len) = (estimate.cache.as_ref(), estimate.max_len.unwrap_or(0));
    let longest = cache.map_or(0, |cache| cache.longest(free, max_len));
    let usable = budget.saturating_sub(estimate.allowance);
    let gpus = || {
        let spread = u128::from(weights) * u128::from(estimate.gpus);
        let gpus = spread.checked_div(u128::from(usable))?.checked_add(1)?;
        u64::try_from(gpus).ok()?.checked_next_power_of_two()
    };
    if weights > budget {
        return Verdict::Cannot { short: weights - budget, weights: true, longest: 0, gpus: gpus() };
    }
    let Some(cache) = cache else {
        return Verdict::Unknown("the weights fit; the size of the KV cache is unknown".to_owned());
    };
    let request = cache.request(max_len);
    let need = weights.saturating_add(request);
    let (tight, over) = (need.saturating_add(estimate.allowance).saturating_sub(budget), need.saturating_sub(budget));
    match (over, tight) {
        (_, 0) if request == 0 => Verdict::Fits { tokens: None, requests: None },
        (_, 0) => {
            let requests = free / request;
            let tokens = u128::from(free) * u128::from(max_len) / u128::from(request);
            Verdict::Fits { tokens: u64::try_from(tokens).ok(), requests: Some(requests) }
        }
        _ if estimate.shortens && longest > 0 => Verdict::Fits { tokens: Some(longest), requests: Some(1) },
        (0, short) => Verdict::Tight { short, longest },
        (short, _) => Verdict::Cannot {
            short,
            weights: false,
            longest,
            gpus: estimate.gpus.checked_add(1).and_then(u64::checked_next_power_of_two),
        },
    }
}
