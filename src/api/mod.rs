//! The types of the operators' API and its events: server and clients speak nothing else.
//!
//! `state`: what an engine does. `text`: the sentences of it, `words`: one word of it for metrics. `views`: what is told of
//! engines and models, `gpus`: of GPUs. `events`: what happens. `reload`: what a configuration changes, `fleet`: about engines.
//! `openapi`: the description of all. `client`: asks a running gateway.

mod aliases;
mod client;
mod events;
mod fleet;
mod gpus;
mod logs;
mod openapi;
mod operations;
mod overlay;
mod reload;
mod request_filter;
mod requests;
mod state;
mod status;
mod targets;
mod text;
mod views;
mod words;

pub use aliases::{AliasView, AliasesView, CallerView, CallersView, CaptureView, SplitPart};
pub use client::{Client, ClientError, EntryName, LogQuery, Message, RequestQuery, Target, Told, Verb, reachable};
pub use events::{Event, EventKind};
pub use fleet::{Away, EngineAction, EngineChange, RollFailure, RollState, RollStatus};
pub use gpus::GpusView;
pub use logs::{LogLevelView, LogLine, LogsView, SetLogLevel};
pub use openapi::openapi;
pub use operations::{
    ActionView, AuditEntry, AuditView, Login, OperationState, OperationView, OperationsView, OperatorView,
};
pub use overlay::{Origin, OverlayEntryView, OverlayView};
pub use reload::{
    ChangeKind, ConfigChange, ConfigError, DisabledView, ListenerChange, NameChange, ReloadCause, ReloadOutcome,
    ReloadReport, SettingChange,
};
pub use request_filter::{RequestFacts, RequestFilter};
pub use requests::{
    AttemptView, BodyView, Omitted, Quantiles, Rates, RatesPoint, RatesView, RequestView, RequestsView,
};
pub use state::{
    Diagnosis, EngineState, Failure, FailureCause, HealthProblem, NextStep, Progress, Sleep, Stall, StartPhase,
    Starting, StopReason,
};
pub use status::{PulseView, SnapshotView, StatusView, Totals};
pub use targets::TargetView;
pub use views::{
    AdapterView, AdaptersView, EngineHistory, EngineView, EnginesView, ErrorMessage, ErrorView, ModelView, ModelsView,
    NotReadyView, OnDemandView, ReportView, Turn,
};
