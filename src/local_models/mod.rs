//! The models and LoRA adapters that lie on this machine's disks: what `enginehouse models` and the wizard show.
//!
//! [`scan`] tells the story: where to look (`places`) → what could be a model there (`walk`) → what each is (`repository`
//! for the cache of the Hugging Face hub, `examine` for a folder), from its small files (`config_json`, `adapter_config`)
//! and the headers of its weights (`estimate`, `gguf`). Weights are never read, nothing is written or fetched, and
//! nothing fails: what cannot be read is a [`Problem`].

mod adapter_config;
mod config_json;
mod examine;
mod files;
mod gguf;
mod gguf_types;
mod parameters;
mod places;
mod repository;
mod scan;
mod shards;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod testing;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
mod types;
mod walk;

pub use self::places::Places;
pub use self::scan::scan;
pub use self::types::{Format, Found, LocalAdapter, LocalModel, Memory, Place, Problem, Revision, State};
