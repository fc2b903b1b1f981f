//! What a user writes, key by key, before it is checked.

mod alias;
mod gateway;
mod model;
mod named;
mod settings;

pub(super) use alias::{RawAlias, RawCapture, RawVariants};
pub(super) use gateway::{Raw, RawAnonymous, RawCaller};
pub(super) use model::{RawDialects, RawGpu, RawGpus, RawLoad, RawModel, RawProfile};
pub(super) use named::{Named, OrOff};
pub(super) use settings::{RawCondition, RawHeaderTest, RawSettings, RawTest};
