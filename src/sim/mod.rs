//! The simulated engine: `enginehouse sim`, a stand-in for `vllm serve` 0.32 that needs no GPU.
//!
//! Same routes, JSON shapes, headers, error bodies and event streams as vLLM (a test compares them with recordings of the
//! real one, `tests/vectors/vllm/`), with made-up words. One server answers both generation and pooling requests; a real
//! vLLM does one of them, and so does this one with `--runner generate` or `--runner pooling`.
//!
//! A request's way: `server` (route, key, fault) → an API's file (`chat`, `completions`, …: check, compose the
//! `answer`) → `schedule` (queue, slot, pace) → `stream` (events) or a plain reply. `life` starts and ends it all.

mod answer;
mod args;
mod audio;
mod chat;
mod completions;
mod conn;
mod debug;
mod engine;
mod errors;
mod faults;
mod fields;
mod generate;
mod life;
mod loading;
mod log;
mod messages;
mod metrics;
mod models;
mod params;
mod pooling;
mod reply;
mod responses;
mod schedule;
mod server;
mod sleep;
mod strays;
mod stream;
mod text;
mod tokens;

pub use args::Args;
pub use debug::fnv1a64;
pub use engine::Stats;
pub use life::{Running, run, start, start_on};

/// The vLLM that is imitated.
const VERSION: &str = "0.32.0";
