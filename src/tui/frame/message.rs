//! News of work, of whatever type the screen that began it knows.

use std::any::Any;
use std::fmt::{self, Debug, Formatter};

/// The outcome of work, or a part of it.
pub struct Message(Box<dyn Any + Send>);

impl Message {
    /// A message with these news.
    pub fn new(news: impl Any + Send) -> Self {
        Self(Box::new(news))
    }

    /// The news, if they are of this type.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl Debug for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Message")
    }
}
