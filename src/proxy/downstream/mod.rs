//! The caller's side of a request that goes to engines: what it gets, when it gets it, and what ends its wait.
//!
//! The head of an answer is held back until the first bytes of a stream, or the end of a plain answer, have come (`answer`). An
//! engine that dies before that has cost nothing: the next attempt's head takes the place of its. When that takes long, the caller
//! gets the head of the stream and comments, which cost nothing either (`interim`). `wait` knows what else ends the wait for an
//! engine.

mod answer;
mod interim;
mod wait;

use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::proxy::Session;
use pingora::{Error, Result};

use self::answer::Answer;
use self::interim::Interim;
use self::wait::ring;
pub(super) use self::wait::{ABORTED, EXPIRED, LEFT, Wait, leaves};
use super::attempts::Attempts;
use crate::engines::Engine;

/// The caller's side of a request.
pub(super) struct Downstream {
    answer: Answer,
    interim: Interim,
    wait: Wait,
    attempt: Attempt,
}

/// The attempt under way.
#[derive(Default)]
struct Attempt {
    number: u32,
    /// Its engine.
    engine: Option<Arc<Engine>>,
}

impl Downstream {
    pub(super) fn new(wait: Wait) -> Self {
        Self { answer: Answer::default(), interim: Interim::default(), wait, attempt: Attempt::default() }
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, attempts: &Attempts) {
        self.attempt = Attempt { number: self.attempt.number + 1, engine: attempts.engine().cloned() };
    }

    /// Whether the caller has the head of a stream, and perhaps comments, but nothing of its events: an answer that comes
    /// now must be events.
    pub(super) fn is_opened(&self) -> bool {
        self.answer.is_opened()
    }

    /// What comes of the engine. Until then the caller is told that it is still waited for, and watched.
    ///
    /// # Errors
    /// That of `coming`; or the caller has left, the time is over, the gateway ends, or another engine could do better than this one.
    pub(super) async fn meanwhile<T>(
        &mut self,
        session: &mut Session,
        attempts: &Attempts,
        coming: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Self { answer, interim, wait: Wait { silence, alarm, end }, attempt } = self;
        let Attempt { number, engine } = attempt;
        let alternatives = attempts.alternatives();
        let (session, mut coming) = (&mut *session.downstream_session, pin!(coming));
        loop {
            let due = answer.due(*silence, *number);
            tokio::select! {
                // What has come is worth more than anything else. (Tokio sees to it that the others have their turn, too.)
                biased;
                came = &mut coming => return came,
                kind = end.comes(answer.is_timed()) => return Err(Error::new_down(kind)),
                () = leaves(alternatives), if answer.is_awaited(*number) => return Err(Error::new_down(LEFT)),
                () = ring(alarm, due) => interim.say(answer.speak()),
                told = tell_or_watch(session, interim, engine.as_ref()) => told.map_err(Error::into_down)?,
            }
        }
    }

    /// Passes on what has come of an answer, or holds it back.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) async fn pass(&mut self, session: &mut Session, task: HttpTask) -> Result<()> {
        if let Answer::Passed { .. } = self.answer {
            if let HttpTask::Body(piece, false) = &task
                && piece.as_ref().is_none_or(bytes::Bytes::is_empty)
            {
                // An event that is not whole yet tells the caller nothing.
                return Ok(());
            }
            let tasks = vec![task];
            self.answer.note(&tasks);
            return self.write(session, tasks).await;
        }
        if self.answer.hold(task, self.attempt.number) { self.pass_held(session).await } else { Ok(()) }
    }

    /// The answer is over.
    ///
    /// # Errors
    /// Its end cannot be written.
    pub(super) async fn finish(&mut self, session: &mut Session) -> Result<()> {
        self.pass_held(session).await?;
        self.resume(session).await?;
        session.downstream_session.finish_body().await.map_err(Error::into_down)
    }

    /// Goes on with what was begun to be written while nothing came.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) async fn resume(&mut self, session: &mut Session) -> Result<()> {
        if self.interim.is_pending(&session.downstream_session) {
            self.interim.write(&mut session.downstream_session).await.map_err(Error::into_down)?;
        }
        Ok(())
    }

    async fn pass_held(&mut self, session: &mut Session) -> Result<()> {
        let tasks = self.answer.pass();
        if tasks.is_empty() { Ok(()) } else { self.write(session, tasks).await }
    }

    /// Writes to the caller; the engine is not blamed for the time that a caller takes.
    async fn write(&mut self, session: &mut Session, tasks: Vec<HttpTask>) -> Result<()> {
        let Self { interim, attempt, .. } = self;
        let session = &mut *session.downstream_session;
        let writing = pin!(async {
            if interim.is_pending(session) {
                interim.write(session).await?;
            }
            session.response_duplex_vec(tasks).await.map(drop)
        });
        until_taken(writing, attempt.engine.as_ref()).await.map_err(Error::into_down)
    }
}

/// Writes what is to be told while nothing comes; or watches for the caller's departure, and returns only then.
async fn tell_or_watch(session: &mut ServerSession, interim: &mut Interim, engine: Option<&Arc<Engine>>) -> Result<()> {
    if interim.is_pending(session) {
        let writing = pin!(interim.write(session));
        return until_taken(writing, engine).await;
    }
    // The body is there: what can still come is the next request, which waits.
    session.read_body_or_idle(true).await?;
    pending().await
}

/// Awaits what is written to a caller; while that takes nothing, its `engine` is held up.
async fn until_taken<T>(mut writing: Pin<&mut impl Future<Output = T>>, engine: Option<&Arc<Engine>>) -> T {
    if let Poll::Ready(written) = futures::poll!(writing.as_mut()) {
        return written;
    }
    let _held_up = engine.map(Engine::hold_up);
    writing.await
}
