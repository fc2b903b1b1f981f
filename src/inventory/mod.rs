//! The GPUs of this machine, as the NVIDIA driver reports them.
//!
//! Nothing here fails: a value that the driver or a card does not report is `None` ("unknown"), and one sentence in
//! [`Inventory::faults`] says why. Readings are of one moment; for fresh ones keep a [`Monitor`],
//! which asks in the background: a driver in trouble can take seconds to answer, or for ever.

mod freed;
mod monitor;
mod nvml;
mod process;
mod read;
mod table;
mod unit;

pub use self::freed::{Memories, freed};
pub use self::monitor::{Monitor, Pace};
pub use self::nvml::Driver;
pub use self::process::name as process_name;
pub use self::read::{named_library, read};
pub use self::table::{gib, json, table};
pub use self::unit::{NotFound, Unit, find, units};
pub use crate::gpu::{Gpu, GpuProcess, Inventory, Memory, Mig};
