//! A folder of things that are saved under names: found, read, written and deleted.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::terminal::{confirmed, say};
use crate::app::{SavedName, replace_text, saved_names};
use crate::private_file;
use crate::similar::similar;

/// Where things of one kind are saved.
#[derive(Debug)]
pub(in crate::cli) struct Store {
    /// The folder; it may be missing.
    pub(in crate::cli) folder: PathBuf,
    /// What is saved there: `configuration`.
    pub(in crate::cli) what: &'static str,
}

impl Store {
    /// All names, in order.
    ///
    /// # Errors
    /// Why the folder cannot be read.
    pub(in crate::cli) fn names(&self) -> Result<Vec<SavedName>, String> {
        saved_names(&self.folder).map_err(|error| format!("{} cannot be read: {error}.", self.folder.display()))
    }

    /// The file of a name that is there.
    ///
    /// # Errors
    /// Which names there are.
    pub(in crate::cli) fn existing(&self, name: &SavedName) -> Result<PathBuf, String> {
        let file = name.file(&self.folder);
        if file.is_file() {
            return Ok(file);
        }
        let names = self.names()?;
        let names: Vec<&str> = names.iter().map(SavedName::as_str).collect();
        let (what, name) = (self.what, name.as_str());
        let mut told = format!("There is no saved {what} `{name}` in {}.", self.folder.display());
        if let Some(near) = similar(name, names.iter().copied(), 1).first() {
            told += &format!(" Did you mean `{near}`?");
        }
        let all =
            if names.is_empty() { "Nothing is saved there".into() } else { format!("There are: {}", names.join(", ")) };
        Err(format!("{told} {all}."))
    }

    /// What is saved under a name.
    ///
    /// # Errors
    /// Why it cannot be read, or which names there are.
    pub(in crate::cli) fn text(&self, name: &SavedName) -> Result<String, String> {
        crate::config::read_file(&self.existing(name)?).map_err(|found| found.to_string())
    }

    /// Saves `text`; in place of what is there only with `force`.
    ///
    /// # Errors
    /// Why it is not saved.
    pub(in crate::cli) fn save(&self, name: &SavedName, text: &str, force: bool) -> Result<(), String> {
        let file = name.file(&self.folder);
        let failed = |error: std::io::Error| format!("cannot write to {}: {error}", self.folder.display());
        fs::create_dir_all(&self.folder).map_err(failed)?;
        if force && file.is_file() {
            return replace_text(&file, text).map_err(failed);
        }
        write_new(&file, text, false)
    }

    /// Deletes what is saved, after asking unless `yes`: what is to be said.
    ///
    /// # Errors
    /// Why it is not deleted.
    pub(in crate::cli) fn delete(&self, name: &SavedName, yes: bool) -> Result<String, String> {
        let file = self.existing(name)?;
        let question = format!("Delete the {} `{}` ({})?", self.what, name.as_str(), file.display());
        if !yes && !confirmed(&question)? {
            return Ok("Nothing was deleted.\n".to_owned());
        }
        fs::remove_file(&file).map_err(|error| format!("{} cannot be deleted: {error}.", file.display()))?;
        Ok(format!("Deleted {}.\n", file.display()))
    }
}

/// Writes a file that is not there, or replaces one with `force`; for this user alone, because it may hold keys.
///
/// # Errors
/// Why not.
pub(in crate::cli) fn write_new(file: &Path, text: &str, force: bool) -> Result<(), String> {
    let mut options = OpenOptions::new();
    if force {
        options.truncate(true)
    } else {
        options.create_new(true)
    };
    let written = private_file::open(&mut options, file).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} is there already; `--force` replaces it.", file.display()),
        _ => format!("{} cannot be written: {error}.", file.display()),
    })
}

/// Writes `text` to a file that is not there, or replaces one with `force`; without a file, and to `-`, it is printed.
///
/// # Errors
/// Why not.
pub(in crate::cli) fn export(text: &str, file: Option<&Path>, force: bool) -> Result<(), String> {
    let Some(file) = file.filter(|file| *file != Path::new("-")) else {
        say(text);
        return Ok(());
    };
    write_new(file, text, force)?;
    say(&format!("Written to {}.\n", file.display()));
    Ok(())
}

/// The name that a file has without its ending.
///
/// # Errors
/// When that is no name.
pub(in crate::cli) fn stem(file: &Path) -> Result<SavedName, String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.parse().map_err(|why| format!("The name of {} cannot be used: {why}. Give a name.", file.display()))
}
