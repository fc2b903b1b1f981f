//! The terminal interface, driven in a real terminal (tmux): keys are typed, and what the screen shows is read.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

mod driver;
mod home;
mod restored;
mod slow;
#[path = "../support/mod.rs"]
mod support;
mod top;
