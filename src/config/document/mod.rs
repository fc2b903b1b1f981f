//! From the text of a file to the value that is meant, and where each part of it stands.

mod merge;
mod origins;
mod shown;
mod source_map;
mod value;
mod variables;
mod yaml;

pub(super) use merge::merged;
pub(super) use origins::{COMMAND_LINE, Origins};
pub(super) use shown::{is_variable_only, shown};
pub use source_map::SourceMap;
pub(super) use value::Resolver;
pub use variables::is_variable;
pub(super) use variables::{Env, expand};
pub(super) use yaml::{Kind, Node, read};
