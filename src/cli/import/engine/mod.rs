//! Engines that other programs start: flags and variables to the keys of a model.

mod devices;
mod sizes;
mod taken;
#[cfg(test)]
mod tests;
mod written;

pub(super) use devices::gpus;
pub(super) use taken::Engine;
