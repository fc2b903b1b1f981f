//! The frame of the interface: the terminal, the loop, and the stack of screens.
//!
//! `screen`: what a screen is, and what it wants done. `input`: what comes to it; `message`: of work. `work`: what takes time.
//! `stack`: all open screens with what they have in common. `bars`: the first and the last line. `app`: the loop. `pace`: when it
//! draws. `terminal`: the guard that gives the terminal back. `keyboard`, `signals`: threads that listen. `theme`: colours and
//! signs.

mod app;
mod bars;
mod input;
mod keyboard;
mod message;
mod pace;
mod screen;
mod signals;
mod stack;
mod terminal;
mod theme;
mod work;

pub use app::run;
pub use input::Input;
pub use message::Message;
pub use screen::{Effect, KeyHelp, Screen, Tone};
pub use theme::{Style, Theme};
pub use work::{Teller, Work};
