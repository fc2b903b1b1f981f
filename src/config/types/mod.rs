//! The validated configuration: what the rest of the program trusts. Equal values mean the same configuration.

mod alias;
mod gateway;
mod gym;
mod model;

pub use crate::settings::{Condition, EndpointGroup, FieldPath, Place, Prompt, Settings, Test, When};
pub use alias::{Alias, Capture, Dialects, LateSystem, Mirror, ResponseModel, SESSION, Via, WILDCARD};
pub use gateway::{
    ANONYMOUS, ANY_ORIGIN, Admin, Anonymous, Caller, Config, Cors, EngineLogs, Limits, Log, LogFormat, LogReaders,
    OnExit, Readiness, Retry, Timeouts,
};
pub use gym::Gym;
pub(super) use gym::without_nulls;
pub use model::{Balance, EngineUrl, Engines, Gpus, Health, Idle, Load, Model, Restart, Spawn, UsageMode};
