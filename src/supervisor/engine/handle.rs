//! The way to the actor of one engine: what it can be told, and what it tells the fleet.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::engines::Engine;
use crate::engines::health::Prober;
use crate::ids::EngineId;
use crate::supervisor::allocator::GpuGrant;
use crate::supervisor::launch::spec::LaunchSpec;
use crate::supervisor::lifecycle::orders::{Done, Goal, Order};
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
    messages: mpsc::UnboundedSender<Message>,
}

impl EngineHandle {
    /// The way to the actor of `engine`, which receives `messages`.
    pub(super) fn new(engine: Arc<Engine>, messages: mpsc::UnboundedSender<Message>) -> Self {
        Self { engine, messages }
    }

    /// Has the engine reach `goal`. What is returned tells when it has, or why it does not.
    pub(crate) fn order(&self, goal: Goal) -> oneshot::Receiver<Done> {
        let (reply, done) = oneshot::channel();
        // An actor that has ended drops it, which says as much.
        let _ = self.messages.send(Message::Order(Order { goal, reply }));
        done
    }

    /// Tells the actor. One that has ended does not hear it.
    pub(crate) fn tell(&self, message: Message) {
        let _ = self.messages.send(message);
    }
}
