//! Looking at one engine: `probe` asks (`resolve` finds its address, `cards` judges what it serves, `stall` whether it makes
//! progress), `vitals` decides from one look after the other.

mod cards;
mod probe;
mod resolve;
mod stall;
mod vitals;

pub use self::probe::Prober;
pub use self::vitals::{Probe, Rest, Thresholds, Vitals};
