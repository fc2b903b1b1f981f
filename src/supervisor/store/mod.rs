//! What is kept in the state directory: `lock` (one gateway at a time), `record` (what is written down of each engine),
//! `adopt` (what there is of a recorded engine), `lost` (engines that no record tells of), `rotate` (engine logs), `upkeep` (when
//! something is to be done about a log or record), `orders` and `orders_file` (what operators ordered).

pub(super) mod adopt;
pub(super) mod lock;
pub(super) mod lost;
pub(super) mod orders;
pub(super) mod orders_file;
pub(super) mod record;
pub(super) mod rotate;
pub(super) mod upkeep;
