//! A session that outlives its request although Pingora counts it as failed.

use std::cell::RefCell;
use std::future::Future;

use pingora::protocols::http::ServerSession;

tokio::task_local! {
    /// Where a request leaves its session for its connection to go on, although Pingora counts it as failed.
    static KEPT: RefCell<Option<Box<ServerSession>>>;
}

/// Keeps a session whose answer was ended by us after its engine had died. The caller was promised that the connection
/// stays open, and may have sent its next request already; Pingora would drop it.
pub(super) fn keep(session: Box<ServerSession>) {
    // Outside of an application there is no connection to go on with.
    let _ = KEPT.try_with(|kept| kept.replace(Some(session)));
}

/// Does `work`; what it gives, and the session that it left, if any.
pub(super) async fn catch<T>(work: impl Future<Output = T>) -> (T, Option<Box<ServerSession>>) {
    KEPT.scope(RefCell::new(None), async { (work.await, KEPT.with(RefCell::take)) }).await
}
