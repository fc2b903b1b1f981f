//! The one signal that ends all actors: what becomes of their engines, and until when attempts under way may go on.

use tokio::sync::watch;
use tokio::time::Instant;

/// How to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShutdownMode {
    /// Engines are stopped; attempts under way may go on until then.
    Stop(Instant),
    /// Engines run on; nobody looks after them until another supervisor does.
    Leave,
}

/// Tells everybody to end.
#[derive(Debug)]
pub(crate) struct ShutdownSender(watch::Sender<Option<ShutdownMode>>);

/// Learns of it.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownSignal(watch::Receiver<Option<ShutdownMode>>);

/// Both ends.
pub(crate) fn channel() -> (ShutdownSender, ShutdownSignal) {
    let (sender, receiver) = watch::channel(None);
    (ShutdownSender(sender), ShutdownSignal(receiver))
}

impl ShutdownSender {
    /// Asks everybody to end.
    pub(crate) fn say(&self, farewell: ShutdownMode) {
        self.0.send_replace(Some(farewell));
    }
}

impl ShutdownSignal {
    /// Returns as soon as, and whenever, an end was asked for. Never when nobody can ask any more.
    pub(crate) async fn asked(&mut self) -> ShutdownMode {
        match self.0.wait_for(Option::is_some).await.map(|said| *said) {
            Ok(Some(farewell)) => farewell,
            _ => std::future::pending().await,
        }
    }

    /// Until when attempts under way may go on, when a stop was asked for.
    pub(crate) fn drain_until(&self) -> Option<Instant> {
        match *self.0.borrow() {
            Some(ShutdownMode::Stop(until)) => Some(until),
            _ => None,
        }
    }
}
