//! What the fleet has done beside its own work because it takes long, and what comes of it.

use super::model::Change;
use super::request::Reply;
use crate::ids::Name;
use crate::supervisor::allocator::GpuGrant;
use crate::supervisor::lifecycle::orders::Done;
use crate::supervisor::process::port::HeldPort;

/// What came of it.
pub(super) enum Finished {
    /// GPUs were looked for, for several engines together.
    Placed(Vec<Placed>),
    /// Room for further engines was looked for.
    Scaled(ScaleRoom),
    /// Engines were told of an adapter.
    Adapter(AdapterChange),
    /// The engine of this task was told to sleep, and does or does not.
    Rested(tokio::task::Id, Done),
    /// Requests for this model, which is not wanted any more, can go to engines that others run.
    HandedOver(Name),
}

/// GPUs for one engine, known by its actor's task.
pub(super) struct Placed {
    pub(super) task: tokio::task::Id,
    /// `None`: there are none at the moment.
    pub(super) grant: Option<GpuGrant>,
}

/// Room for further engines of a model.
pub(super) struct ScaleRoom {
    pub(super) model: Name,
    pub(super) change: Change,
    /// How many engines it is to have.
    pub(super) count: usize,
    /// The numbers of the further ones, their ports, and their GPUs or every reason why there are none.
    pub(super) numbers: Vec<usize>,
    pub(super) ports: Vec<HeldPort>,
    pub(super) grants: Result<Vec<GpuGrant>, String>,
    pub(super) reply: Reply,
}

/// What engines said to an adapter.
pub(super) struct AdapterChange {
    pub(super) model: Name,
    pub(super) change: Change,
    pub(super) adapter: Name,
    pub(super) path: String,
    pub(super) is_added: bool,
    pub(super) result: Result<(), String>,
    pub(super) reply: Reply,
}
