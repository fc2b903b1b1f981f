//! What a running gateway can be asked to do.

/// What the gateway is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the configuration file again.
    Reload,
    /// End in order; a second time: without waiting for requests under way; a third time: without waiting for engines.
    Stop,
}
