//! The state directory: `folder`, `lock` (one supervisor at a time), `record` (what is written down of each engine), `adopt`
//! (what becomes of engines that were left), `rotate` (their logs), `orders` (what operators ordered).

pub(super) mod adopt;
pub(super) mod folder;
pub(super) mod lock;
pub(super) mod orders;
pub(super) mod record;
pub(super) mod rotate;
