//! How an attempt on an engine ended: the outcomes that decisions, budgets, metrics and logs share.

/// What became of one attempt of a request on one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The engine gave an answer that is the caller's to read: a success, or an error that no other engine would spare it.
    Answered {
        /// HTTP status.
        status: u16,
    },
    /// The engine says that it has no room now.
    Busy {
        /// HTTP status: 429 or 503.
        status: u16,
    },
    /// The engine says that the prompt is longer than its context.
    TooLong {
        /// HTTP status: 400 or 413.
        status: u16,
    },
    /// The engine took the request and gave it up with an error of its own, before anything came of it. Whether it is broken is
    /// for its health check to say.
    GaveUp {
        /// The status that it tells, in the first event of a stream.
        status: u16,
    },
    /// The engine answers 500 and is well: it could not compute this request, which another one may.
    Failed {
        /// HTTP status: 500.
        status: u16,
    },
    /// The engine is broken: it says so itself, or fails its health check.
    EngineBroken {
        /// HTTP status.
        status: u16,
    },
    /// What came is no answer in HTTP.
    Malformed,
    /// No connection: the engine has seen nothing of the request.
    Unreachable,
    /// The connection broke; the engine may have read the request.
    Died {
        /// Bytes of an answer had come.
        began: bool,
    },
    /// The engine was waited for in vain.
    TimedOut {
        /// What it did not do in time.
        phase: Phase,
    },
    /// Nothing had come of the engine when it was found unhealthy or asleep, and another one could answer.
    EngineLeft,
    /// The time for the whole request was over.
    Expired,
    /// The caller left, or took its answer too slowly.
    ClientGone,
    /// The gateway gave the attempt up: it is about to end.
    Aborted,
}

/// What an engine is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Accepting a connection.
    Connect,
    /// Taking the request.
    Write,
    /// The first byte of an answer.
    FirstByte,
    /// The next byte of an answer.
    Stream,
}

impl Outcome {
    /// One word, for labels and logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Busy { .. } => "busy",
            Self::TooLong { .. } => "too_long",
            Self::GaveUp { .. } => "gave_up",
            Self::Failed { .. } => "failed",
            Self::EngineBroken { .. } => "engine_broken",
            Self::Malformed => "malformed",
            Self::Unreachable => "unreachable",
            Self::Died { .. } => "died",
            Self::TimedOut { .. } => "timed_out",
            Self::EngineLeft => "engine_left",
            Self::Expired => "expired",
            Self::ClientGone => "client_gone",
            Self::Aborted => "aborted",
        }
    }

    /// The HTTP status that the engine answered with, where that is what ended it.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answered { status }
            | Self::Busy { status }
            | Self::TooLong { status }
            | Self::GaveUp { status }
            | Self::Failed { status }
            | Self::EngineBroken { status } => Some(status),
            _ => None,
        }
    }

    /// Whether it speaks against the engine: requests should go elsewhere until its health is known.
    #[must_use]
    pub fn speaks_against_engine(self) -> bool {
        matches!(
            self,
            Self::EngineBroken { .. } | Self::Malformed | Self::Unreachable | Self::Died { .. } | Self::TimedOut { .. }
        )
    }

    /// Whether the engine's health is to be checked now.
    #[must_use]
    pub fn casts_doubt(self) -> bool {
        self.speaks_against_engine() || matches!(self, Self::GaveUp { .. })
    }

    /// Whether the engine may have broken of the request.
    #[must_use]
    pub fn breaks_engine(self) -> bool {
        match self {
            Self::Died { .. }
            | Self::GaveUp { .. }
            | Self::EngineBroken { .. }
            | Self::Malformed
            | Self::EngineLeft => true,
            Self::TimedOut { phase } => phase != Phase::Connect,
            _ => false,
        }
    }

    /// Whether it is how a process ends, or one whose engine core has ended (vLLM's API server answers 500 until it ends, too).
    #[must_use]
    pub fn ends_process(self) -> bool {
        matches!(self, Self::Died { .. } | Self::GaveUp { status: 500 } | Self::EngineBroken { status: 500 })
    }

    /// Whether the engine may have begun to work on the request: trying again costs work.
    #[must_use]
    pub fn was_sent(self) -> bool {
        !matches!(self, Self::Unreachable | Self::TimedOut { phase: Phase::Connect })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_word_of_its_own_and_a_caller_is_never_an_engines_fault() {
        let all = [
            Outcome::Answered { status: 200 },
            Outcome::Busy { status: 503 },
            Outcome::TooLong { status: 400 },
            Outcome::GaveUp { status: 500 },
            Outcome::Failed { status: 500 },
            Outcome::EngineBroken { status: 500 },
            Outcome::Malformed,
            Outcome::Unreachable,
            Outcome::Died { began: true },
            Outcome::TimedOut { phase: Phase::FirstByte },
            Outcome::EngineLeft,
            Outcome::Expired,
            Outcome::ClientGone,
            Outcome::Aborted,
        ];
        let words = all.map(Outcome::word).into_iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(words.len(), all.len());
        assert!(!Outcome::ClientGone.speaks_against_engine() && !Outcome::Aborted.speaks_against_engine());
        assert!(Outcome::TimedOut { phase: Phase::FirstByte }.speaks_against_engine());
        assert!(!Outcome::Unreachable.was_sent() && Outcome::Died { began: false }.was_sent());
    }
}
