//! The types of the operators' API and its events: server and clients speak nothing else.
//!
//! `state`: what an engine does. `text`: the sentences of it. `views`: what is told of engines and models, `gpus`: of
//! GPUs. `events`: what happens. `reload`: what a configuration changes, `fleet`: about engines. `schema`: the JSON Schema
//! of all. `client`: asks a running gateway.

mod client;
mod events;
mod fleet;
mod gpus;
mod reload;
mod schema;
mod state;
mod text;
mod views;

pub use client::{Client, ClientError};
pub use events::{Event, RequestSummary};
pub use fleet::{Away, EngineAction, EngineChange, RollFailure, RollState, RollStatus};
pub use gpus::GpusView;
pub use reload::{
    ChangeKind, ConfigChange, ConfigError, ListenerChange, NameChange, ReloadCause, ReloadOutcome, ReloadReport,
    SettingChange,
};
pub use schema::schema;
pub use state::{
    Diagnosis, EngineState, Failure, FailureCause, HealthProblem, NextStep, Progress, Sleep, Stall, StartPhase,
    Starting, StopReason,
};
pub use views::{
    AdapterView, AdaptersView, EngineView, EnginesView, ErrorMessage, ErrorView, ModelView, ModelsView, NotReadyView,
};
