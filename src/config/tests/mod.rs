//! Configurations as a whole: what is accepted and what it becomes, what is refused, and that the shipped files are right.

mod accepted;
mod aliases;
mod diagnostics;
mod models;
mod shipped;
mod support;
