//! What the fleet shows of itself, to be read without asking it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::{RollStatus, Turn};
use crate::ids::Name;
use crate::supervisor::launch::spec::LaunchSpec;
use crate::supervisor::store::orders::Orders;

/// The fleet at one moment.
#[derive(Default)]
pub(crate) struct FleetView {
    /// Whether the state directory is this gateway's.
    pub(crate) is_claimed: bool,
    /// What operators ordered.
    pub(crate) orders: Orders,
    /// The models whose engines run here.
    pub(crate) models: BTreeMap<Name, ModelView>,
}

/// One model.
pub(crate) struct ModelView {
    /// How its engines are to be run.
    pub(crate) spec: Arc<LaunchSpec>,
    /// How many engines it is to have.
    pub(crate) wanted_replicas: usize,
    /// The numbers of its engines that are not about to end.
    pub(crate) present: BTreeSet<usize>,
    /// How many of them take requests.
    pub(crate) ready: usize,
    /// How many of them sleep.
    pub(crate) asleep: usize,
    /// The replacement of its engines.
    pub(crate) roll: Option<RollStatus>,
    /// When a request last found no engine.
    pub(crate) last_demand: Option<Instant>,
    /// How long its last start took.
    pub(crate) start_took: Option<Duration>,
    /// Whether its engines have GPUs; `None`: it is not loaded on demand.
    pub(crate) turn: Option<Turn>,
    /// How often it was loaded on demand or woken.
    pub(crate) loads: u64,
}
