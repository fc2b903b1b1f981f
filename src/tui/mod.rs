//! The terminal interface: a frame for screens, and the screens that show a running gateway.
//!
//! `frame`: the terminal, the loop, the stack of screens and what all screens share. `widgets`: what screens are drawn with.
//! `monitor`: the screens of a gateway that runs.
//!
//! A screen changes only in `Screen::update` and is drawn by `Screen::draw` into a buffer: both are tested without a terminal.
//! What a screen wants done it returns as `Effect`; work that takes time runs on a thread, and its outcome comes back as
//! `Input::Message`.

pub mod frame;
pub mod monitor;
pub mod widgets;
