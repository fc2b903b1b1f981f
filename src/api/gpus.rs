//! What `GET /api/v1/gpus` tells.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The GPUs of the machine, as the driver told last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpusView {
    /// Version of the driver.
    pub driver: Option<String>,
    /// Newest CUDA version that the driver supports.
    pub cuda: Option<String>,
    /// In the order of the PCI bus.
    pub gpus: Vec<GpuView>,
    /// Why something is unknown, a sentence each.
    pub faults: Vec<String>,
    /// How old this is, in seconds; `null` while the driver has told nothing.
    pub age_seconds: Option<f64>,
}

/// One card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuView {
    /// Place in the driver's order.
    pub index: u32,
    /// Such as `GPU-8f6b…`.
    pub uuid: Option<String>,
    /// Such as `NVIDIA H100 80GB HBM3`.
    pub name: Option<String>,
    /// The card fell off the bus or needs a reset.
    pub lost: bool,
    /// Memory of the whole card.
    pub memory: Option<GpuMemory>,
    /// Share of the last sample period in which something ran, in percent.
    pub utilisation: Option<u8>,
    /// Temperature of the chip in °C.
    pub temperature: Option<u32>,
    /// Power drawn, in watts.
    pub power: Option<f64>,
    /// Who uses the card.
    pub processes: Option<Vec<GpuProcessView>>,
    /// MIG instances; `null` when MIG is off, unsupported or unknown.
    pub mig: Option<Vec<MigView>>,
    /// Ids of the engines that were given the card.
    pub engines: Vec<String>,
}

/// Memory in bytes. What the driver keeps for itself is neither used nor free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuMemory {
    /// Installed, or given to the instance.
    pub total: u64,
    /// Taken by processes.
    pub used: u64,
    /// Left.
    pub free: u64,
}

/// A process that uses a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuProcessView {
    /// Process id.
    pub pid: u32,
    /// What runs there; `null` when it is not visible from here.
    pub name: Option<String>,
    /// Bytes of GPU memory it holds.
    pub memory: Option<u64>,
}

/// A MIG instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigView {
    /// Place among the card's instances.
    pub index: u32,
    /// Such as `MIG-4a5c…`.
    pub uuid: Option<String>,
    /// Such as `NVIDIA H100 80GB HBM3 MIG 1g.10gb`.
    pub name: Option<String>,
    /// Memory of the instance.
    pub memory: Option<GpuMemory>,
    /// Who uses it.
    pub processes: Option<Vec<GpuProcessView>>,
    /// Ids of the engines that were given the instance.
    pub engines: Vec<String>,
}
