//! Traces of requests for OpenTelemetry: off unless the standard variables `OTEL_*` say where they go. A request gets its ids
//! when it begins (`tracer`, `context`, `sampler`); the rest happens after its end, in a thread of its own (`worker`): its record
//! becomes spans (`spans`, by the `names` of the conventions), which go to a collector (`exporter`), and an example for the
//! histograms of the metrics (`examples`).

mod context;
mod counters;
mod environment;
mod examples;
mod exporter;
mod names;
mod sampler;
mod spans;
mod tracer;
mod worker;

pub use context::{TRACEPARENT, TRACESTATE, TraceContext};
pub use environment::{TraceSettings, WrongVariable};
pub use tracer::Tracer;
pub use worker::{StartError, Traces};
