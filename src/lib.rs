//! One OpenAI-compatible endpoint in front of a house full of vLLM engines, and the supervisor that runs them.
//!
//! A request's life is told by the files of [`proxy`]: accept, auth, body, resolve, rewrite, pick, forward, stream, account.
//! An engine's life is told by the files of [`supervisor`]: command, spawn, readiness, health, stop.
//! The two never import each other; they meet in [`engines`], which the supervisor writes and the proxy reads.
//!
//! # Layers
//!
//! A module may use only modules of lower layers; modules of one layer are strangers (`tests/architecture.rs` checks it).
//!
//! | layer | modules | what |
//! |---|---|---|
//! | 6 | [`cli`] | subcommands; the only caller of `app` |
//! | 5 | [`app`] | composition root: the only place that knows everybody |
//! | 4 | [`admin`] | HTTP server for operators: metrics, states |
//! | 3 | [`proxy`], [`supervisor`] | the data path; the life of processes |
//! | 2 | [`routing`], [`engines`], [`telemetry`] | names to models; engine states and leases; metrics and logs |
//! | 2 | [`placement`], [`flags`] | which engine gets which GPUs; the flags of the installed vLLM |
//! | 2 | [`dialects`] | translation between APIs: Responses and Messages over Chat Completions, NeMo Gym's rules |
//! | 1 | [`config`], [`openai`], [`inventory`], [`estimate`] | what a user writes; what goes over the wire; the GPUs there are; what a model needs of them |
//! | 0 | [`ids`], [`secret`] | names of things; keys, which are never printed |
//! | 0 | [`settings`] | what is changed in requests: configurations say it, `openai` does it |
//! | aside | [`sim`] | the simulated engine (`enginehouse sim`); uses `openai` and `ids` only |
//!
//! # Words
//!
//! *Caller*: who sent a request, known by a key or anonymous. *Model*: an entry under `models:`. *Engine*: one running
//! server of a model, a process of ours or a URL. *Alias*: a name that points at a model and carries request settings.
//! *Attempt*: one try of a request on one engine. *Lease*: the guard that counts an attempt in and, on drop, out.
//! *Snapshot*: the immutable routing table a request keeps.

pub mod admin;
pub mod admission;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod dialects;
pub mod discovery;
pub mod dispatch;
pub mod engines;
pub mod estimate;
pub mod flags;
pub mod ids;
pub mod inventory;
pub mod net;
pub mod openai;
pub mod outcome;
pub mod placement;
pub mod proxy;
pub mod routing;
pub mod secret;
pub mod settings;
pub mod sim;
pub mod supervisor;
pub mod telemetry;
