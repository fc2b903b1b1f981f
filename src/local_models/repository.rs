//! One repository of the hub's cache: its revisions, and the one that an engine would load.
//!
//! `models--ORG--NAME/` has `blobs/HASH` (the files, `….incomplete` while they are downloaded), `snapshots/COMMIT/NAME` (links to
//! them), and `refs/BRANCH` (files with a commit in them).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::examine::Subject;
use super::files::{self, FileId, Listing};
use super::types::{Problem, Revision};

/// How folders of repositories of models begin.
pub(super) const PREFIX: &str = "models--";

/// A file in `refs` holds a hash.
const LONGEST_REF: u64 = 1024;

/// Most branches and tags that are read, and how deep their names go (`refs/pr/1`).
const MOST_REFS: usize = 1000;
const DEEPEST_REF: usize = 4;

/// The id on the hub of the repository in a folder of this name; `None` where it is none.
pub(super) fn id(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.strip_prefix(PREFIX)?.split("--").collect();
    let is_plain = |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.chars().any(char::is_control);
    (parts.len() <= 2 && parts.iter().all(is_plain)).then(|| parts.join("/"))
}

/// What lies in the repository `folder` with this id; `Ok(None)` where no file does. `is_default`: engines look for ids in this
/// cache.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(folder: &Path, id: String, is_default: bool) -> Result<Option<Subject>, Problem> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| {
            Problem::new(&path, format!("cannot be read: {error}"), "Let this user read it, or remove it.")
        }
    };
    let (blobs, snapshots) = (folder.join("blobs"), folder.join("snapshots"));
    let (mut disk, broken_off) = blobs_in(&blobs).map_err(refused(&blobs))?;
    let commits = match files::folders(&snapshots) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        found => found.map_err(refused(&snapshots))?,
    };
    let refs = refs(&folder.join("refs"));
    let mut found = Vec::new();
    for commit in commits {
        let listing = Listing::of(&commit).map_err(refused(&commit))?;
        let unique = listing.unique();
        let Some(name) = commit.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let names = refs.iter().filter(|(_, commit)| *commit == name).map(|(branch, _)| branch.clone()).collect();
        let revision = Revision { commit: name, refs: names, files: listing.files.len(), bytes: unique.values().sum() };
        disk.extend(unique);
        found.push(Snapshot { revision, listing, folder: commit });
    }
    if disk.is_empty() {
        return Ok(None);
    }
    found.sort_by_key(Snapshot::rank);
    let mut notes = Vec::new();
    let is_main = found.first().is_none_or(Snapshot::is_main);
    if let Some(first) = found.first().filter(|_| !is_main) {
        let commit = &first.revision.commit;
        notes.push(format!(
            "its branch `main` is not on this disk: an engine downloads that, unless it has `args: {{revision: {commit}}}`"
        ));
    }
    let revisions = found.iter().map(|snapshot| snapshot.revision.clone()).collect();
    let (listing, path) = match found.into_iter().next() {
        Some(first) => (first.listing, first.folder),
        None => (Listing::default(), folder.to_owned()),
    };
    let text = files::text(&path).ok_or_else(|| Problem::no_text(&path))?;
    let source = if is_default { id.clone() } else { text };
    Ok(Some(Subject { source, hub_id: Some(id), folder: path, listing, revisions, disk, broken_off, notes }))
}

/// A commit and its files.
struct Snapshot {
    revision: Revision,
    listing: Listing,
    folder: PathBuf,
}

impl Snapshot {
    fn is_main(&self) -> bool {
        self.revision.refs.iter().any(|name| name == "main")
    }

    /// The least is what is described: `main`, else what came last.
    fn rank(&self) -> (bool, std::cmp::Reverse<SystemTime>, String) {
        let changed = fs::metadata(&self.folder).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        (!self.is_main(), std::cmp::Reverse(changed), self.revision.commit.clone())
    }
}

/// The files in `blobs`, and how many of them are downloads that run or broke off.
fn blobs_in(blobs: &Path) -> std::io::Result<(BTreeMap<FileId, u64>, usize)> {
    let entries = match fs::read_dir(blobs) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((BTreeMap::new(), 0)),
        entries => entries?,
    };
    let (mut found, mut broken_off) = (BTreeMap::new(), 0);
    for entry in entries {
        let entry = entry?;
        let Some(meta) = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file) else { continue };
        found.insert((meta.dev(), meta.ino()), meta.len());
        broken_off += usize::from(entry.file_name().to_string_lossy().ends_with(".incomplete"));
    }
    Ok((found, broken_off))
}

/// Branches and tags with their commits.
fn refs(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    add_refs(folder, "", DEEPEST_REF, &mut found);
    found.sort();
    found
}

fn add_refs(folder: &Path, prefix: &str, deepest: usize, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && deepest > 0 {
            add_refs(&entry.path(), &format!("{name}/"), deepest - 1, found);
        } else if kind.is_file() && found.len() < MOST_REFS {
            let mut text = String::new();
            let read = File::open(entry.path()).and_then(|file| file.take(LONGEST_REF).read_to_string(&mut text));
            if read.is_ok() && !text.trim().is_empty() {
                found.push((name, text.trim().to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folders_of_the_cache_have_ids() {
        assert_eq!(id("models--Qwen--Qwen3-8B").as_deref(), Some("Qwen/Qwen3-8B"));
        assert_eq!(id("models--gpt2").as_deref(), Some("gpt2"));
        for none in
            ["datasets--a--b", "models--", "models--a--", "models--a--b--c", "models--..--b", "models--a--b\u{1b}"]
        {
            assert_eq!(id(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_name_panics_and_no_id_leads_out(name in "(models--)?[a-z.-]{0,12}") {
            if let Some(id) = id(&name) {
                prop_assert!(id.split('/').all(|part| !part.is_empty() && part != ".."), "{}", id);
            }
        }
    }
}
