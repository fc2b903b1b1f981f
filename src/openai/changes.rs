//! Notes what is changed in a request, for a person who wants to know.

use std::sync::Arc;

/// One change to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where the setting comes from that made it: `alias quick, when #2`.
    pub origin: Arc<str>,
    /// Which part of the settings: `overrides`.
    pub part: &'static str,
    /// The field: `chat_template_kwargs.enable_thinking`.
    pub field: String,
    /// Its JSON before; `None`: it was not there.
    pub old: Option<String>,
    /// Its JSON after; `None`: it is not there any more.
    pub new: Option<String>,
}

/// Gathers changes, if anybody wants to know them.
pub(super) struct ChangeLog<'c> {
    changes: Option<&'c mut Vec<Change>>,
    origin: Arc<str>,
    part: &'static str,
    /// The objects around the field.
    path: Vec<String>,
}

impl<'c> ChangeLog<'c> {
    /// Adds to `changes`, or nothing.
    pub(super) fn new(changes: Option<&'c mut Vec<Change>>) -> Self {
        Self { changes, origin: Arc::default(), part: "", path: Vec::new() }
    }

    /// What follows is done by this part of settings.
    pub(super) fn part(&mut self, part: &'static str) {
        self.part = part;
    }

    /// What follows is done by settings from `origin`, which is asked only if anybody wants to know.
    pub(super) fn origin(&mut self, origin: impl FnOnce() -> Arc<str>) {
        self.within(|_| origin());
    }

    /// The same for settings in those until now; returns the origin until now, if anybody wants to know.
    pub(super) fn within(&mut self, origin: impl FnOnce(&Arc<str>) -> Arc<str>) -> Option<Arc<str>> {
        self.changes.is_some().then(|| {
            let inner = origin(&self.origin);
            std::mem::replace(&mut self.origin, inner)
        })
    }

    /// What follows happens inside of the field `key`.
    pub(super) fn enter(&mut self, key: &str) {
        if self.changes.is_some() {
            self.path.push(key.to_owned());
        }
    }

    /// What follows happens outside of it again.
    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// What a field says before it is changed, if anybody wants to know.
    pub(super) fn before<T: AsRef<[u8]>>(&self, raw: impl FnOnce() -> T) -> Option<String> {
        self.changes.is_some().then(|| text(raw().as_ref()))
    }

    /// Nothing that was done to the field `key` of the body, or in it, is to be seen any more.
    pub(super) fn forget(&mut self, key: &str) {
        let Some(changes) = &mut self.changes else { return };
        changes.retain(|change| change.field.split('.').next() != Some(key));
    }

    /// The field `key` was `old` and is `new`.
    pub(super) fn note(&mut self, key: &str, old: Option<String>, new: Option<&[u8]>) {
        let Some(changes) = &mut self.changes else { return };
        let new = new.map(text);
        if old != new {
            let field = self.path.iter().map(String::as_str).chain([key]).collect::<Vec<_>>().join(".");
            changes.push(Change { origin: self.origin.clone(), part: self.part, field, old, new });
        }
    }
}

fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}
