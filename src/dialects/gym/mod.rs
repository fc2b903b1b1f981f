//! NeMo Gym's model server: its rules as a machine that asks for engine calls and is told the answers.
#![allow(dead_code)] // until wired

mod chat_shape;
mod fit;
mod responses_shape;
mod shape;
