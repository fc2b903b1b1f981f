//! A fault in the making: where, why and what to do, before line and written value are looked up.

use super::path::Path;

/// What a check found wrong.
#[derive(Debug)]
pub(super) struct Finding {
    /// Where.
    pub(super) path: Path,
    /// Why it cannot be.
    pub(super) reason: String,
    /// What to do.
    pub(super) remedy: String,
    /// Whether the written value may be shown: not where it may be a secret under a misspelt key.
    pub(super) show: bool,
}

impl Finding {
    /// A finding that shows the written value.
    pub(super) fn new(path: Path, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path, reason: reason.into(), remedy: remedy.into(), show: true }
    }

    /// The same, not showing the written value.
    pub(super) fn hidden(mut self) -> Self {
        self.show = false;
        self
    }
}

/// Why a text is not what it should be, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Why {
    /// Why it cannot be.
    pub(super) reason: String,
    /// What to do.
    pub(super) remedy: String,
}

impl Why {
    /// Reason and remedy.
    pub(super) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }

    /// The finding at `path`.
    pub(super) fn at(self, path: Path) -> Finding {
        Finding::new(path, self.reason, self.remedy)
    }
}
