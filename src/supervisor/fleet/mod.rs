//! The fleet: all engines that run here, as one actor keeps them.
//!
//! `actor` hears of everything (requests, engines, demand) and is the only writer. `desired` and `actual` are plain data of
//! what should run and what does, which `model` makes from what the actor keeps; `reconcile` says what is to be done, with
//! `roll` for the replacement of engines (`rollout`: how far that has come), and `perform` does it. `turns` says which of the
//! models that are loaded on demand have GPUs (`on_demand`: what is known of each), `take_turns` has that done, and
//! `residency` says what it means for their engines. `request` and `commands` are what operators want, `adapters` is LoRA,
//! `apply` a new configuration, `diff` what one would change, `work` what takes long, `view` what is shown.

mod actor;
mod actual;
mod adapters;
mod apply;
mod commands;
mod desired;
mod diff;
mod model;
mod on_demand;
mod perform;
mod reconcile;
mod request;
mod residency;
mod roll;
mod rollout;
mod take_turns;
mod turns;
mod view;
mod work;

pub(super) use self::actor::{Fleet, FleetParts, OnNames};
pub(super) use self::diff::plan;
pub(super) use self::request::{Pending, Request};
pub(super) use self::view::FleetView;
