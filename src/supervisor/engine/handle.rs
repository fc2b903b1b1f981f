//! The way to the actor of one engine: what it can be told, and what it tells the fleet.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::engines::Engine;
use crate::engines::health::Prober;
use crate::ids::EngineId;
use crate::supervisor::allocator::GpuGrant;
use crate::supervisor::launch::spec::LaunchSpec;
use crate::supervisor::lifecycle::orders::{Done, Goal, NotDone, Order};
use crate::supervisor::lifecycle::terms::Stage;

/// What an engine's actor can be told.
pub(crate) enum Message {
    /// To do something.
    Order(Order),
    /// That it waits for engines of this start order.
    WaitsFor(u32),
    /// Its GPUs, before it is started.
    Grant(GpuGrant),
    /// To go on by other settings, with a prober that does.
    Retune(Arc<LaunchSpec>, Box<Prober>),
    /// To write down which adapters it serves now.
    NoteAdapters,
}

/// What an engine's actor tells the fleet: where the engine is now.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// Which.
    pub(crate) engine: EngineId,
    /// Where it is.
    pub(crate) stage: Stage,
}

/// An engine, and the way to its actor.
#[derive(Clone)]
pub(crate) struct EngineHandle {
    /// The engine.
    pub(crate) engine: Arc<Engine>,
    messages: mpsc::Sender<Message>,
}

impl EngineHandle {
    /// The way to the actor of `engine`, which receives `messages`.
    pub(super) fn new(engine: Arc<Engine>, messages: mpsc::Sender<Message>) -> Self {
        Self { engine, messages }
    }

    /// Has the engine reach `goal`. What is returned tells when it has, or why it does not.
    pub(crate) fn order(&self, goal: Goal) -> oneshot::Receiver<Done> {
        let (reply, done) = oneshot::channel();
        if let Err(error) = self.messages.try_send(Message::Order(Order { goal, reply }))
            && let (why, Message::Order(order)) = refused(error)
        {
            let _ = order.reply.send(Err(NotDone::Refused(why.into())));
        }
        done
    }

    /// Tells the actor; not heard by one that has ended.
    pub(crate) fn tell(&self, message: Message) {
        if let Err(error) = self.messages.try_send(message) {
            let (why, _) = refused(error);
            tracing::debug!(engine = %self.engine.id, why, "an engine was not told something");
        }
    }
}

fn refused(error: mpsc::error::TrySendError<Message>) -> (&'static str, Message) {
    match error {
        mpsc::error::TrySendError::Full(message) => ("it has too many orders already; try again in a moment", message),
        mpsc::error::TrySendError::Closed(message) => ("the gateway is shutting down", message),
    }
}
