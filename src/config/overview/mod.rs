//! What would run where: a configuration as data (`view`, `alias`) and as a table for people (`text`).

mod alias;
mod text;
mod view;

pub use self::alias::alias_changes;
pub use self::text::overview;
pub use self::view::{AliasOverview, GpusOverview, ModelOverview, Overview};
