//! How long a connection may stand still.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Watches a connection on which something is waited for. The alarm outlives what it was set for: it is set anew only when it rings
/// too early, so that a connection on which all goes well asks for no timer.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// When it last began to stand still; `None`: something has moved since.
    since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Something has moved.
    pub(super) fn renew(&mut self) {
        self.since = None;
    }

    /// Nothing moves; ready once that has lasted for `limit`.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let due = *self.since.get_or_insert_with(Instant::now) + limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() > due {
            alarm.as_mut().reset(due);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_over_when_nothing_has_moved_for_so_long() {
        let (start, limit) = (Instant::now(), Duration::from_secs(10));
        let mut patience = Patience::default();
        let step = tokio::time::timeout(Duration::from_secs(9), poll_fn(|cx| patience.poll_over(cx, limit))).await;
        assert!(step.is_err());
        patience.renew();
        poll_fn(|cx| patience.poll_over(cx, limit)).await;
        assert_eq!(start.elapsed().as_secs(), 19);
        patience.renew();
        poll_fn(|cx| patience.poll_over(cx, Duration::from_secs(2))).await;
        assert_eq!(start.elapsed().as_secs(), 21, "a shorter one");
    }
}
