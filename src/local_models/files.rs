//! What lies in a folder, and what is in a small file, each within bounds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Largest JSON file that is read here; `config.json` of a classifier with all its labels may have 1 MB.
const LARGEST_JSON: u64 = 4 << 20;

/// Most files that are listed of one model.
const MOST_FILES: usize = 20_000;

/// How deep folders of a model are looked into.
const DEEPEST: usize = 6;

/// Which file, wherever its names are: device and inode.
pub(super) type FileId = (u64, u64);

/// The files of a model.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    /// Files by their path from the folder; links are followed to files.
    pub(super) files: BTreeMap<String, FileInfo>,
    /// Links to files that are not there.
    pub(super) dangling: usize,
    /// There are more files than are listed.
    pub(super) is_cut: bool,
}

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileInfo {
    pub(super) id: FileId,
    pub(super) bytes: u64,
}

impl Listing {
    /// The files in `folder` and in folders below. Links to folders are not followed, and so nothing is met twice.
    ///
    /// # Errors
    /// When `folder` cannot be read; folders below that cannot be read count as empty.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        listing.add(folder, "", DEEPEST)?;
        Ok(listing)
    }

    fn add(&mut self, folder: &Path, prefix: &str, deepest: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if self.files.len() >= MOST_FILES {
                self.is_cut = true;
                break;
            }
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if deepest > 0 {
                    let _ = self.add(&entry.path(), &format!("{name}/"), deepest - 1);
                }
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(meta) if meta.is_file() => {
                    self.files.insert(name, FileInfo { id: (meta.dev(), meta.ino()), bytes: meta.len() });
                }
                // Pipes and devices are no files of a model.
                Ok(_) => {}
                Err(_) => self.dangling += usize::from(kind.is_symlink()),
            }
        }
        Ok(())
    }

    /// Takes out the folders that are models or adapters of their own, such as checkpoints of a training.
    pub(super) fn without_others(&mut self) {
        let own = |name: &String| {
            let (folder, file) = name.rsplit_once('/')?;
            ["config.json", "adapter_config.json"].contains(&file).then(|| format!("{folder}/"))
        };
        let others: Vec<String> = self.files.keys().filter_map(own).collect();
        self.files.retain(|name, _| !others.iter().any(|folder| name.starts_with(folder.as_str())));
    }

    /// Names of the files that lie in the folder itself.
    pub(super) fn top(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str).filter(|name| !name.contains('/'))
    }

    /// Whether a file of this name is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Each file once.
    pub(super) fn unique(&self) -> BTreeMap<FileId, u64> {
        self.files.values().map(|file| (file.id, file.bytes)).collect()
    }

    /// Files of downloads that run or broke off.
    pub(super) fn broken_off(&self) -> usize {
        self.files.keys().filter(|name| name.ends_with(".incomplete")).count()
    }
}

/// The JSON in `file`; `Ok(None)` where there is no such file.
///
/// # Errors
/// In words, when it is too large, or no JSON, or cannot be read.
pub(super) fn json(file: &Path) -> Result<Option<Value>, String> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let failed = |error: io::Error| format!("{name} cannot be read: {error}");
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(meta) if !meta.is_file() => return Err(format!("{name} is not a regular file")),
        Ok(meta) if meta.len() > LARGEST_JSON => {
            return Err(format!("{name} has {} MiB: that is no configuration of a model", meta.len() >> 20));
        }
        // What `/proc` shows has no length, and may never end.
        Ok(meta) if meta.len() == 0 => return Err(format!("{name} is empty")),
        Ok(_) => {}
    }
    let mut text = Vec::new();
    File::open(file).and_then(|file| file.take(LARGEST_JSON).read_to_end(&mut text)).map_err(failed)?;
    serde_json::from_slice(&text).map(Some).map_err(|error| format!("{name} is not understood: {error}"))
}

/// `path` as text; `None` where it is no UTF-8, so that no configuration can name it.
pub(super) fn text(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}

/// The folders in `folder`, links followed, in the order of their names.
///
/// # Errors
/// What the system says.
pub(super) fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
