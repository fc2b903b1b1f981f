//! What can be decided about a request.

use std::time::Instant;

use crate::config::Retry;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// Try this engine. The caller takes a lease and pays the budget; if either fails, it asks again.
    Send(Send),
    /// Wait, then put the question again, with a new round of attempts.
    Wait {
        /// For what.
        what: WaitFor,
        /// No longer than until then.
        until: Instant,
    },
    /// Pass the answer that is at hand to the caller: no other place is better.
    Deliver,
    /// Tell the caller why there is no answer.
    Refuse,
}

/// An engine to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// Position in the plan's legs.
    pub leg: usize,
    /// Which engine.
    pub key: u64,
    /// Its position among the leg's engines when it was chosen: where to look for it first.
    pub at: usize,
    /// Over a new connection: a kept one just turned out to be closed.
    pub fresh: bool,
    /// The leg whose model pays for a retry; `None`: it costs nothing.
    pub payer: Option<usize>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// An engine that becomes ready.
    Engine,
    /// Time to pass.
    Pause,
}

/// What bounds the attempts of one request.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Attempts and their price.
    pub retry: &'a Retry,
    /// How long engines are waited for that cannot be had (NeMo Gym's rules); `None`: not at all.
    pub wait_until: Option<Instant>,
    /// How long a model is waited for that is loaded on demand; `None`: not at all.
    pub load_until: Option<Instant>,
    /// When the time for the whole request is over.
    pub expires: Option<Instant>,
}
