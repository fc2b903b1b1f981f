//! Gives the text of a configuration file another meaning and leaves all else as it is written: `mapping` edits the lines of
//! mappings, `list` those of lists, `lines` is what both know of a line, and `change` sets single keys.

mod change;
mod emit;
mod lines;
mod list;
mod mapping;

pub use self::change::{Change, changed};
pub use self::mapping::{RewriteError, as_written, rewrite};
