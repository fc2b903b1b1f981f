//! What the fleet can be asked to do.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engines::Engine;

use crate::supervisor::lifecycle::orders::Done;
use crate::supervisor::startup::Prepared;
use crate::supervisor::terms::{Command, ControlError};

/// What is under way: each engine, and when it is done.
pub(crate) type Pending = Vec<(String, oneshot::Receiver<Done>)>;

/// Where an answer is wanted.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, ControlError>>;

/// What the fleet can be asked to do.
pub(crate) enum Request {
    /// Have one engine do something.
    Engine(String, Command, Reply<Pending>),
    /// Have all engines of a model do something.
    Model(String, Command, Reply<Pending>),
    /// Give a model so many engines.
    Scale(String, usize, Reply<Pending>),
    /// Replace the engines of a model, one after the other.
    Roll(String, Reply<Pending>),
    /// Have the engines of a model serve an adapter: model, name, path.
    AddAdapter(String, String, String, Reply<()>),
    /// Have the engines of a model forget an adapter: model, name.
    RemoveAdapter(String, String, Reply<()>),
    /// Tell when all that operators ordered until now is written down.
    Written(oneshot::Sender<()>),
    /// Run what a configuration says from now on; tells which engines were taken over.
    Apply(Box<Prepared>, oneshot::Sender<Vec<Arc<Engine>>>),
}

/// Answers. Whoever asked may be gone; what was asked for is done all the same.
pub(super) fn answer<T>(reply: Reply<T>, answer: Result<T, ControlError>) {
    let _ = reply.send(answer);
}
