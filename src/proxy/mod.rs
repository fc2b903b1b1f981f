//! The data path: one request from its client to an engine and back. `callbacks` hands Pingora's callbacks to the steps.
//!
//! | step | file | what it gives |
//! |---|---|---|
//! | accept | `accept` (with `entry`, `body`, `memory`) | `Accepted`: who asks what, with the whole body |
//! | prepare, admit | `forward` | a plan, a request for its first leg's engines, a permit |
//! | next, send | `relay` (with `attempts`, `next_engine`, `upstream_head`, `upstream`) | a lease, and the attempt on it |
//! | outcome | `retry` | what became of the attempt, and whether the request is tried again |
//! | respond | `respond` (with `transform`, `unfinished_event`, `downstream`) | the answer on its way |
//! | record | `record` (with `timeline`; `refused_head` where there is no session) | one record of the request |
//!
//! Requests of our own are driven by `exchange`: NeMo Gym's turns (`gym`) and copies for mirrors (`mirror`). `local`, `cors` and
//! `reply` are answers of our own. `stored` knows which engine keeps which response. `state` is what all requests share;
//! `listener` brings connections in, and `http1` and `http2` their requests, each a `session` of Pingora's, over a `wire` of
//! buffers, as `upstream` does towards engines.

mod accept;
mod attempts;
mod body;
mod callbacks;
mod context;
mod cors;
mod downstream;
mod entry;
mod exchange;
mod forward;
mod gym;
mod http1;
mod http2;
mod kept_response;
mod listener;
mod local;
mod memory;
mod mirror;
mod missing_route;
mod next_engine;
mod record;
mod recorder;
mod refusal;
mod refused_head;
mod relay;
mod reply;
mod respond;
mod response;
mod retry;
mod session;
mod state;
mod stored;
mod timeline;
mod transform;
mod unfinished_event;
mod upstream;
mod upstream_head;
mod upstream_request;
mod waiting;
mod wire;

pub use self::listener::HttpListener;
pub use self::state::ProxyState;
