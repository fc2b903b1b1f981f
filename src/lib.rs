//! One OpenAI-compatible endpoint in front of many vLLM engines, and the supervisor that runs them.
//!
//! # Where to begin
//!
//! - **A request.** [`net`] accepts its connection. [`proxy`] has one file for each step: `accept` (head, caller, body),
//!   `forward` (calls [`routing`], which turns the request into one for the engines and into a plan of where it may go, and
//!   [`admission`], which lets it in), `relay` (sends it to one engine after the other, and the answer back to the caller),
//!   `attempts` (asks [`dispatch`] which engine is next, and takes a lease on it from [`engines`]), `retry` (what became of the
//!   attempt), `respond` (the answer, translated by [`dialects`] if the alias says so), `record` (log, metrics and event, by
//!   [`telemetry`]).
//! - **An engine that runs here.** In [`supervisor`]: `startup` (what is needed, and what an earlier gateway left), `fleet`
//!   (compares the engines that should run with those that run), `allocator` (its GPUs, chosen by [`placement`]), `engine` (the
//!   actor that owns its process), `lifecycle` (what that actor decides: start, ready, failed, stop), `launch` (its command
//!   line), `process` (its processes), `diagnose` (why it failed), `store` (what the next gateway must know).
//! - **An engine that others run.** In [`discovery`]: `sources` (the `urls:` of the configuration), `owner`, `watcher`.
//! - **A configuration.** [`config`] reads and checks the file; `load` is its entry. [`app`] builds the gateway from it
//!   (`gateway`) and replaces it while requests are served (`reload`).
//! - **An operator's request.** [`admin`] serves it (`path` understands it, `read` answers, `act` carries it out), with
//!   the types of [`api`].
//!
//! `proxy` and `supervisor` never import each other: both use [`engines`], which the supervisor writes and the proxy reads.
//!
//! # Layers
//!
//! A module uses only modules of lower layers, and none of its own layer, except that `settings` uses `ids`
//! (`tests/architecture.rs` checks it).
//!
//! | layer | module | job |
//! |---|---|---|
//! | 8 | [`cli`] | the subcommands, one file each |
//! | 7 | [`app`] | composition root: builds all parts from a configuration, reloads and stops them |
//! | 6 | [`admin`] | the operators' HTTP server: metrics, states, actions, reload, events |
//! | 6 | [`tui`] | the terminal interface: home screen, wizard, and monitors, which are clients of the operators' API |
//! | 5 | [`proxy`] | the data path: a request from its client to an engine and back |
//! | 5 | [`supervisor`] | starts, watches, replaces and stops engines on this machine |
//! | 5 | [`discovery`] | finds and watches engines that others run |
//! | 4 | [`dispatch`] | decides which engine gets an attempt, and about retries and fallbacks; pure |
//! | 3 | [`routing`] | from the name in a request to a plan; the snapshot of all that a reload changes |
//! | 2 | [`engines`] | the registry of engines: states, leases, health checks |
//! | 2 | [`admission`] | whether and when a request may go to an engine |
//! | 2 | [`telemetry`] | metrics, logs, access log, events |
//! | 2 | [`placement`] | which engine gets which GPUs; pure |
//! | 2 | [`flags`] | checks flags against the installed vLLM |
//! | 2 | [`local_models`] | the models and adapters on this machine's disks |
//! | 2 | [`dialects`] | translates Responses and Messages to Chat Completions and back; NeMo Gym's rules; pure |
//! | 1 | [`config`] | the configuration file: a valid [`config::Config`], or all its errors |
//! | 1 | [`openai`] | bodies, forms, streams and errors of the OpenAI API; pure |
//! | 1 | [`inventory`] | the GPUs of this machine, from NVIDIA's driver |
//! | 1 | [`estimate`] | how much GPU memory a model needs, from its files on disk |
//! | 1 | [`api`] | the types and the client of the operators' API |
//! | 1 | [`net`] | listeners and the accept loop |
//! | 0 | [`http1`] | heads and bodies of HTTP/1.1 messages, as bytes; pure |
//! | 0 | [`ids`] | names of models and aliases, ids of engines |
//! | 0 | [`secret`] | keys and tokens, which are never printed |
//! | 0 | [`outcome`] | how an attempt on an engine ended |
//! | 0 | [`gpu`] | what is known of GPUs, as data: `inventory` reads it, `api` tells it |
//! | 0 | [`settings`] | which changes an alias makes to requests: `config` reads them, `openai` applies them |
//! | 0 | [`similar`] | which known word is most like an unknown one |
//! | 0 | `private_file` | files for this user alone, written whole |
//! | 0 | [`text_table`] | text in aligned columns, for people |
//! | aside | [`sim`] | the simulated engine (`enginehouse sim`); uses only `openai` and `ids`, and only `cli` uses it |
//!
//! # Words
//!
//! *Caller*: the client of a request, known by a key or anonymous. *Model*: an entry under `models:`. *Engine*: one running
//! server of a model, a process that the gateway started or a URL. *Alias*: a name that points at a model and carries request
//! settings. *Attempt*: one try of a request on one engine. *Lease*: the guard that counts an attempt on its engine until it
//! is dropped. *Snapshot*: the immutable routing table that a request keeps from its beginning to its end.

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
pub mod gpu;
pub mod http1;
pub mod ids;
pub mod inventory;
pub mod local_models;
pub mod net;
pub mod openai;
pub mod outcome;
pub mod placement;
mod private_file;
pub mod proxy;
pub mod routing;
pub mod secret;
pub mod settings;
pub mod sim;
pub mod similar;
pub mod supervisor;
pub mod telemetry;
pub mod text_table;
pub mod tui;
