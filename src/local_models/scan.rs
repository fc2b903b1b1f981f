//! The scan: candidates are found one after the other, and examined by several threads, because disks on a network are slow.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::examine::{Contents, Subject, examine};
use super::files::{self, Listing};
use super::places::Places;
use super::repository;
use super::types::{Found, LocalAdapter, LocalModel, Problem};
use super::walk::{Candidate, Walk};

/// Threads that examine candidates: they wait for disks more than they compute.
const THREADS: usize = 8;

/// Finds the models and adapters in `places`. Blocks for as long as the disks take.
#[must_use]
pub fn scan(places: &Places) -> Found {
    let Walk { candidates, places, mut problems, .. } = Walk::through(places);
    let (mut models, mut adapters) = (Vec::new(), Vec::new());
    for result in examined(&candidates) {
        match result {
            Ok(contents) => {
                models.extend(contents.models);
                adapters.extend(contents.adapters);
            }
            Err(problem) => problems.push(problem),
        }
    }
    models.sort_by(|a: &LocalModel, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
    adapters.sort_by(|a: &LocalAdapter, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
    // A file may be given, and its folder too.
    models.dedup_by(|a, b| a.path == b.path && a.format == b.format);
    for adapter in &mut adapters {
        adapter.base_source = adapter.base.as_deref().and_then(|base| base_of(base, &models));
    }
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    Found { models, adapters, places, problems }
}

/// What `source` calls the model that the makers of an adapter call `base`.
fn base_of(base: &str, models: &[LocalModel]) -> Option<String> {
    let path = base.trim_end_matches('/');
    let is_id = |model: &&LocalModel| model.hub_id.as_ref().is_some_and(|id| id.eq_ignore_ascii_case(base));
    let is_there = |model: &&LocalModel| model.source == path || model.path == path;
    models.iter().find(is_id).or_else(|| models.iter().find(is_there)).map(|model| model.source.clone())
}

/// What each candidate is, in no order.
fn examined(candidates: &[Candidate]) -> Vec<Result<Contents, Problem>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(candidate) = candidates.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(subject(candidate).map(|found| found.as_ref().map(examine).unwrap_or_default()));
        }
        done
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (1..THREADS.min(candidates.len())).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        // A thread that panicked found nothing.
        done.extend(threads.into_iter().filter_map(|thread| thread.join().ok()).flatten());
        done
    })
}

fn subject(candidate: &Candidate) -> Result<Option<Subject>, Problem> {
    match candidate {
        Candidate::Repository { folder, id, is_default } => repository::read(folder, id.clone(), *is_default),
        Candidate::Folder(folder) => of_folder(folder, |_| true).map(Some),
        Candidate::File(file) => {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            of_folder(file.parent().unwrap_or(Path::new("/")), |other| other == name).map(Some)
        }
    }
}

/// The files of `folder` that are `wanted`.
fn of_folder(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Subject, Problem> {
    let refused =
        |error: std::io::Error| Problem::new(folder, format!("cannot be read: {error}"), "Let this user read it.");
    let mut listing = Listing::of(folder).map_err(refused)?;
    listing.files.retain(|name, _| wanted(name));
    listing.without_others();
    Ok(Subject {
        source: files::text(folder).ok_or_else(|| Problem::no_text(folder))?,
        hub_id: None,
        folder: folder.to_owned(),
        revisions: Vec::new(),
        disk: listing.unique(),
        broken_off: 0,
        notes: Vec::new(),
        listing,
    })
}
