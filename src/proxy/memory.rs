//! The memory that request bodies take: every byte of every copy is counted, against `limits.body_memory`.
//!
//! When it is full, copies for mirrors give way, then the body that arrives most slowly: nobody can keep others out by sending
//! bytes that hardly come.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::sync::Notify;

use crate::openai::{ApiError, Code};

/// Age of an arriving body from which on it may be called slow.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Bytes from which on it is worth while that a body gives way.
const WORTH: usize = 64 * 1024;

/// How long a body waits for a slower one to give way.
const GIVE_WAY_WITHIN: Duration = Duration::from_millis(500);

/// Bytes of request bodies that are held at the moment.
#[derive(Debug)]
pub(super) struct BodyMemory {
    held: AtomicUsize,
    gauge: IntGauge,
    /// Bodies that are on their way and hold some of it.
    arriving: Mutex<Vec<Arc<Arriving>>>,
    /// Copies whose answers nobody waits for.
    copies: AtomicUsize,
    /// They are to be given up.
    copies_end: Notify,
    /// Wakes who waits for others to give way.
    freed: Notify,
}

/// A body on its way in.
#[derive(Debug)]
struct Arriving {
    since: Instant,
    bytes: AtomicUsize,
    give_way: Notify,
}

impl Arriving {
    /// Bytes per second, for one that is old enough to tell.
    fn rate(&self) -> Option<f64> {
        let age = self.since.elapsed();
        let bytes = self.bytes.load(Ordering::Relaxed) as f64;
        (age >= SLOW_AFTER).then(|| bytes / age.as_secs_f64())
    }
}

impl BodyMemory {
    /// Nothing held; what is held is shown by `gauge`.
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self {
            held: AtomicUsize::new(0),
            gauge,
            arriving: Mutex::default(),
            copies: AtomicUsize::new(0),
            copies_end: Notify::new(),
            freed: Notify::new(),
        }
    }

    /// Reserves `bytes`, of at most `limit` in all.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize, limit: usize) -> Result<BodyReservation, ApiError> {
        let memory = self.clone();
        let mut reservation = BodyReservation { memory, bytes: 0, limit, arriving: None, is_copy: false };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }

    /// Returns when copies have to give way to a request.
    pub(super) async fn copies_must_give_way(&self) {
        self.copies_end.notified().await;
    }

    /// Has others give way: copies; or else the slowest of the arriving bodies, if it is slower than `own`. Whether any does.
    fn evict(&self, own: Option<&Arc<Arriving>>) -> bool {
        if self.copies.load(Ordering::Relaxed) > 0 {
            self.copies_end.notify_waiters();
            return true;
        }
        let arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        let rated = || arriving.iter().filter_map(|body| Some((body.rate()?, body)));
        let slowest = |least: usize| {
            let large = rated().filter(|(_, body)| body.bytes.load(Ordering::Relaxed) >= least);
            large.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, body)| body)
        };
        // A small one that is slow frees next to nothing.
        let Some(slowest) = slowest(WORTH).or_else(|| slowest(0)) else { return false };
        if own.is_some_and(|own| Arc::ptr_eq(own, slowest)) {
            return false;
        }
        slowest.give_way.notify_one();
        true
    }
}

/// Memory that is reserved until this is dropped.
#[derive(Debug)]
pub(super) struct BodyReservation {
    memory: Arc<BodyMemory>,
    bytes: usize,
    limit: usize,
    arriving: Option<Arc<Arriving>>,
    is_copy: bool,
}

impl BodyReservation {
    /// The body is on its way: it may have to give way, and others to it.
    pub(super) fn arrives(&mut self) {
        if self.arriving.is_some() {
            return;
        }
        let body = Arc::new(Arriving { since: Instant::now(), bytes: AtomicUsize::new(0), give_way: Notify::new() });
        self.memory.arriving.lock().unwrap_or_else(PoisonError::into_inner).push(body.clone());
        self.arriving = Some(body);
    }

    /// The body is there.
    pub(super) fn has_arrived(&mut self) {
        if let Some(body) = self.arriving.take() {
            let mut arriving = self.memory.arriving.lock().unwrap_or_else(PoisonError::into_inner);
            arriving.retain(|other| !Arc::ptr_eq(other, &body));
        }
    }

    /// Returns when the body has to give way, if ever.
    pub(super) async fn must_give_way(&self) {
        match &self.arriving {
            Some(body) => body.give_way.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Makes the reservation `bytes` large for a body of which that much has come; a slower one may have to give way.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) async fn make_room(&mut self, bytes: usize) -> Result<(), ApiError> {
        if let Some(body) = &self.arriving {
            body.bytes.store(bytes, Ordering::Relaxed);
        }
        if self.grow_to(bytes).is_ok() {
            return Ok(());
        }
        let until = tokio::time::Instant::now() + GIVE_WAY_WITHIN;
        loop {
            let memory = self.memory.clone();
            let freed = memory.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.grow_to(bytes) {
                Ok(()) => return Ok(()),
                Err(full) if !self.memory.evict(self.arriving.as_ref()) => return Err(full),
                Err(full) => tokio::time::timeout_at(until, freed).await.map_err(|_| full)?,
            }
        }
    }

    /// Gives back what is held beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.memory.held.fetch_sub(less, Ordering::AcqRel);
        self.memory.gauge.sub(i64::try_from(less).unwrap_or(i64::MAX));
        if less > 0 {
            self.memory.freed.notify_waiters();
        }
    }

    /// Makes the reservation `bytes` large, never smaller than it is.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let memory = &self.memory;
        if memory.held.fetch_add(more, Ordering::AcqRel).saturating_add(more) > self.limit {
            memory.held.fetch_sub(more, Ordering::AcqRel);
            return Err(full());
        }
        self.bytes += more;
        memory.gauge.add(i64::try_from(more).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Reserves so many more bytes.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) fn grow_by(&mut self, more: usize) -> Result<(), ApiError> {
        self.grow_to(self.bytes.saturating_add(more))
    }

    /// Reserves as much again for another form of the same body.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) fn another(&self, bytes: usize) -> Result<Self, ApiError> {
        self.memory.reserve(bytes, self.limit)
    }

    /// A separate reservation for a copy whose answer no client waits for. Such copies get memory only while half of it is free:
    /// a slow mirror must not cost a request its place. They give way to requests.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) fn for_copy(&self, bytes: usize) -> Result<Self, ApiError> {
        let mut copy = self.memory.reserve(bytes, self.limit / 2)?;
        copy.is_copy = true;
        self.memory.copies.fetch_add(1, Ordering::Relaxed);
        Ok(copy)
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        self.has_arrived();
        if self.is_copy {
            self.memory.copies.fetch_sub(1, Ordering::Relaxed);
        }
        self.shrink_to(0);
    }
}

/// 503: the memory is full.
pub(super) fn full() -> ApiError {
    let message = "The memory for request bodies is full (limits.body_memory). Try again shortly.";
    ApiError::new(Code::Overloaded, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_counts_until_it_is_dropped() {
        let gauge = IntGauge::new("bytes", "test").expect("a gauge");
        let memory = Arc::new(BodyMemory::new(gauge.clone()));
        let mut first = memory.reserve(40, 100).expect("room");
        assert!(first.for_copy(11).is_err(), "half of the memory is for requests");
        let copy = memory.reserve(40, 100).expect("room");
        assert_eq!(memory.reserve(21, 100).map(|_| ()).map_err(|error| error.code), Err("overloaded"));
        first.grow_to(60).expect("room");
        assert!(first.grow_to(61).is_err() && first.grow_to(10).is_ok());
        assert_eq!(gauge.get(), 100);
        drop((first, copy));
        assert_eq!(gauge.get(), 0);
        assert!(memory.reserve(usize::MAX, 100).is_err() && gauge.get() == 0);
        let original = memory.reserve(10, 100).expect("room");
        let copy = original.for_copy(40).expect("room");
        drop(original);
        assert_eq!(gauge.get(), 40, "a copy counts on its own");
        drop(copy);
    }

    #[tokio::test]
    async fn the_slowest_body_gives_way_and_nobody_waits_for_one_that_is_faster() {
        let gauge = IntGauge::new("bytes", "test").expect("a gauge");
        let memory = Arc::new(BodyMemory::new(gauge.clone()));
        let mut slow = memory.reserve(0, 100).expect("room");
        slow.arrives();
        slow.make_room(90).await.expect("room");
        let mut new = memory.reserve(0, 100).expect("room");
        new.arrives();
        assert!(new.make_room(50).await.is_err(), "it is not slow yet");
        let seconds_ago = |body: &mut BodyReservation, seconds| {
            let bytes = body.arriving.as_ref().map_or(0, |body| body.bytes.load(Ordering::Relaxed));
            body.has_arrived();
            let since = Instant::now().checked_sub(Duration::from_secs(seconds)).expect("a while ago");
            let arriving = Arc::new(Arriving { since, bytes: AtomicUsize::new(bytes), give_way: Notify::new() });
            memory.arriving.lock().expect("a lock").push(arriving.clone());
            body.arriving = Some(arriving);
        };
        seconds_ago(&mut slow, 90);
        seconds_ago(&mut new, 2);
        assert!(slow.make_room(101).await.is_err(), "it is the slowest itself");
        let giving_way = async {
            slow.must_give_way().await;
            drop(slow);
        };
        let (room, ()) = tokio::join!(new.make_room(50), giving_way);
        assert_eq!((room, gauge.get()), (Ok(()), 50));
        new.has_arrived();
        assert!(memory.arriving.lock().expect("a lock").is_empty());
    }
}
