//! The types of the operators' API and its events: server and clients speak nothing else.
//!
//! `fleet`: what a new configuration changes about engines. `state`: what an engine does. `text`: the sentences of it. `views`: what is told of engines and models. `events`:
//! what happens.

mod events;
mod fleet;
mod state;
mod text;
mod views;

pub use events::{Event, RequestSummary};
pub use fleet::{Away, ChangeKind, FleetPlan, ModelChange, RollFailure, RollState, RollStatus};
pub use state::{
    Diagnosis, EngineState, Failure, FailureCause, HealthProblem, NextStep, Progress, Sleep, Stall, StartPhase,
    Starting, StopReason,
};
pub use views::{AdapterView, EngineView, ModelView};
