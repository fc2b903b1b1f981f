//! Responses that engines keep, for `GET /v1/responses/{id}`, its `cancel`, and `previous_response_id`: which engine made which,
//! for whom. Kept in memory alone: a gateway that was restarted knows none of them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ids::Name;
use crate::openai::{ApiError, Code};

/// Responses that are known at most: about 20 MB of memory. Beyond, the oldest are forgotten.
const MOST: usize = 65_536;

/// A response that an engine may have kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// The key of the engine that made it.
    pub(super) engine: u64,
    /// Who asked for it; `None`: a caller without a key.
    pub(super) owner: Option<Name>,
    /// The name of the route that it was asked by.
    pub(super) route: Name,
    /// See [`PreparedRequest::requested`](crate::routing::PreparedRequest::requested).
    pub(super) requested: Option<Name>,
    /// Its tokens were counted. Those of one that is made in the background are told later.
    counted: AtomicBool,
}

impl Kept {
    pub(super) fn new(engine: u64, owner: Option<Name>, route: Name, requested: Option<Name>) -> Self {
        Self { engine, owner, route, requested, counted: AtomicBool::new(false) }
    }

    /// Its tokens are about to be counted; whether they were before.
    pub(super) fn count(&self) -> bool {
        self.counted.swap(true, Ordering::Relaxed)
    }
}

/// The responses of the last time.
#[derive(Debug, Default)]
pub(super) struct StoredResponses(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<Arc<str>, Arc<Kept>>,
    /// The same, oldest first, with the time until which they are known.
    ages: VecDeque<(Instant, Arc<str>)>,
}

impl StoredResponses {
    /// Notes that the response `id` was made, and is known for `lifetime` from `now` on. Clients may choose ids: one that two
    /// callers have is nobody's, because engines keep the last one alone.
    pub(super) fn note(&self, id: String, kept: Arc<Kept>, lifetime: Duration, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget(now);
        let (id, Some(until)) = (Arc::<str>::from(id), now.checked_add(lifetime)) else { return };
        if let Some(before) = known.by_id.get(&id) {
            if before.owner != kept.owner || before.engine != kept.engine {
                known.by_id.remove(&id);
            }
            return;
        }
        known.make_room();
        known.by_id.insert(id.clone(), kept);
        known.ages.push_back((until, id));
    }

    /// The response `id` of the caller `owner`; `None`: nobody's is known.
    ///
    /// # Errors
    /// 404: it is another caller's. The error is that of one that is not known.
    pub(super) fn find(&self, id: &str, owner: Option<&str>, now: Instant) -> Result<Option<Arc<Kept>>, ApiError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget(now);
        match known.by_id.get(id) {
            Some(kept) if kept.owner.as_deref() != owner => Err(unknown(id)),
            found => Ok(found.cloned()),
        }
    }
}

impl Known {
    /// Forgets what is too old at `now`.
    fn forget(&mut self, now: Instant) {
        while self.ages.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    /// Forgets the oldest where there is no room for another one.
    fn make_room(&mut self) {
        while self.ages.len() >= MOST {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.ages.pop_front() {
            self.by_id.remove(&id);
        }
    }
}

/// There is no response `id`, as far as its caller may know.
pub(super) fn unknown(id: &str) -> ApiError {
    let shown: String = id.chars().take(64).collect();
    let message = format!(
        "Response with id '{shown}' not found. The gateway knows responses for a limited time (timeouts.stored_response), not \
         after a restart, and only those that were made for the same caller; engines keep them if they are told to \
         (VLLM_ENABLE_RESPONSES_API_STORE=1)."
    );
    ApiError::new(Code::ResponseNotFound, message)
}

/// The engine of the response `id` is not there any more.
pub(super) fn gone(id: &str) -> ApiError {
    let shown: String = id.chars().take(64).collect();
    let message = format!("Response with id '{shown}' not found: the engine that kept it is gone.");
    ApiError::new(Code::ResponseNotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn kept(engine: u64, owner: Option<&str>) -> Arc<Kept> {
        Arc::new(Kept::new(engine, owner.map(Name::from), "m".into(), None))
    }

    #[test]
    fn a_response_is_its_callers_alone_and_known_for_its_time() {
        let (stored, now) = (StoredResponses::default(), Instant::now());
        stored.note("a".into(), kept(1, Some("ann")), HOUR, now);
        stored.note("b".into(), kept(2, None), HOUR, now + HOUR / 2);
        let find = |id, owner, now| stored.find(id, owner, now).map(|kept| kept.map(|kept| kept.engine));
        assert_eq!(find("a", Some("ann"), now), Ok(Some(1)));
        assert_eq!(find("b", None, now), Ok(Some(2)));
        assert_eq!(find("c", None, now), Ok(None));
        for other in [None, Some("bob")] {
            assert_eq!(find("a", other, now), Err(unknown("a")));
        }
        // An id that another caller chose, too, is nobody's.
        stored.note("a".into(), kept(1, Some("bob")), HOUR, now);
        assert_eq!((find("a", Some("ann"), now), find("a", Some("bob"), now)), (Ok(None), Ok(None)));
        assert_eq!(find("a", Some("ann"), now + HOUR), Ok(None));
        assert_eq!(find("b", None, now + HOUR), Ok(Some(2)));
        assert_eq!(stored.0.lock().expect("no panic").by_id.len(), 1);
    }

    #[test]
    fn the_oldest_make_room() {
        let (stored, now) = (StoredResponses::default(), Instant::now());
        for at in 0..MOST + 10 {
            stored.note(at.to_string(), kept(at as u64, None), HOUR, now);
        }
        let known = stored.0.lock().expect("no panic");
        assert_eq!((known.by_id.len(), known.ages.len()), (MOST, MOST));
        assert!(!known.by_id.contains_key("9") && known.by_id.contains_key("10"));
    }
}
