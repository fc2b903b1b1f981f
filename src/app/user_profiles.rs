//! The user's profiles: files beside the saved configurations.

use std::path::PathBuf;
use std::sync::Arc;

use super::config_dir::{config_dir, saved_names};
use crate::config::{self, Layer};

/// The folder of the user's profiles: `profiles` in that of saved configurations.
#[must_use]
pub fn profile_dir() -> PathBuf {
    config_dir().join("profiles")
}

/// The folder of the user's shortcuts: each a model with its settings.
#[must_use]
pub fn shortcut_dir() -> PathBuf {
    config_dir().join("shortcuts")
}

/// All of them. One that cannot be read is left out, and told as missing by the model that names it. Blocks.
#[must_use]
pub fn user_profiles() -> Arc<[Layer]> {
    let folder = profile_dir();
    let layer = |path: PathBuf| Some(Layer { text: config::read_file(&path).ok()?.into(), path });
    saved_names(&folder).unwrap_or_default().iter().filter_map(|name| layer(name.file(&folder))).collect()
}
