//! What the fleet can be asked to do.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engines::Engine;

use crate::supervisor::lifecycle::orders::Done;
use crate::supervisor::startup::Prepared;
use crate::supervisor::terms::{ControlError, Order};

/// What is under way: each engine, and when it is done.
pub(crate) type Pending = Vec<(String, oneshot::Receiver<Done>)>;

/// Where an answer is wanted.
pub(crate) type Reply = oneshot::Sender<Result<Pending, ControlError>>;

/// What the fleet can be asked to do.
pub(crate) enum Request {
    /// Begin what an operator orders.
    Order(Order, Reply),
    /// Tell when all that operators ordered until now is written down.
    Written(oneshot::Sender<()>),
    /// Run what a configuration says from now on; tells which engines were taken over.
    Apply(Box<Prepared>, oneshot::Sender<Vec<Arc<Engine>>>),
}

/// Answers. Whoever asked may be gone; what was asked for is done all the same.
pub(super) fn answer(reply: Reply, answer: Result<Pending, ControlError>) {
    let _ = reply.send(answer);
}
