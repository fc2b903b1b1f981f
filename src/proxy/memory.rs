//! The memory that request bodies take: every byte of every copy is counted, against `limits.body_memory`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

use crate::openai::{ApiError, Code};

/// Bytes of request bodies that are held at the moment.
#[derive(Debug)]
pub(super) struct BodyMemory {
    held: AtomicUsize,
    gauge: IntGauge,
}

impl BodyMemory {
    /// Nothing held; what is held is shown by `gauge`.
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self { held: AtomicUsize::new(0), gauge }
    }

    /// Reserves `bytes`, of at most `limit` in all.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize, limit: usize) -> Result<BodyReservation, ApiError> {
        let mut reservation = BodyReservation { memory: self.clone(), bytes: 0, limit };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }
}

/// Memory that is reserved until this is dropped.
#[derive(Debug)]
pub(super) struct BodyReservation {
    memory: Arc<BodyMemory>,
    bytes: usize,
    limit: usize,
}

impl BodyReservation {
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
            let message = "The memory for request bodies is full (limits.body_memory). Try again shortly.";
            return Err(ApiError::new(Code::Overloaded, message));
        }
        self.bytes += more;
        memory.gauge.add(i64::try_from(more).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Reserves as much again for another form of the same body.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) fn another(&self, bytes: usize) -> Result<Self, ApiError> {
        self.memory.reserve(bytes, self.limit)
    }

    /// A separate reservation for a copy whose answer no client waits for. Such copies get memory only while half of it is free:
    /// a slow mirror must not cost a request its place.
    ///
    /// # Errors
    /// 503: there is not enough left.
    pub(super) fn for_copy(&self, bytes: usize) -> Result<Self, ApiError> {
        self.memory.reserve(bytes, self.limit / 2)
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::AcqRel);
        self.memory.gauge.sub(i64::try_from(self.bytes).unwrap_or(i64::MAX));
    }
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
}
