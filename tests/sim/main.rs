//! The simulated engine: it answers like a real vLLM, lives like one, and misbehaves exactly as it is told to.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod ends;
mod faults;
mod forms;
mod life;
mod recording;
mod shapes;
