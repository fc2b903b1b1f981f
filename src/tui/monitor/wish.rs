//! What a view wants: plain data, so that it can be looked at in tests.

use crate::api::{Target, Verb};

/// Something that a view wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Another view above this one.
    Open(Place),
    /// A question first whether to do this.
    Ask(Verb, Target),
    /// A question of how many engines a model is to have.
    AskScale(String),
    /// A list of all that can be done with this.
    Menu(Target),
    /// A question whether to cancel an operation.
    AskCancel(String),
    /// This is to be told.
    Say(String),
}

/// What the gateway is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// With engines.
    Act(Verb, Target),
    /// A model is to have so many engines.
    Scale(String, usize),
    /// An operation is not wanted any more.
    Cancel(String),
}

/// A view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Models and engines.
    Overview,
    /// Logs: of one engine, of `gateway`, or all.
    Logs(Option<String>),
    /// Requests that have ended.
    Requests,
    /// One of them.
    Request(String),
    /// Aliases.
    Aliases,
    /// GPUs.
    Gpus,
    /// What operators have done.
    Operations,
    /// One engine.
    Engine(String),
}

impl Place {
    /// Views that have a name and a number key, in the order of the keys from 1 on.
    pub(super) const NAMED: [(&'static str, Self); 6] = [
        ("overview", Self::Overview),
        ("logs", Self::Logs(None)),
        ("requests", Self::Requests),
        ("aliases", Self::Aliases),
        ("gpus", Self::Gpus),
        ("operations", Self::Operations),
    ];
}
