//! How much GPU memory a model needs: estimated from the files on disk before an engine is started.
//!
//! [`find`] and [`read`] touch the disk (never the network, never a tensor); [`estimate`], [`fits`] and the texts are
//! pure. What is not known is `None` with a note that says why: a wrong figure is worse
//! than none. Formulas are those of vLLM 0.32 and name the file they were checked against.

mod cache;
mod disk;
mod engine_flags;
mod find;
mod fit;
mod header;
mod json;
mod layers;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod models;
mod shape;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
mod text;
mod weights;

pub use self::cache::Cache;
pub use self::disk::read;
pub use self::engine_flags::{EngineFlags, length};
pub use self::find::{find, hub_cache};
pub use self::fit::{ALLOWANCE, ALLOWANCE_OF_PEERS, Estimate, Verdict, estimate, fits};
pub use self::header::Tensor;
pub use self::layers::Layer;
pub use self::shape::{Latent, Shape};
pub use self::text::{needs, verdict};

/// What the files of a model tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What `config.json` says, or why it says nothing.
    pub shape: Result<Shape, String>,
    /// What the weight files hold, or why that is unknown.
    pub weights: Result<Weights, String>,
    /// What a person should know of these files, a sentence each.
    pub notes: Vec<String>,
}

/// What the weight files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// Tensors named by safetensors headers.
    pub tensors: Vec<Tensor>,
    /// Bytes of which only the sum is known: formats without a header we read, and shards that are not on disk.
    pub unnamed: u64,
    /// Files that the index names and that are not on disk.
    pub missing: usize,
}
