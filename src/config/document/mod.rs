//! From the text of a file to the value that is meant, and where each part of it stands.

mod shown;
mod source_map;
mod value;
mod variables;
mod yaml;

pub use source_map::SourceMap;
pub(super) use value::Resolver;
pub(super) use variables::Env;
pub use variables::is_variable;
pub(super) use yaml::{Kind, Node, read};
