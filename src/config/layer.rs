//! The text of one of the files that a configuration is made of.

use std::path::PathBuf;
use std::sync::Arc;

/// The text of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Where it is, or would be; empty: nowhere.
    pub path: PathBuf,
    /// What is in it.
    pub text: Arc<str>,
}
