//! Tells a client's socket whether the head of a request is being read from it, which is all that Pingora does not say.

use std::cell::Cell;

tokio::task_local! {
    static IS_AWAITED: Cell<bool>;
}

/// Does `work`, which reads the head of a request, and goes on after [`has_come`].
pub(super) async fn read_by<T>(work: impl Future<Output = T>) -> T {
    IS_AWAITED.scope(Cell::new(true), work).await
}

/// The whole head has come.
pub(super) fn has_come() {
    // Over HTTP/2 nobody asks.
    let _ = IS_AWAITED.try_with(|is_awaited| is_awaited.set(false));
}

/// Whether what is read now is the head of a request.
pub(super) fn is_awaited() -> bool {
    IS_AWAITED.try_with(Cell::get).unwrap_or(false)
}
