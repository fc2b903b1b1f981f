//! What was tried for one request so far.

use smallvec::SmallVec;

use crate::outcome::Outcome;

/// One attempt, after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Position in the plan's legs.
    pub leg: usize,
    /// Which engine.
    pub key: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// It was sent over a kept connection, and if it failed, then at once: the engine may have closed it meanwhile.
    pub reused: bool,
    /// The engine had no other request while it had this one.
    pub alone: bool,
}

/// The attempts of one request, and what they cost.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Those of the current round.
    attempts: SmallVec<[Attempt; 4]>,
    /// All attempts that a further one followed.
    retries: usize,
    /// Answers of 500, over all rounds.
    server_errors: usize,
    /// Attempts of earlier rounds on engines that broke or fell silent.
    broken_before: usize,
    /// Engines of earlier rounds that died of this request alone.
    killed_before: usize,
    /// An attempt of an earlier round was repeated on the same engine.
    repeated_before: bool,
    /// Something of an answer has reached the caller.
    pub delivered: bool,
}

impl History {
    /// Notes how an attempt ended.
    pub fn note(&mut self, attempt: Attempt) {
        if attempt.outcome == (Outcome::Answered { status: 500 }) {
            self.server_errors += 1;
        }
        self.attempts.push(attempt);
    }

    /// Notes that another attempt follows.
    pub fn note_retry(&mut self) {
        self.retries += 1;
    }

    /// After a wait every engine may be tried again.
    pub fn begin_round(&mut self) {
        (self.broken_before, self.killed_before) = (self.broken(), self.killed());
        self.repeated_before = self.has_repeated();
        self.attempts.clear();
    }

    /// The last attempt of this round.
    #[must_use]
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Whether this round was on that engine already.
    #[must_use]
    pub fn tried(&self, key: u64) -> bool {
        self.attempts.iter().any(|attempt| attempt.key == key)
    }

    /// Whether an attempt was repeated on the same engine, over all rounds.
    pub(super) fn has_repeated(&self) -> bool {
        let again =
            |(at, attempt): (usize, &Attempt)| self.attempts[..at].iter().any(|before| before.key == attempt.key);
        self.repeated_before || self.attempts.iter().enumerate().any(again)
    }

    /// Attempts of this round that an engine may have worked on.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome.was_sent()).count()
    }

    /// Attempts on engines that broke or fell silent, over all rounds. A kept connection that its engine had closed counts
    /// together with the attempt over a new one that follows.
    #[must_use]
    pub fn broken(&self) -> usize {
        let broke = |(at, attempt): (usize, &Attempt)| {
            attempt.outcome.breaks_engine() && self.attempts.get(at + 1).is_none_or(|next| next.key != attempt.key)
        };
        self.broken_before + self.attempts.iter().enumerate().filter(|each| broke(*each)).count()
    }

    /// Engines whose process this request may have ended: it died while it had no other request. Over all rounds.
    #[must_use]
    pub fn killed(&self) -> usize {
        // The last attempt on an engine tells: a kept connection that was closed may be followed by an answer.
        let killed = |(at, attempt): (usize, &Attempt)| {
            let next = self.attempts.get(at + 1).filter(|next| next.key == attempt.key);
            let died = match next {
                None => attempt.outcome.ends_process(),
                // The engine died, and is found dead.
                Some(next) => attempt.outcome.ends_process() && next.outcome == Outcome::Unreachable,
            };
            // The second of two attempts on an engine begins before the first one is counted out.
            let before = at.checked_sub(1).and_then(|at| self.attempts.get(at)).filter(|it| it.key == attempt.key);
            died && (attempt.alone || before.is_some_and(|before| before.alone))
        };
        self.killed_before + self.attempts.iter().enumerate().filter(|each| killed(*each)).count()
    }

    /// Attempts of this round that engines which are well answered with 500.
    pub(super) fn failed(&self) -> usize {
        self.attempts.iter().filter(|attempt| matches!(attempt.outcome, Outcome::Failed { .. })).count()
    }

    /// Attempts that another one followed, over all rounds.
    #[must_use]
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// Answers of 500, over all rounds.
    #[must_use]
    pub fn server_errors(&self) -> usize {
        self.server_errors
    }
}
