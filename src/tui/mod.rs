//! The terminal interface: a frame for screens, and the screens that show a running gateway.
//!
//! `frame`: the terminal, the loop, the stack of screens and what all screens share. `widgets`: what screens are drawn with.
//! `monitor`: the screens of a gateway that runs. `machine`: what the others have done by the program around them. `starting`: a
//! gateway that is being started. `wizard`: makes a configuration. `home`: the first screen, which leads to all of these.
//!
//! A screen changes only in `Screen::update` and is drawn by `Screen::draw` into a buffer: both are tested without a terminal.
//! What a screen wants done it returns as `Effect`; work that takes time runs on a thread, and its outcome comes back as
//! `Input::Message`.

pub mod frame;
pub mod home;
pub mod machine;
pub mod monitor;
pub mod starting;
#[cfg(test)]
mod testing;
pub mod widgets;
pub mod wizard;
