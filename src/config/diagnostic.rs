//! What is wrong with a configuration and what to do about it; and the draft of it, before line and value are looked up.
//! Everything that judges a configuration says so with a [`Diagnostic`].

use std::fmt;

use super::path::Path;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something could not be checked.
    Note,
    /// It may not work as described.
    Warning,
    /// It does not work.
    Error,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where: `models.qwen.gpus[1]`; empty for the file as a whole.
    pub path: String,
    /// The file, where the configuration is made of several, or `--set`; `None`: the only one, or no certain one.
    pub file: Option<String>,
    /// Line in the file, from 1; 0 where there is none.
    pub line: u64,
    /// What is written there, secrets masked; `None` where nothing is, or where it may be a secret.
    pub value: Option<String>,
    /// Why it is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl Diagnostic {
    /// Where it is: `models.qwen.gpus[1], line 7`, or `models.qwen.gpus[1], line 7 of prod.yaml`.
    #[must_use]
    pub fn place(&self) -> String {
        let path = if self.path.is_empty() { "(the file)" } else { &self.path };
        match (&self.file, self.line) {
            (None, 0) => path.to_owned(),
            (None, line) => format!("{path}, line {line}"),
            (Some(file), 0) if self.path.is_empty() => file.clone(),
            (Some(file), 0) => format!("{path}, {file}"),
            (Some(file), line) if self.path.is_empty() => format!("{file}, line {line}"),
            (Some(file), line) => format!("{path}, line {line} of {file}"),
        }
    }

    /// The same, in this file.
    #[must_use]
    pub(super) fn in_file(self, file: Option<&str>) -> Self {
        Self { file: file.map(str::to_owned), ..self }
    }

    /// Why it is wrong and what to do, in one line.
    #[must_use]
    pub fn message(&self) -> String {
        format!("{} {}", self.reason, self.remedy)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Severity::Note => "note: ",
            Severity::Warning => "warning: ",
            Severity::Error => "",
        })?;
        f.write_str(&self.place())?;
        if let Some(value) = &self.value {
            write!(f, ": {value}")?;
        }
        write!(f, "\n    {}\n    -> {}", self.reason, self.remedy)
    }
}

/// Everything that is wrong with a configuration, in file order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// One of the file as a whole.
    #[must_use]
    pub fn file(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (path, reason, remedy) = (String::new(), reason.into(), remedy.into());
        Self(vec![Diagnostic { severity: Severity::Error, path, file: None, line: 0, value: None, reason, remedy }])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A diagnostic before its line and value are looked up.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where; the file as a whole until [`Draft::at`] tells.
    pub(super) path: Path,
    /// Why it is wrong.
    pub(super) reason: Box<str>,
    /// What to do.
    pub(super) remedy: Box<str>,
    /// Whether the written value may be shown: not where it may be a secret under a misspelt key.
    pub(super) show: bool,
    /// Other settings that it depends on: when one of them was not understood, neither is this.
    pub(super) given: Vec<Path>,
    /// The setting that was probably meant, where the key is unknown.
    pub(super) meant: Option<Path>,
}

impl Draft {
    /// One that shows the written value.
    pub(super) fn new(path: Path, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (reason, remedy) = (reason.into().into(), remedy.into().into());
        Self { path, reason, remedy, show: true, given: Vec::new(), meant: None }
    }

    /// One of a text, wherever that stands.
    pub(super) fn of_text(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Path::default(), reason, remedy)
    }

    /// The same at `path`.
    pub(super) fn at(self, path: Path) -> Self {
        Self { path, ..self }
    }

    /// The same, where it depends on these settings as well.
    pub(super) fn given<const N: usize>(mut self, settings: [Path; N]) -> Self {
        self.given.extend(settings);
        self
    }

    /// The same without the written value.
    pub(super) fn hidden(self) -> Self {
        Self { show: false, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_says_where_what_why_and_what_to_do() {
        let one = Diagnostic {
            severity: Severity::Error,
            path: "timeouts.read".into(),
            file: None,
            line: 7,
            value: Some("600".into()),
            reason: "A duration needs a unit.".into(),
            remedy: "Write 600s.".into(),
        };
        assert_eq!(
            Diagnostics(vec![one.clone(), Diagnostic { line: 0, value: None, ..one }]).to_string(),
            "timeouts.read, line 7: 600\n    A duration needs a unit.\n    -> Write 600s.\n\n\
             timeouts.read\n    A duration needs a unit.\n    -> Write 600s."
        );
    }
}
