//! Looking at one engine: `probe` asks (`resolve` finds its address, `cards` judges what it serves, `pulse` reads what
//! it reports, `stall` judges whether it makes progress), `vitals` decides from one look after the other.

mod cards;
mod probe;
mod pulse;
mod resolve;
mod stall;
mod vitals;

pub use self::probe::Prober;
pub use self::vitals::{Probe, Rest, Thresholds, Vitals};
