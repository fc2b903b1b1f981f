//! External engines, which this gateway does not start: `sources` say which there are, `owner` keeps them, `watcher` looks after each.

mod owner;
mod sources;
#[cfg(test)]
mod tests;
mod watcher;

pub use self::owner::Discovery;
