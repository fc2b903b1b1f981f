//! Faults on demand.

mod process;
mod request;

pub(super) use self::process::{Escape, Orphan, ProcessFaults};
pub(super) use self::request::{Fault, FaultQueue};
