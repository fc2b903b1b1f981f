//! Where in a folder models may be: it is walked, within bounds, and nothing is met twice.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::examine::{ADAPTER, is_gguf, is_weights};
use super::files::{self, FileId};
use super::places::Places;
use super::repository;
use super::types::{Place, Problem};

/// How many folders deep models are looked for below one that was given.
const DEEPEST: usize = 4;

/// Most entries of folders that are looked at.
const MOST_ENTRIES: usize = 200_000;

/// Something to be examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// A repository of the hub's cache.
    Repository {
        folder: PathBuf,
        id: String,
        /// Engines look for ids in this cache.
        is_default: bool,
    },
    /// A folder with a model, an adapter or GGUF files.
    Folder(PathBuf),
    /// A GGUF file that was given itself.
    File(PathBuf),
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) candidates: Vec<Candidate>,
    pub(super) places: Vec<Place>,
    pub(super) problems: Vec<Problem>,
    seen: BTreeSet<FileId>,
    entries: usize,
}

impl Walk {
    /// Looks through `places`.
    pub(super) fn through(places: &Places) -> Self {
        let mut walk = Self::default();
        if let Some(hub) = &places.hub {
            walk.hub(hub);
        }
        for folder in &places.directories {
            walk.given(folder);
        }
        walk
    }

    fn hub(&mut self, hub: &Path) {
        let found = self.entries_of(hub);
        self.places.push(Place { path: hub.display().to_string(), is_hub: true, is_there: found.is_ok() });
        match found {
            Ok(entries) => entries.iter().for_each(|entry| {
                self.repository(entry, true);
            }),
            // Nothing was downloaded yet.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.refused(hub, &error),
        }
    }

    fn given(&mut self, folder: &Path) {
        let mut place = Place { path: folder.display().to_string(), is_hub: false, is_there: true };
        if folder.is_file() && folder.to_str().is_some_and(is_gguf) {
            self.candidates.push(Candidate::File(folder.to_owned()));
        } else if let Err(error) = fs::read_dir(folder) {
            place.is_there = false;
            self.refused(folder, &error);
        } else if !self.repository(folder, false) {
            self.folder(folder, DEEPEST, false);
        }
        self.places.push(place);
    }

    fn refused(&mut self, path: &Path, error: &io::Error) {
        let remedy = match error.kind() {
            ErrorKind::NotFound => "Correct the path.",
            ErrorKind::NotADirectory => "Give a folder, or a .gguf file.",
            _ => "Let this user read it.",
        };
        self.problems.push(Problem::new(path, format!("cannot be read: {error}"), remedy));
    }

    /// Takes `folder` if it is a repository of the hub's cache; whether it is.
    fn repository(&mut self, folder: &Path, is_default: bool) -> bool {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_repository = name.starts_with(repository::PREFIX)
            && ["blobs", "snapshots", "refs"].iter().any(|part| folder.join(part).is_dir());
        if !is_repository || !self.is_new(folder) {
            return is_repository;
        }
        match repository::id(&name).filter(|_| files::text(folder).is_some()) {
            Some(id) => self.candidates.push(Candidate::Repository { folder: folder.to_owned(), id, is_default }),
            None => self.problems.push(Problem::new(
                folder,
                "its name is not that of a repository of the hub (models--ORG--NAME)",
                "Remove it, or rename it.",
            )),
        }
        true
    }

    /// Looks through `folder` and, unless it is a model, through those below; in a model's only for adapters.
    fn folder(&mut self, folder: &Path, deepest: usize, only_adapters: bool) {
        if !self.is_new(folder) {
            return;
        }
        let entries = match self.entries_of(folder) {
            Ok(entries) => entries,
            Err(error) => return self.refused(folder, &error),
        };
        let name =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let names: Vec<String> = entries.iter().map(name).collect();
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        let is_model = (has("config.json") || has("params.json"))
            && (names.iter().any(|name| is_weights(name)) || has("model.safetensors.index.json"));
        let is_of_use = has(ADAPTER) || (!only_adapters && (is_model || names.iter().any(|name| is_gguf(name))));
        if is_of_use {
            match files::text(folder) {
                Some(_) => self.candidates.push(Candidate::Folder(folder.to_owned())),
                None => self.problems.push(Problem::no_text(folder)),
            }
        }
        if deepest == 0 || has("model_index.json") {
            // A pipeline of diffusers, whose parts are no models of their own.
            return;
        }
        for (path, name) in entries.iter().zip(&names) {
            if !name.starts_with('.') && path.is_dir() && !self.repository(path, false) {
                self.folder(path, deepest - 1, only_adapters || is_model);
            }
        }
    }

    /// What is in `folder`, by name; nothing more once too much was looked at.
    fn entries_of(&mut self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                if self.entries == MOST_ENTRIES + 1 {
                    self.problems.push(Problem::new(
                        folder,
                        format!("there are more than {MOST_ENTRIES} files and folders: not all of them were looked at"),
                        "Give the folders of the models themselves.",
                    ));
                }
                break;
            }
            found.push(entry?.path());
        }
        found.sort();
        Ok(found)
    }

    /// Whether this folder was not met before, by this name or another one.
    fn is_new(&mut self, folder: &Path) -> bool {
        fs::metadata(folder).is_ok_and(|meta| self.seen.insert((meta.dev(), meta.ino())))
    }
}
