//! The frame of the interface: the terminal, the loop, and the stack of screens.
//!
//! `screen`: what a screen is. `input`: what comes to it. `effect`: what it wants. `stack`: all open screens with what they
//! have in common. `bars`: the first and the last line. `app`: the loop. `pace`: when it draws. `terminal`: the guard that gives
//! the terminal back. `keyboard`, `signals`: threads that listen. `theme`: colours and signs.

mod app;
mod bars;
mod effect;
mod input;
mod keyboard;
mod pace;
mod screen;
mod signals;
mod stack;
mod terminal;
mod theme;

pub use app::run;
pub use effect::{Effect, Message, Teller, Tone};
pub use input::Input;
pub use screen::{KeyHelp, Screen};
pub use theme::{Style, Theme};
