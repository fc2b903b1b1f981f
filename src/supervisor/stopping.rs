//! The one signal that ends all actors, and until when attempts under way may go on.

use tokio::sync::watch;
use tokio::time::Instant;

/// Tells everybody to stop.
#[derive(Debug)]
pub(super) struct Stopper(watch::Sender<Option<Instant>>);

/// Learns of it.
#[derive(Clone, Debug)]
pub(super) struct Stopping(watch::Receiver<Option<Instant>>);

/// Both ends.
pub(super) fn channel() -> (Stopper, Stopping) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stopping(receiver))
}

impl Stopper {
    /// Asks everybody to stop; attempts under way may go on until `drain_until`.
    pub(super) fn stop(&self, drain_until: Instant) {
        self.0.send_replace(Some(drain_until));
    }
}

impl Stopping {
    /// Returns as soon as, and whenever, a stop was asked for. Never when nobody can ask any more.
    pub(super) async fn asked(&mut self) {
        if self.0.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Until when attempts under way may go on; now, when nobody asked.
    pub(super) fn drain_until(&self) -> Instant {
        self.0.borrow().unwrap_or_else(Instant::now)
    }
}
