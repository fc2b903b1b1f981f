//! What operators can have done with engines.

use std::fmt;

use crate::supervisor::{Command, Order};

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// By the supervisor: only for engines that run here.
    Order(Order),
    /// No new requests go to an engine; it is done when those under way have ended.
    Drain(Target),
    /// Requests go to it again.
    Undrain(Target),
}

/// What it is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One engine, by its id.
    Engine(String),
    /// All engines of a model.
    Model(String),
}

impl Target {
    /// The engine's id, or the model's name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Engine(name) | Self::Model(name) => name,
        }
    }
}

impl Action {
    /// One word for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Drain(_) => "drain",
            Self::Undrain(_) => "undrain",
            Self::Order(Order::Engine(_, command) | Order::Model(_, command)) => match command {
                Command::Start => "start",
                Command::Stop => "stop",
                Command::Restart => "restart",
                Command::Sleep(_) => "sleep",
                Command::Wake => "wake",
            },
            Self::Order(Order::Roll(_)) => "roll",
            Self::Order(Order::CancelRoll(_)) => "cancel_roll",
            Self::Order(Order::Scale(..)) => "scale",
            Self::Order(Order::AddAdapter(..)) => "load_adapter",
            Self::Order(Order::RemoveAdapter(..)) => "unload_adapter",
        }
    }

    /// What it is done with.
    pub(super) fn target(&self) -> Target {
        match self {
            Self::Drain(target) | Self::Undrain(target) => target.clone(),
            Self::Order(Order::Engine(id, _)) => Target::Engine(id.clone()),
            Self::Order(
                Order::Model(name, _)
                | Order::Roll(name)
                | Order::CancelRoll(name)
                | Order::Scale(name, _)
                | Order::AddAdapter(name, _)
                | Order::RemoveAdapter(name, _),
            ) => Target::Model(name.clone()),
        }
    }

    /// Whether something undoes it while it is under way.
    pub(super) fn can_be_cancelled(&self, wanted: Option<usize>) -> bool {
        // Which engine it would be is no matter.
        !self.undone_by(&[String::new()], wanted).is_empty()
    }

    /// What undoes it while it is under way, where the engines `waiting` are not ready, and `wanted` ones were wanted before; empty:
    /// nothing does.
    pub(super) fn undone_by(&self, waiting: &[String], wanted: Option<usize>) -> Vec<Self> {
        let stop = |id: &str| Self::Order(Order::Engine(id.to_owned(), Command::Stop));
        match self {
            Self::Drain(target) => vec![Self::Undrain(target.clone())],
            Self::Order(Order::Engine(id, Command::Start | Command::Restart)) => vec![stop(id)],
            Self::Order(Order::Model(_, Command::Start | Command::Restart)) => {
                waiting.iter().map(|id| stop(id)).collect()
            }
            Self::Order(Order::Roll(model)) => vec![Self::Order(Order::CancelRoll(model.clone()))],
            Self::Order(Order::Scale(model, count)) => match wanted {
                Some(before @ 1..) if before < *count => vec![Self::Order(Order::Scale(model.clone(), before))],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => order.fmt(f),
            Self::Drain(target) | Self::Undrain(target) => write!(f, "{}: {}", target.name(), self.word()),
        }
    }
}
