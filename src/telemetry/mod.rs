//! What this process measures and publishes: metrics, logs, access log, events, traces, and the newest requests.

mod access_log;
mod book;
mod caller_meters;
mod events;
mod exemplars;
mod give_way;
mod log_history;
mod log_level;
mod log_writer;
mod logs;
mod meters;
mod metrics;
mod publish;
mod record;
mod requests;
mod tally;
mod traces;

pub use access_log::AccessLog;
pub use caller_meters::CallerMeters;
pub use events::{EventBus, EventStream, Heard, Numbered, message, resync};
pub use exemplars::ExemplarBook;
pub use give_way::give_way;
pub use log_history::{GATEWAY, LogHistory};
pub use log_level::LogLevel;
pub use logs::Logs;
pub use meters::{InFlight, Meters};
pub use metrics::{ConfigMetrics, GatewayMetrics, Metrics, NO_ROUTE, Sampled};
pub use record::{AttemptRecord, AttemptRecords, QueueRecord, Record};
pub use requests::{Captured, Collector, RequestHistory, RequestSink};
pub use traces::{StartError, TRACEPARENT, TRACESTATE, TraceContext, TraceSettings, Tracer, Traces, WrongVariable};
