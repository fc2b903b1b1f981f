//! The guard that counts an attempt in and, on drop, out.

use std::ops::Deref;
use std::sync::Arc;

use super::Engine;

/// An attempt under way on an engine. Dropping it, on whatever path, ends the count.
#[derive(Debug)]
pub struct Lease {
    engine: Arc<Engine>,
    /// A byte of an answer came.
    answered: bool,
    /// Its number among all attempts of the engine, if it was the only one under way when it began.
    alone_since: Option<u64>,
}

impl Lease {
    /// Counts an attempt on `engine` if that takes requests; `None` when it does not, any more.
    ///
    /// Here: count, then look. The task that stops an engine: set its state, then look at the count. Both are SeqCst on both atomics,
    /// which puts all four in one order: either we see that it stops, or the count is seen and waited for. With
    /// acquire and release each could miss the other, and a request would go to an engine that is about to be ended.
    #[must_use]
    pub fn try_take(engine: Arc<Engine>) -> Option<Self> {
        let lease = Self::take(engine);
        lease.engine.is_ready().then_some(lease)
    }

    /// Counts an attempt on `engine`, whatever that is doing.
    #[must_use]
    pub fn take(engine: Arc<Engine>) -> Self {
        let alone_since = engine.enter();
        Self { engine, answered: false, alone_since }
    }

    /// Whether the engine has had no other attempt since this one began.
    #[must_use]
    pub fn was_alone(&self) -> bool {
        self.alone_since == Some(self.engine.begun())
    }

    /// The head of an answer came: from here on the attempt may wait for its caller as well as for the engine.
    pub fn note_answer(&mut self) {
        self.note_piece();
        self.waits_no_more();
    }

    /// A piece of an answer came.
    pub fn note_piece(&self) {
        self.engine.count_piece();
    }

    fn waits_no_more(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.engine.answered();
        }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Deref for Lease {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.waits_no_more();
        self.engine.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StopReason;
    use crate::config::EngineUrl;
    use crate::engines::{Address, EngineState};
    use crate::ids::EngineId;

    fn engine() -> Engine {
        let url = EngineUrl { tls: false, host: "a".into(), port: 1, base: String::new() };
        Engine::new(EngineId::new("m", 0), Address { url, api_key: None }, None)
    }

    #[test]
    fn nobody_gets_a_lease_on_an_engine_that_was_seen_drained() {
        use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
        let engine = Arc::new(engine());
        let (gone, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let (taken, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        if let Some(_lease) = Lease::try_take(engine.clone()) {
                            assert!(!gone.load(Ordering::SeqCst), "an attempt on an engine whose process is gone");
                            taken.fetch_add(1, Ordering::Relaxed);
                        } else {
                            missed.fetch_add(1, Ordering::Relaxed);
                        }
                        std::thread::yield_now();
                    }
                });
            }
            let mut rounds = 0;
            while rounds < 300 || taken.load(Ordering::Relaxed) < 20 || missed.load(Ordering::Relaxed) < 20 {
                engine.publish(EngineState::Ready);
                std::thread::yield_now();
                engine.publish(EngineState::Stopping { reason: StopReason::Stop });
                while engine.in_flight() != 0 {
                    std::thread::yield_now();
                }
                gone.store(true, Ordering::SeqCst);
                std::thread::yield_now();
                gone.store(false, Ordering::SeqCst);
                rounds += 1;
            }
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(engine.in_flight(), 0);
    }

    #[tokio::test]
    async fn the_last_lease_ends_the_drain() {
        let engine = Arc::new(engine());
        let (a, b) = (Lease::take(engine.clone()), Lease::take(engine.clone()));
        assert_eq!(engine.in_flight(), 2);
        let waiter = tokio::spawn({
            let engine = engine.clone();
            async move { engine.drained().await }
        });
        drop(a);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(b);
        waiter.await.expect("drained");
        assert_eq!(engine.in_flight(), 0);
    }

    #[test]
    fn an_attempt_whose_answer_has_begun_waits_for_its_caller_and_not_for_the_engine() {
        let engine = Arc::new(engine());
        let (mut a, b) = (Lease::take(engine.clone()), Lease::take(engine.clone()));
        assert_eq!((engine.in_flight(), engine.unanswered()), (2, 2));
        a.note_answer();
        a.note_answer();
        assert_eq!((engine.in_flight(), engine.unanswered(), engine.pieces()), (2, 1, 2));
        drop((a, b));
        assert_eq!((engine.in_flight(), engine.unanswered(), engine.pieces()), (0, 0, 2), "an end is no piece");
    }
}
