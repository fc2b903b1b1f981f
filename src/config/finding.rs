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
    /// Other settings that were looked at: when one of them was not understood, neither is this.
    pub(super) given: Vec<Path>,
}

impl Finding {
    /// A finding that shows the written value.
    pub(super) fn new(path: Path, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path, reason: reason.into(), remedy: remedy.into(), show: true, given: Vec::new() }
    }

    /// The same, drawn from these settings as well.
    pub(super) fn given<const N: usize>(mut self, settings: [Path; N]) -> Self {
        self.given.extend(settings);
        self
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
