//! What is said about an import: each sentence at its place in the configuration and in the report.

use super::document::Section;

/// The report, in the order in which it was said.
#[derive(Default)]
pub(super) struct Notes(Vec<String>);

impl Notes {
    /// Says `text` about what `path` names in the file of the other program: here, and in the report.
    pub(super) fn say(&mut self, at: &mut Section, path: &str, text: impl AsRef<str>) {
        let said = format!("{path}: {}", text.as_ref());
        if !self.0.contains(&said) {
            at.comment(said.clone());
            self.0.push(said);
        }
    }

    /// All that was said.
    pub(super) fn into_report(self) -> Vec<String> {
        self.0
    }
}
