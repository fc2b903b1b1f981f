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
pub(crate) struct ShutdownSender(watch::Sender<Said>);

/// Hears of it.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownSignal(watch::Receiver<Said>);

/// What was said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    mode: Option<ShutdownMode>,
    /// Whether nobody waits any more for what was asked to end.
    at_once: bool,
}

/// Both ends.
pub(crate) fn channel() -> (ShutdownSender, ShutdownSignal) {
    let (sender, receiver) = watch::channel(Said::default());
    (ShutdownSender(sender), ShutdownSignal(receiver))
}

impl ShutdownSender {
    /// Asks all of them to end.
    pub(crate) fn say(&self, mode: ShutdownMode) {
        self.0.send_modify(|said| said.mode = Some(mode));
    }

    /// Has what was asked to end, and does not, killed.
    pub(crate) fn at_once(&self) {
        self.0.send_modify(|said| said.at_once = true);
    }
}

impl ShutdownSignal {
    /// Returns as soon as, and whenever, an end was asked for. Never when nobody can ask any more.
    pub(crate) async fn asked(&self) -> ShutdownMode {
        match self.0.clone().wait_for(|said| said.mode.is_some()).await.map(|said| said.mode) {
            Ok(Some(mode)) => mode,
            _ => std::future::pending().await,
        }
    }

    /// Returns as soon as, and whenever, nobody waits any more for what was asked to end.
    pub(crate) async fn hurried(&self) {
        if self.0.clone().wait_for(|said| said.at_once).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
