//! The real binary over simulated engines as real processes, all on loopback.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "../support/mod.rs"]
mod support;

mod alias_listeners;
mod aliases;
mod azure;
mod base_paths;
mod bench;
mod bodies;
mod callers;
mod capturing;
mod chatting;
mod collector;
mod commands;
mod concurrency;
mod configurations;
mod cors;
mod demo;
mod dialects;
mod disconnects;
mod engine_history;
mod engines;
mod every_command;
mod failures;
mod fallbacks;
mod forms_of_engines;
mod http2;
mod importing;
mod logs;
mod many_dashboards;
mod metrics;
mod models;
mod observing;
mod odd_engines;
mod openai_client;
mod openapi;
mod operations;
mod operators;
mod overlay;
mod paths;
mod refusals;
mod reloading;
mod retry_hints;
mod rewriting;
mod route_table;
mod routes;
mod saved;
mod scraping;
mod slow_listeners;
mod stored_responses;
mod streaming;
mod tracing;
mod transport;
mod vllm_cli;
mod waiting;
mod wildcards;
