//! The simulated engine: `enginehouse sim`, a stand-in for `vllm serve` 0.32 that needs no GPU.
//!
//! Same routes, JSON shapes, headers, error bodies and event streams as vLLM (a test compares them with recordings of the
//! real one, `tests/vectors/vllm/`), with made-up words. One server answers both generation and pooling requests; a real
//! vLLM does one of them, and so does this one with `--runner generate` or `--runner pooling`.
//!
//! A request's way: `server` (key, fault) over `routes` → an API's file in `api` (`chat`, `completions`, …: check, compose
//! the `answer`) → `engine` (queue, slot, pace) → `api::stream` (events) or a plain reply; what is not inference is answered
//! by `control`. `life` starts and ends it all.

mod api;
mod conn;
mod control;
mod debug;
mod engine;
mod faults;
mod flags;
mod hash;
mod life;
mod loading;
mod log;
mod metrics;
mod orphans;
mod routes;
mod server;
mod sleep;
mod stamp;
mod wire;

pub use engine::Stats;
pub use flags::Args;
pub use hash::fnv1a64;
pub use life::{Running, run, start, start_on};

/// The vLLM that is imitated.
const VERSION: &str = "0.32.0";
