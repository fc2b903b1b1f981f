//! What is known of a machine's GPUs, as plain data: `inventory` reads it, `api` tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known of this machine's GPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Version of the driver, such as `580.95.05`.
    pub driver: Option<String>,
    /// Newest CUDA version that the driver supports, such as `13.0`.
    pub cuda: Option<String>,
    /// In the order of the PCI bus, which is CUDA's order only with `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    pub gpus: Vec<Gpu>,
    /// Why something is unknown, a sentence each.
    pub faults: Vec<String>,
    /// Whether the driver told which GPUs there are; when not, that there are none in `gpus` says nothing.
    #[serde(skip)]
    pub known: bool,
}

/// One card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gpu {
    /// Place in the driver's order.
    pub index: u32,
    /// Such as `GPU-8f6b…`; stays the same when cards are moved or one falls off the bus.
    pub uuid: Option<String>,
    /// Such as `NVIDIA H100 80GB HBM3`.
    pub name: Option<String>,
    /// The card fell off the bus or needs a reset: nothing can run on it, and what it told before that is unknown.
    pub lost: bool,
    /// Memory of the whole card.
    pub memory: Option<Memory>,
    /// Share of the last sample period in which something ran, in percent. Always unknown while MIG is on.
    pub utilisation: Option<u8>,
    /// Temperature of the chip in °C.
    pub temperature: Option<u32>,
    /// Power drawn, in watts.
    pub power: Option<f64>,
    /// Who uses the card, by pid; within a container, only processes that the driver shows to it. Those under MIG are
    /// listed with their instance.
    pub processes: Option<Vec<GpuProcess>>,
    /// MIG instances; `null` when MIG is off, unsupported or unknown, empty when it is on and none was made (then
    /// nothing can run on the card).
    pub mig: Option<Vec<Mig>>,
    /// Ids of the engines that were given the card; left out by `enginehouse gpus`, which asks the driver only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub engines: Option<Vec<String>>,
}

/// Memory in bytes. What the driver keeps for itself is neither used nor free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "GpuMemory")]
pub struct Memory {
    /// Installed, or given to the instance.
    pub total: u64,
    /// Taken by processes.
    pub used: u64,
    /// Left.
    pub free: u64,
}

/// A process that uses a card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuProcess {
    /// Process id.
    pub pid: u32,
    /// What runs there, such as `python3 train.py`; unknown when it is not visible from here (a container).
    pub name: Option<String>,
    /// Bytes of GPU memory it holds.
    pub memory: Option<u64>,
    /// The id of the engine that it is a process of; left out for others, and by `enginehouse gpus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub engine: Option<String>,
}

/// A MIG instance: a part of a card that CUDA sees as a card of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mig {
    /// Place among the card's instances; places may be left out.
    pub index: u32,
    /// Such as `MIG-4a5c…`, which `CUDA_VISIBLE_DEVICES` takes.
    pub uuid: Option<String>,
    /// Such as `NVIDIA H100 80GB HBM3 MIG 1g.10gb`.
    pub name: Option<String>,
    /// Memory of the instance.
    pub memory: Option<Memory>,
    /// Who uses it.
    pub processes: Option<Vec<GpuProcess>>,
    /// Ids of the engines that were given the instance; left out by `enginehouse gpus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub engines: Option<Vec<String>>,
}

impl Inventory {
    /// Nothing is known, and why.
    #[must_use]
    pub fn fault(fault: String) -> Self {
        Self { faults: vec![fault], ..Self::default() }
    }

    /// Takes these processes out, as if they had ended and what they hold were free.
    pub fn forget(&mut self, pids: &[u32]) {
        let take = |processes: &mut Option<Vec<GpuProcess>>, memory: &mut Option<Memory>| {
            let Some(processes) = processes else { return };
            let held = |process: &GpuProcess| if pids.contains(&process.pid) { process.memory } else { None };
            let bytes: u64 = processes.iter().filter_map(held).sum();
            processes.retain(|process| !pids.contains(&process.pid));
            if let Some(memory) = memory {
                let bytes = bytes.min(memory.used);
                memory.used -= bytes;
                memory.free = memory.free.saturating_add(bytes).min(memory.total);
            }
        };
        for gpu in &mut self.gpus {
            take(&mut gpu.processes, &mut gpu.memory);
            gpu.mig.iter_mut().flatten().for_each(|part| take(&mut part.processes, &mut part.memory));
        }
    }
}
