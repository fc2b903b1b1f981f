//! The one signal that ends the fleet and all actors: what becomes of engines, and until when attempts may go on.

use tokio::sync::watch;
use tokio::time::Instant;

/// How to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShutdownMode {
    /// Engines are stopped; attempts under way may go on until then.
    Stop(Instant),
    /// Engines run on; the next gateway takes them over.
    Leave,
}

/// Tells all of them to end.
#[derive(Debug)]
pub(crate) struct ShutdownSender(watch::Sender<Option<ShutdownMode>>);

/// Hears of it.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownSignal(watch::Receiver<Option<ShutdownMode>>);

/// Both ends.
pub(crate) fn channel() -> (ShutdownSender, ShutdownSignal) {
    let (sender, receiver) = watch::channel(None);
    (ShutdownSender(sender), ShutdownSignal(receiver))
}

impl ShutdownSender {
    /// Asks all of them to end.
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
}
