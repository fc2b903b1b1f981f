//! Waits until the next attempt of a request makes sense: for an engine, or for time to pass.

use std::sync::Arc;
use std::time::Instant;

use futures::future::select_all;
use pingora::proxy::Session;
use tokio::time::{sleep_until, timeout_at};

use super::ProxyState;
use super::attempts::{Advance, Attempts};
use super::refusal::Refusal;
use crate::dispatch::{self, WaitFor};
use crate::engines::{Pool, Waiting};

/// Waits for what the next attempt needs: for time to pass, or for an engine that changes.
pub(super) async fn wait(attempts: &mut Attempts, what: WaitFor, until: Instant) {
    let since = Instant::now();
    if what == WaitFor::Engine {
        attempts.note_unserved();
    }
    match what {
        WaitFor::Pause => sleep_until(until.into()).await,
        WaitFor::Engine => change(attempts.pools().cloned().collect(), until).await,
    }
    attempts.timeline.note_wait(since);
}

/// Returns when an engine of one of `pools` has changed, or at `until`.
async fn change(pools: Vec<Arc<Pool>>, until: Instant) {
    let mut changes: Vec<_> = pools.iter().map(|pool| Box::pin(pool.changed())).collect();
    changes.iter_mut().for_each(|change| _ = change.as_mut().enable());
    let _waiting: Vec<Waiting> = pools.iter().map(Pool::wait).collect();
    // An engine may have become ready between the question and this.
    if changes.is_empty() || pools.iter().any(|pool| pool.is_ready()) {
        return;
    }
    // Late is not wrong: the deadline is looked at when the question is put again.
    let _ = timeout_at(until.into(), select_all(changes)).await;
}

/// Waits for the first engine of a request whose model is loaded on demand.
///
/// # Errors
/// There is none, the client has left, or the gateway ends.
pub(super) async fn first_engine(
    state: &ProxyState,
    session: &mut Session,
    attempts: &mut Attempts,
) -> Result<(), Refusal> {
    unless_gone(state, session, async {
        loop {
            match attempts.advance(&state.admission) {
                Advance::Go => return Ok(()),
                Advance::Wait(..) if state.is_draining() => attempts.wait_no_more(),
                Advance::Wait(what, until) => wait(attempts, what, until).await,
                Advance::Deliver | Advance::Refuse => return Err(attempts.refusal(state.is_draining()).into()),
            }
        }
    })
    .await
}

/// What `work` comes to, unless the client leaves before or the gateway ends. Dropping the work makes engines give it up.
pub(super) async fn unless_gone<T>(
    state: &ProxyState,
    session: &mut Session,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let mut abort = state.abort_signal();
    // A client that has sent more than its request is no longer watched: its bytes are those of the next one.
    let mut watched = true;
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = abort.aborted() => return Err(dispatch::shutting_down().into()),
            left = session.downstream_session.read_body_or_idle(true), if watched => match left {
                Err(error) => return Err(Refusal::Gone(error.into_down())),
                Ok(_) => watched = false,
            },
        }
    }
}
