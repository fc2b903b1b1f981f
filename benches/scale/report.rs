//! The figures: printed as they come, and all of them as JSON at the end.

use std::ffi::OsString;

use serde_json::{Value, json};

use crate::rounds::spread;

/// Figures so far.
#[derive(Default)]
pub(crate) struct Report(Vec<Value>);

impl Report {
    /// A new group of figures.
    #[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
    pub(crate) fn heading(&self, text: &str) {
        println!("{text}");
    }

    /// Figures of one kind, one for each round.
    pub(crate) fn add(&mut self, build: &str, what: &str, unit: &str, values: &[f64]) {
        self.line(build, what, unit, values, None);
    }

    /// The same, of which the median must not be more than `most`.
    pub(crate) fn add_bounded(&mut self, build: &str, what: &str, unit: &str, values: &[f64], most: f64) {
        self.line(build, what, unit, values, Some(most));
    }

    #[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
    fn line(&mut self, build: &str, what: &str, unit: &str, values: &[f64], most: Option<f64>) {
        let [low, value, high] = spread(values.to_vec());
        let range = if values.len() > 1 { format!("({low:.3} to {high:.3})") } else { String::new() };
        let judged = most.map(|most| (most, if value <= most { "holds" } else { "DOES NOT HOLD" }));
        let verdict = judged.map(|(most, verdict)| format!("at most {most}: {verdict}")).unwrap_or_default();
        println!("  {build:<12} {what:<58} {value:>12.3} {unit:<8} {range:<24} {verdict}");
        self.0.push(json!({ "build": build, "what": what, "unit": unit, "rounds": values, "most": most }));
    }

    /// Writes all of them to `file`, if there is one.
    pub(crate) fn write(&self, file: Option<&OsString>) {
        if let Some(file) = file {
            std::fs::write(file, json!(self.0).to_string()).expect("written");
        }
    }
}
