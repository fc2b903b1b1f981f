//! The real binary over simulated engines as real processes, all on loopback.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[allow(dead_code, unused_imports, reason = "the other suites use the rest")]
mod support;

mod bodies;
mod callers;
mod concurrency;
mod demo;
mod dialects;
mod disconnects;
mod doors;
mod engines;
mod faces;
mod failures;
mod fallbacks;
mod metrics;
mod models;
mod openai_client;
mod operators;
mod refusals;
mod rewriting;
mod streaming;
mod transport;
