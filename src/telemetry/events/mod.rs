//! Events of this process: where they are published (`bus`), which are kept (`kept`), and who listens (`stream`, at its `pace`).

mod bus;
mod kept;
mod message;
mod pace;
mod stream;
#[cfg(test)]
mod tests;

pub use self::bus::EventBus;
pub use self::kept::Numbered;
pub use self::message::{message, resync};
pub use self::stream::{EventStream, Heard};
