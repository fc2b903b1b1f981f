//! Where an attempt goes: the one place that decides it.
//!
//! `judge` tells from an engine's answer what became of an attempt; `next` decides, from the plan, what was tried so far
//! and what is known of the engines, what to do now; `policy` chooses one of several engines; `view` is how the engines
//! are seen; `refusal` makes the error that a caller gets when nothing is left, and `outlook` says when another try makes sense. All of it is pure: time and chance are arguments.

mod decision;
mod history;
mod judge;
mod next;
mod outlook;
mod policy;
mod refusal;
mod view;

pub use decision::{Decision, Rules, Send, WaitFor};
pub use history::{Attempt, History};
pub use judge::{Judgement, judge_body, judge_head, judge_health, judge_opening};
pub use next::next;
pub use policy::{Candidate, Candidates};
pub use refusal::{after, no_engine, shutting_down};
pub use view::{Affinity, Engines, View};
