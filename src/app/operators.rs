//! The operators' server in a thread of its own, which lets those that serve callers go first: whatever is asked there keeps no
//! request waiting.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::priority::Priority;
use crate::admin::Admin;
use crate::telemetry::Collector;

/// How long the server may take to end: a scraper that does not hang up must not keep us.
const ENDS: Duration = Duration::from_secs(1);

/// By how many steps its threads step back behind the others. Where these want all processors, a tenth of one is left for
/// operators: what goes on then is what they look for.
const STEPS_BACK: i32 = 10;

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
        let priority = priority();
        let step_back = move || {
            if let Some(Err(error)) = priority.map(Priority::take) {
                tracing::warn!(%error, "what operators ask for may keep requests waiting: a thread keeps its priority");
            }
        };
        // Its other threads read and write files.
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().thread_name("operators-files").on_thread_start(step_back).build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = async move {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(collector.run());
            admin.serve(listener, async move { drop(stopped.await) }).await
        };
        let run = move || {
            step_back();
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

/// That of its threads; `None`: as that of the others.
fn priority() -> Option<Priority> {
    Priority::below_this_thread(STEPS_BACK)
        .inspect_err(|error| tracing::warn!(%error, "what operators ask for may keep requests waiting: the priority is not known"))
        .ok()
}
