//! What is wrong with a configuration, apart by how bad it is, and as JSON.

use serde::Serialize;

use super::plan::Plan;
use crate::config::{Diagnostic, Severity};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Diagnostic>,
    /// Warnings and notes, in their order.
    pub(super) others: Vec<Diagnostic>,
}

impl Findings {
    pub(super) fn of(found: Vec<Diagnostic>) -> Self {
        let (errors, others) = found.into_iter().partition(|one| one.severity == Severity::Error);
        Self { errors, others }
    }
}

/// The outcome of a check as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Checked<'a> {
    /// What was checked, as a person calls it.
    configuration: &'a str,
    /// There are no errors.
    valid: bool,
    errors: Vec<Finding<'a>>,
    warnings: Vec<Finding<'a>>,
    notes: Vec<Finding<'a>>,
    /// What would run where; `null`: the configuration cannot be read.
    plan: Option<&'a Plan>,
}

/// One thing that was found.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    /// The key: `models.qwen.gpus[1]`; empty: the file as a whole.
    path: &'a str,
    /// The file, where the configuration is made of several.
    file: Option<&'a str>,
    /// From 1; `null`: it stands in no line.
    line: Option<u64>,
    /// What is written there; `null`: nothing, or it may be a secret.
    value: Option<&'a str>,
    /// Why it is wrong.
    message: &'a str,
    /// What to do.
    hint: &'a str,
}

impl<'a> Checked<'a> {
    pub(super) fn new(configuration: &'a str, plan: Option<&'a Plan>, found: &'a Findings) -> Self {
        let others = |severity| found.others.iter().filter(move |one| one.severity == severity).map(finding).collect();
        Self {
            configuration,
            valid: found.errors.is_empty(),
            errors: found.errors.iter().map(finding).collect(),
            warnings: others(Severity::Warning),
            notes: others(Severity::Note),
            plan,
        }
    }
}

fn finding(one: &Diagnostic) -> Finding<'_> {
    Finding {
        path: &one.path,
        file: one.file.as_deref(),
        line: (one.line > 0).then_some(one.line),
        value: one.value.as_deref(),
        message: &one.reason,
        hint: &one.remedy,
    }
}
