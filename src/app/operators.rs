//! The operators' server in a thread of its own: whatever is asked there keeps no request waiting.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::admin::Admin;
use crate::telemetry::Collector;

/// How long the server may take to end: a scraper that does not hang up must not keep us.
const ENDS: Duration = Duration::from_secs(1);

/// The thread.
pub(super) struct Operators {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Operators {
    /// Serves `admin` on `listener`, and collects requests for it.
    ///
    /// # Errors
    /// There are no more threads.
    pub(super) fn start(admin: Admin, collector: Collector, listener: std::net::TcpListener) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = async move {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(collector.run());
            admin.serve(listener, async move { drop(stopped.await) }).await
        };
        let run = move || {
            if let Err(error) = runtime.block_on(serve) {
                tracing::error!(%error, "the operators' server has ended");
            }
            // A file system that hangs may hold a thread that reads a log.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("operators".into()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let since = Instant::now();
        while !self.thread.is_finished() && since.elapsed() < ENDS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
