//! Which file a line is in, where a document is made of several.

use std::sync::Arc;

use super::yaml::{Kind, Node};
use crate::config::diagnostic::Diagnostic;

/// What of a document comes from the command line has this name.
pub(in crate::config) const COMMAND_LINE: &str = "--set";

/// The files of a document, in order. The lines of the second go on where those of the first end, and so forth, so that one
/// number says file and line. Default: one file, which everybody knows.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Origins(Vec<Origin>);

#[derive(Clone, Debug)]
struct Origin {
    name: Arc<str>,
    /// Lines of all files before it.
    before: u64,
    lines: u64,
    /// It is no part of the configuration itself, but something that it names.
    is_aside: bool,
}

impl Origins {
    /// Adds what is called `name`, whose text has so many lines, and moves the lines of `node`, which is of it, to where they
    /// are in the whole.
    pub(in crate::config) fn add(&mut self, name: &str, lines: u64, node: &mut Node) {
        self.push(name, lines, node, false);
    }

    /// The same for something that is kept elsewhere and only named in the configuration.
    pub(in crate::config) fn add_aside(&mut self, name: &str, lines: u64, node: &mut Node) {
        self.push(name, lines, node, true);
    }

    fn push(&mut self, name: &str, lines: u64, node: &mut Node, is_aside: bool) {
        let before = self.0.last().map_or(0, |last| last.before + last.lines);
        // What is empty at the end may stand on the line behind the last.
        self.0.push(Origin { name: name.into(), before, lines: lines + 1, is_aside });
        shift(node, before);
    }

    fn find(&self, line: u64) -> Option<&Origin> {
        self.0.iter().find(|origin| origin.before < line && line <= origin.before + origin.lines)
    }

    /// The file of a line, where that is kept elsewhere.
    pub(in crate::config) fn aside(&self, line: u64) -> Option<&str> {
        self.find(line).filter(|origin| origin.is_aside).map(|origin| &*origin.name)
    }

    /// The file and the line in it of a line of the whole; no file where there is only one.
    pub(in crate::config) fn place(&self, line: u64) -> (Option<&str>, u64) {
        let is_one = self.0.iter().filter(|origin| !origin.is_aside && &*origin.name != COMMAND_LINE).count() < 2;
        match self.find(line) {
            Some(origin) if &*origin.name == COMMAND_LINE => (Some(COMMAND_LINE), 0),
            Some(origin) if origin.is_aside || !is_one => (Some(&origin.name), line - origin.before),
            _ => (None, line),
        }
    }

    /// Sorts by file and line.
    pub(in crate::config) fn sort(&self, found: &mut [Diagnostic]) {
        let at = |one: &Diagnostic| {
            let is_its = |origin: &Origin| one.file.as_deref() == Some(&*origin.name);
            self.0.iter().position(is_its).unwrap_or_default()
        };
        found.sort_by(|a, b| (at(a), a.line, &a.path).cmp(&(at(b), b.line, &b.path)));
    }
}

/// Moves all lines of a tree; what stands in no file stays there.
fn shift(node: &mut Node, by: u64) {
    let moved = |line: u64| if line > 0 { line + by } else { 0 };
    node.line = moved(node.line);
    match &mut node.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Kind::Map(members) => members.iter_mut().for_each(|(_, line, value)| {
            *line = moved(*line);
            shift(value, by);
        }),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::read;
    use super::*;

    #[test]
    fn a_line_of_the_whole_says_file_and_line() {
        let mut origins = Origins::default();
        let mut nodes: Vec<Node> =
            ["a: 1\nb: 2\n", "b:\n- 3\n"].iter().map(|text| read(text, &mut Vec::new()).expect("YAML")).collect();
        origins.add("one.yaml", 2, &mut nodes[0]);
        assert_eq!(origins.place(2), (None, 2), "there is one file");
        origins.add("two.yaml", 2, &mut nodes[1]);
        let Kind::Map(members) = &nodes[1].kind else { panic!("a mapping") };
        let Kind::List(items) = &members[0].2.kind else { panic!("a list") };
        assert_eq!(origins.place(members[0].1), (Some("two.yaml"), 1));
        assert_eq!(origins.place(items[0].line), (Some("two.yaml"), 2));
        assert_eq!((origins.place(1), origins.place(0)), ((Some("one.yaml"), 1), (None, 0)));
    }
}
