//! What engines want of GPUs, what they hold, and what they are given.

use super::ranks::Ranks;
use crate::config::Gpus;
use crate::ids::{EngineId, Name};

/// What one engine wants.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The engine.
    pub engine: EngineId,
    /// Its model; engines of one model are kept apart where there is room.
    pub model: Name,
    /// Its GPUs: as many as it needs of any, or its own part of those that are listed.
    pub gpus: Gpus,
    /// Share of each GPU's memory that it will take; 0 when it is unknown.
    pub share: f64,
    /// How it spreads over its GPUs; `None` when that is not known here.
    pub ranks: Option<Ranks>,
    /// Whether its model is loaded on demand, and may have GPUs in turns with others that are.
    pub in_turns: bool,
}

/// An engine that runs already, and stays where it is.
#[derive(Clone, Debug)]
pub struct Held {
    /// The engine.
    pub engine: EngineId,
    /// Its model.
    pub model: Name,
    /// Indices or UUIDs of what it was given; empty when it uses what our own environment shows.
    pub gpus: Vec<String>,
    /// Share of each GPU's memory that it takes.
    pub share: f64,
    /// Its processes: what they hold is not foreign.
    pub pids: Vec<u32>,
    /// What it keeps of its GPUs.
    pub keeps: Keeps,
}

/// What an engine that runs keeps of the GPUs that it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeps {
    /// Its share.
    #[default]
    Share,
    /// What its processes hold: it sleeps.
    Remainder,
    /// Nothing: it is looked at as if it had ended already.
    Nothing,
}

/// What one engine gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The engine.
    pub engine: EngineId,
    /// Its GPUs, in order; `None`: the environment is left alone.
    pub gpus: Option<Vec<Place>>,
    /// Share of each one's memory.
    pub share: f64,
}

/// One GPU of an engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The word for `CUDA_VISIBLE_DEVICES`.
    pub text: String,
    /// Index of the card; `None` when no driver told.
    pub index: Option<u32>,
    /// Place among the card's MIG instances.
    pub mig: Option<u32>,
    /// UUID of the card or the instance.
    pub uuid: Option<String>,
    /// Name of the card or the instance.
    pub name: Option<String>,
    /// All of its memory in bytes.
    pub total: Option<u64>,
    /// Bytes that processes hold which are not engines of ours.
    pub foreign: u64,
}
