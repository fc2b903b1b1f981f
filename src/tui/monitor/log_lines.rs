//! The last lines of logs, and which of them are shown.

use std::collections::VecDeque;

use crate::api::LogLine;

/// The last lines, numbered from the first that ever came.
#[derive(Debug)]
pub(super) struct LogLines {
    most: usize,
    first: u64,
    lines: VecDeque<LogLine>,
}

impl LogLines {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, first: 0, lines: VecDeque::new() }
    }

    /// Adds one; the oldest goes.
    pub(super) fn push(&mut self, line: LogLine) {
        if self.lines.len() >= self.most {
            self.lines.pop_front();
            self.first += 1;
        }
        self.lines.push_back(line);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.first += self.lines.len() as u64;
        self.lines.clear();
    }

    /// Forgets all, because the last `count` of them come again: their numbers are about the same then.
    pub(super) fn again(&mut self, count: usize) {
        self.first = self.end().saturating_sub(count as u64);
        self.lines.clear();
    }

    /// Whether this very line is there.
    pub(super) fn contains(&self, line: &LogLine) -> bool {
        self.lines.iter().rev().any(|known| known == line)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The number of the newest line and one.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// The last `room` lines before the number `end` that are `wanted`, oldest first. Where those are gone: of the oldest ones.
    pub(super) fn last(&self, end: u64, room: usize, wanted: impl Fn(&LogLine) -> bool) -> Vec<&LogLine> {
        let end = if end > self.first { end } else { self.first.saturating_add(room as u64) };
        let count = usize::try_from(end.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.lines.len());
        let mut last: Vec<&LogLine> = self.lines.range(..count).rev().filter(|line| wanted(line)).take(room).collect();
        last.reverse();
        last
    }

    /// The number from which on `steps` wanted lines more, or fewer if negative, are shown than up to `end`.
    pub(super) fn moved(&self, end: u64, steps: isize, wanted: impl Fn(&LogLine) -> bool) -> u64 {
        let numbered =
            || self.lines.iter().zip(self.first..).filter(|(line, _)| wanted(line)).map(|(_, number)| number);
        let many = steps.unsigned_abs();
        if steps < 0 {
            let before: Vec<u64> = numbered().filter(|number| *number < end).collect();
            let at = before.len().saturating_sub(many).max(1);
            before.get(at - 1).map_or(end, |number| number + 1)
        } else {
            numbered()
                .filter(|number| *number >= end)
                .nth(many.saturating_sub(1))
                .map_or(self.end(), |number| number + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_found() {
        let mut lines = LogLines::new(5);
        let line = |number: u32| LogLine { from: "gateway".into(), time: None, level: None, text: number.to_string() };
        (0..8).for_each(|number| lines.push(line(number)));
        let even = |line: &LogLine| line.text.parse::<u32>().is_ok_and(|number| number % 2 == 0);
        let shown = |lines: &LogLines, end, room| -> Vec<String> {
            lines.last(end, room, even).into_iter().map(|line| line.text.clone()).collect()
        };
        assert_eq!((lines.len(), lines.end()), (5, 8));
        assert_eq!(shown(&lines, 8, 9), ["4", "6"]);
        assert_eq!(shown(&lines, 6, 9), ["4"]);
        assert_eq!(lines.moved(8, -1, even), 5, "up to 4");
        assert_eq!(lines.moved(8, -9, even), 5, "the oldest stays in sight");
        assert_eq!(lines.moved(5, 1, even), 7, "up to 6");
        assert_eq!(lines.moved(5, 2, even), 8, "the end");
        assert_eq!(shown(&lines, 2, 2), ["4"], "the oldest, where it is gone");
        lines.again(3);
        (5..9).for_each(|number| lines.push(line(number)));
        assert_eq!((lines.end(), shown(&lines, 9, 9)), (9, vec!["6".to_owned(), "8".to_owned()]), "not twice");
        assert_eq!(shown(&lines, 7, 9), ["6"], "where it was looked at");
        lines.clear();
        assert_eq!((lines.len(), lines.end(), lines.moved(8, -1, even)), (0, 9, 8));
    }
}
