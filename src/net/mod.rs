//! Listeners and the accept loop: addresses that come and go while others serve, and a drain as long as the last answer.

mod accept;
mod handler;
mod listener;
mod preface;
mod shortage;

pub use accept::{Listeners, close, turn_away};
pub use handler::{Handler, NotServed};
pub use listener::{Listener, ListenerId, probe};
pub use preface::{Beginning, beginning};
