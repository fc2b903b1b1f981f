//! The guard that counts an attempt in and, on drop, out.

use std::ops::Deref;
use std::sync::Arc;

use super::Engine;

/// An attempt under way on an engine. Dropping it, on whatever path, ends the count.
#[derive(Debug)]
pub struct Lease(Arc<Engine>);

impl Lease {
    /// Counts an attempt on `engine`.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        engine.enter();
        Self(engine)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.0
    }
}

impl Deref for Lease {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EngineUrl;
    use crate::engines::Address;
    use crate::ids::EngineId;

    #[tokio::test]
    async fn the_last_lease_ends_the_drain() {
        let url = EngineUrl { tls: false, host: "a".into(), port: 1 };
        let engine = Arc::new(Engine::new(EngineId::new("m", 0), Address { url, api_key: None }, None));
        let (a, b) = (Lease::new(engine.clone()), Lease::new(engine.clone()));
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
}
