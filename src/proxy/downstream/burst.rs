//! Events of a stream that come faster than they are written: gathered, and written to the caller in few pieces.
//!
//! Pingora 0.9 hands over what has come in batches of four, and each would be a packet and a wake-up of the caller. An event
//! that comes alone is written at once, and gathered ones as soon as nothing more is there: no event waits for time to pass.

use bytes::BytesMut;
use pingora::protocols::http::HttpTask;

use crate::proxy::gathered::GATHERED;

/// A batch of this size is followed by another one, as a rule (pingora-proxy 0.9.1, `TASK_BUFFER_SIZE`).
const FULL_BATCH: usize = 4;

/// Most that is gathered: with the frame of its chunk it still fits into the socket's buffer.
const MOST: usize = GATHERED - 16;

/// What is gathered.
#[derive(Debug, Default)]
pub(super) struct Burst(BytesMut);

impl Burst {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in a batch of a stream; what is to be written now.
    pub(super) fn add(&mut self, tasks: Vec<HttpTask>) -> Vec<HttpTask> {
        let more_follow =
            tasks.len() >= FULL_BATCH && tasks.iter().all(|task| matches!(task, HttpTask::Body(_, false)));
        if !more_follow {
            return self.before(tasks);
        }
        let size: usize = tasks.iter().map(size).sum();
        let mut out = Vec::new();
        if self.0.len() + size > MOST {
            out.extend(self.take());
        }
        if size > MOST {
            out.extend(tasks);
            return out;
        }
        for task in tasks {
            if let HttpTask::Body(Some(piece), _) = task {
                self.0.extend_from_slice(&piece);
            }
        }
        out
    }

    /// What is gathered, and `tasks` after it.
    pub(super) fn before(&mut self, tasks: Vec<HttpTask>) -> Vec<HttpTask> {
        match self.take() {
            Some(gathered) => std::iter::once(gathered).chain(tasks).collect(),
            None => tasks,
        }
    }

    /// What is gathered, if anything.
    pub(super) fn take(&mut self) -> Option<HttpTask> {
        (!self.0.is_empty()).then(|| HttpTask::Body(Some(self.0.split().freeze()), false))
    }
}

/// Returns when whoever brings more had its turn.
pub(super) async fn settled() {
    // Pingora asks for more and for this in random order, and polls the two sides of a request now in this, now in that order:
    // after three turns the engine's side has run, and what it brought has been asked for.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

fn size(task: &HttpTask) -> usize {
    match task {
        HttpTask::Body(Some(piece), _) => piece.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn text(tasks: &[HttpTask]) -> Vec<u8> {
        let piece = |task: &HttpTask| match task {
            HttpTask::Body(Some(piece), _) => piece.to_vec(),
            _ => Vec::new(),
        };
        tasks.iter().flat_map(piece).collect()
    }

    fn batch(count: usize, size: usize, end: bool) -> Vec<HttpTask> {
        let piece = |at| HttpTask::Body(Some(Bytes::from(vec![b'x'; size])), end && at + 1 == count);
        (0..count).map(piece).collect()
    }

    proptest! {
        #[test]
        fn everything_is_written_once_and_in_order(
            batches in prop::collection::vec((1_usize..6, 0_usize..3000), 0..20),
        ) {
            let (mut burst, mut sent, mut came) = (Burst::default(), Vec::new(), Vec::new());
            for (at, (count, size)) in batches.into_iter().enumerate() {
                let byte = u8::try_from(at).expect("few");
                let tasks: Vec<_> =
                    (0..count).map(|_| HttpTask::Body(Some(Bytes::from(vec![byte; size])), false)).collect();
                came.extend(text(&tasks));
                sent.extend(text(&burst.add(tasks)));
                prop_assert!(burst.0.len() <= MOST);
            }
            sent.extend(text(&burst.before(vec![HttpTask::Done])));
            prop_assert!(burst.is_empty());
            prop_assert_eq!(sent, came);
        }
    }

    #[test]
    fn an_event_that_comes_alone_is_written_at_once_and_the_end_with_what_is_gathered() {
        let mut burst = Burst::default();
        assert_eq!(burst.add(batch(1, 10, false)).len(), 1);
        assert_eq!(burst.add(batch(3, 10, false)).len(), 3);
        assert!(burst.add(batch(4, 10, false)).is_empty() && !burst.is_empty());
        let end = burst.add(batch(4, 10, true));
        assert_eq!(text(&end).len(), 80);
        assert!(matches!(end.last(), Some(HttpTask::Body(_, true))) && burst.is_empty());
        assert_eq!(burst.add(batch(4, 5000, false)).len(), 4, "large pieces are not copied");
    }
}
