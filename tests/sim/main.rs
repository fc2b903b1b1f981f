//! The simulated engine: it answers like a real vLLM, lives like one, and misbehaves exactly as it is told to.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod ends;
mod faults;
mod forms;
mod life;
mod recording;
mod shapes;

use std::time::Duration;

/// Longest wait for anything that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns when it `is` so.
async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}
