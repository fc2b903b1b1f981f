//! What is wrong with a configuration, told to a person at three in the morning.

use std::fmt;

/// One thing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: `models.qwen.gpus[1]`; empty for the file as a whole.
    pub path: String,
    /// Line in the file, from 1; 0 where there is none.
    pub line: u64,
    /// What was written there, secrets masked; `None` where nothing is.
    pub value: Option<String>,
    /// Why it cannot be.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path.is_empty() { "(the file)" } else { &self.path })?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        if let Some(value) = &self.value {
            write!(f, ": {value}")?;
        }
        write!(f, "\n    {}\n    -> {}", self.reason, self.remedy)
    }
}

/// Everything wrong with a configuration, in file order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// A fault of the file as a whole.
    pub(super) fn file(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self(vec![Fault { path: String::new(), line: 0, value: None, reason: reason.into(), remedy: remedy.into() }])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_where_what_why_and_what_to_do() {
        let fault = Fault {
            path: "timeouts.read".into(),
            line: 7,
            value: Some("600".into()),
            reason: "A duration needs a unit.".into(),
            remedy: "Write 600s.".into(),
        };
        assert_eq!(
            Faults(vec![fault.clone(), Fault { line: 0, value: None, ..fault }]).to_string(),
            "timeouts.read, line 7: 600\n    A duration needs a unit.\n    -> Write 600s.\n\n\
             timeouts.read\n    A duration needs a unit.\n    -> Write 600s."
        );
    }
}
