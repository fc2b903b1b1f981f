//! Where models are looked for.

use std::path::{Path, PathBuf};

use crate::estimate;

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The cache of the Hugging Face hub.
    pub hub: Option<PathBuf>,
    /// Folders with models in them, or in folders below; a folder may be a model itself, a cache of the hub, or a GGUF file.
    pub directories: Vec<PathBuf>,
}

impl Places {
    /// The hub's cache as the environment names it (`HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`,
    /// `HOME`), and these folders.
    #[must_use]
    pub fn new(env: &dyn Fn(&str) -> Option<String>, directories: Vec<PathBuf>) -> Self {
        let absolute = |folder: &Path| std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        Self {
            hub: estimate::hub_cache(env).map(|folder| absolute(&folder)),
            directories: directories.iter().map(|folder| absolute(folder)).collect(),
        }
    }
}
