//! The newest requests, and those whose bodies are kept for as long as their alias says.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::bodies::KeptBodies;
use super::kept::KeptRecord;
use crate::api::RequestView;
use crate::config::{Alias, Capture};
use crate::ids::Name;

/// Requests that are kept.
pub(super) const MOST: usize = 2000;

/// Whose bodies are kept, by the names of aliases.
pub(super) type Terms = HashMap<Name, Arc<Capture>>;

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: KeptRecord,
    pub(super) bodies: Option<KeptBodies>,
}

impl Entry {
    /// What operators are told of it alone.
    fn view(&self) -> RequestView {
        let mut view = self.record.view();
        if let Some(bodies) = &self.bodies {
            bodies.show(&mut view);
        }
        view
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// The newest last.
    newest: VecDeque<Entry>,
    /// Older ones, with bodies; the newest last.
    older: VecDeque<Entry>,
    terms: Terms,
}

impl Store {
    pub(super) fn add(&mut self, entries: Vec<Entry>) {
        let have_bodies = entries.iter().any(|entry| entry.bodies.is_some());
        self.newest.extend(entries);
        let surplus = self.newest.len().saturating_sub(MOST);
        self.older.extend(self.newest.drain(..surplus).filter(|entry| entry.bodies.is_some()));
        if have_bodies {
            self.forget();
        }
    }

    /// The bodies of these aliases are kept from now on. Those that were kept by other terms are forgotten.
    pub(super) fn keep(&mut self, aliases: &[Alias]) {
        let terms = aliases.iter().filter_map(|alias| Some((alias.name.clone(), alias.capture.clone()?)));
        self.terms = terms.collect();
        self.forget();
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// All of them, the newest first.
    pub(super) fn records(&self) -> impl Iterator<Item = &KeptRecord> {
        self.entries().map(|entry| &entry.record)
    }

    /// One of them, with its bodies; the newest of several with that id.
    pub(super) fn find(&self, id: &str) -> Option<RequestView> {
        self.entries().find(|entry| entry.record.id() == id).map(Entry::view)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.newest.iter().rev().chain(self.older.iter().rev())
    }

    /// Drops the bodies that are not to be kept any more.
    fn forget(&mut self) {
        let mut left = Left::new(&self.terms);
        for entry in self.newest.iter_mut().rev().chain(self.older.iter_mut().rev()) {
            if entry.bodies.as_ref().is_some_and(|bodies| !left.takes(&bodies.alias, &bodies.terms)) {
                entry.bodies = None;
            }
        }
        self.older.retain(|entry| entry.bodies.is_some());
    }
}

/// How many bodies are still to be kept, from the newest request back.
pub(super) struct Left<'a> {
    terms: &'a Terms,
    taken: HashMap<&'a str, usize>,
}

impl<'a> Left<'a> {
    pub(super) fn new(terms: &'a Terms) -> Self {
        Self { terms, taken: HashMap::new() }
    }

    /// Whether the next request of `alias`, whose bodies were gathered by `terms`, is one of those.
    pub(super) fn takes(&mut self, alias: &str, terms: &Capture) -> bool {
        let Some((alias, wanted)) = self.terms.get_key_value(alias).filter(|(_, wanted)| ***wanted == *terms) else {
            return false;
        };
        let taken = self.taken.entry(alias).or_default();
        *taken += 1;
        *taken <= wanted.requests
    }
}
