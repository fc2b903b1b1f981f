//! The meters of one kind (of routes, of callers): one for each key, shared by all snapshots, and gone with the last who counts
//! in it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::metrics::series::{Label, SeriesBook};

/// What is counted by a key. It is kept near who counts, and Prometheus' counters get it when somebody looks.
pub(super) trait Metered: fmt::Debug + Sized {
    /// By what it is known.
    type Key: fmt::Debug + Clone + Eq + Hash;
    /// Where what it counts goes.
    type Metrics: fmt::Debug;

    /// A fresh one.
    fn new(book: Arc<Book<Self>>, key: Self::Key) -> Self;

    /// By what it is known.
    fn key(&self) -> &Self::Key;

    /// Gives Prometheus' counters what was counted since the last time.
    fn publish(&self);

    /// The sets of labels that its series have.
    fn labels(key: &Self::Key) -> Vec<Vec<Label<'_>>>;
}

/// The meters of one kind, and where what they count goes.
#[derive(Debug)]
pub(super) struct Book<M: Metered> {
    pub(super) metrics: M::Metrics,
    series: Arc<SeriesBook>,
    all: Mutex<HashMap<M::Key, Weak<M>>>,
}

impl<M: Metered> Book<M> {
    pub(super) fn new(metrics: M::Metrics, series: Arc<SeriesBook>) -> Self {
        Self { metrics, series, all: Mutex::default() }
    }

    /// The meters known by `key`; made where there are none.
    pub(super) fn meters(self: &Arc<Self>, key: M::Key) -> Arc<M> {
        let mut all = lock(&self.all);
        let entry = all.entry(key.clone()).or_default();
        entry.upgrade().unwrap_or_else(|| {
            M::labels(&key).iter().for_each(|labels| self.series.begin(labels));
            let made = Arc::new(M::new(self.clone(), key));
            *entry = Arc::downgrade(&made);
            made
        })
    }

    /// Those known by `key`, where there are some.
    pub(super) fn find(&self, key: &M::Key) -> Option<Arc<M>> {
        lock(&self.all).get(key).and_then(Weak::upgrade)
    }

    /// Gives Prometheus' counters what was counted since the last time.
    pub(super) fn publish(&self) {
        // Collected first: the last of some may go here, which takes the same lock.
        let meters: Vec<_> = lock(&self.all).values().filter_map(Weak::upgrade).collect();
        meters.iter().for_each(|meters| meters.publish());
    }

    /// Nobody counts in `gone` any more: call it when it is dropped.
    pub(super) fn end(&self, gone: &M) {
        gone.publish();
        let mut all = lock(&self.all);
        // Others may have been made meanwhile.
        if all.get(gone.key()).is_some_and(|meters| std::ptr::eq(meters.as_ptr(), gone)) {
            all.remove(gone.key());
        }
        drop(all);
        M::labels(gone.key()).iter().for_each(|labels| self.series.end(labels));
    }
}

/// Locks it, whatever became of who held it before.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
