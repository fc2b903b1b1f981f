//! Lines of logs on a part of the window: followed, or looked back at.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::text::{Line, Span};

use super::log_lines::LogLines;
use super::view::fits;
use crate::api::LogLine;
use crate::tui::frame::{KeyHelp, Style, Theme};
use crate::tui::widgets::{clean, coloured, put, width};

/// Columns that an arrow key goes to the side.
const SHIFT: usize = 20;

/// Lines that a page key goes.
const PAGE: isize = 10;

/// The widest name of an engine before its lines.
const WIDEST: usize = 24;

/// How lines of logs are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct LogPane {
    /// Lines up to this number are shown; `None`: the newest, as they come.
    end: Option<u64>,
    shift: usize,
    only_bad: bool,
    filter: String,
}

impl LogPane {
    /// Its keys.
    pub(super) const KEYS: [KeyHelp; 4] = [
        KeyHelp::new("↑ ↓", "scroll"),
        KeyHelp::new("f", "follow"),
        KeyHelp::new("e", "only warnings and errors"),
        KeyHelp::new("← →", "to the side"),
    ];

    /// Acts on a key; `false`: it is another key.
    pub(super) fn key(&mut self, key: KeyEvent, lines: &LogLines) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return false;
        }
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1, lines),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1, lines),
            KeyCode::PageUp => self.scroll(-PAGE, lines),
            KeyCode::PageDown => self.scroll(PAGE, lines),
            KeyCode::Home | KeyCode::Char('g') => self.scroll(isize::MIN / 2, lines),
            KeyCode::End | KeyCode::Char('G') => self.end = None,
            KeyCode::Char('f' | 'p' | ' ') => self.end = if self.end.is_some() { None } else { Some(lines.end()) },
            KeyCode::Char('e') => self.only_bad = !self.only_bad,
            KeyCode::Left => self.shift = self.shift.saturating_sub(SHIFT),
            KeyCode::Right => self.shift += SHIFT,
            _ => return false,
        }
        true
    }

    fn scroll(&mut self, steps: isize, lines: &LogLines) {
        let end = lines.moved(self.end.unwrap_or(lines.end()), steps, |line| self.wants(line));
        self.end = (end < lines.end() || steps < 0).then_some(end);
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn set_filter(&mut self, text: &str) {
        text.clone_into(&mut self.filter);
    }

    fn wants(&self, line: &LogLine) -> bool {
        let is_bad = || matches!(line.level.as_deref(), Some("error" | "warn"));
        (!self.only_bad || is_bad()) && fits(&self.filter, &[&line.text, &line.from])
    }

    /// What is said of it beside its heading: `following`, `paused`, and what is left out.
    pub(super) fn state(&self) -> String {
        let mut state = if self.end.is_none() { "following".to_owned() } else { "paused, f follows".to_owned() };
        if self.only_bad {
            state += ", only warnings and errors";
        }
        if !self.filter.is_empty() {
            state += &format!(", only with `{}`", clean(&self.filter));
        }
        if self.shift > 0 {
            state += &format!(", from column {}", self.shift + 1);
        }
        state
    }

    /// Draws the lines, the newest at the bottom. `prefixes`: whose each is.
    pub(super) fn draw(&self, lines: &LogLines, prefixes: bool, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let shown = lines.last(self.end.unwrap_or(lines.end()), usize::from(area.height), |line| self.wants(line));
        if shown.is_empty() && lines.len() > 0 {
            put(buffer, area.x + 1, area.y, area.width - 1, &Line::styled("No line fits the filter.", theme.dim()));
        }
        let column = if prefixes { column(shown.iter().map(|line| line.from.as_str())) } else { 0 };
        for (line, y) in shown.iter().zip(area.y..) {
            put(buffer, area.x, y, area.width, &drawn(line, column, self.shift, theme));
        }
    }
}

/// How wide the names before lines are.
pub(super) fn column<'n>(names: impl Iterator<Item = &'n str>) -> usize {
    names.map(width).max().unwrap_or(0).min(WIDEST)
}

/// A line of a log, behind the name of whose it is.
pub(super) fn drawn(line: &LogLine, column: usize, shift: usize, theme: &Theme) -> Line<'static> {
    let mut out = Line::default();
    let level = match line.level.as_deref() {
        Some("error") => Span::styled("✗ ", theme.bad()),
        Some("warn") => Span::styled("▲ ", theme.busy()),
        _ => Span::raw("  "),
    };
    out.push_span(level);
    if column > 0 {
        let mut name: String = clean(&line.from);
        // Wide characters take two columns each.
        while width(&name) > column {
            name = name.chars().skip(1).collect();
        }
        let gap = " ".repeat(column.saturating_sub(width(&name)) + 1);
        out.push_span(Span::styled(format!("{name}{gap}"), of(&line.from, theme)));
    }
    let mut left = shift;
    for span in coloured(&line.text).spans {
        let length = span.content.chars().count();
        if left >= length {
            left -= length;
            continue;
        }
        let text: String = span.content.chars().skip(left).collect();
        left = 0;
        out.push_span(Span::styled(text, span.style));
    }
    out
}

/// The colour of an engine's lines: the same one always.
fn of(name: &str, theme: &Theme) -> Style {
    const COLOURS: [Color; 6] =
        [Color::Cyan, Color::Magenta, Color::Green, Color::Yellow, Color::Blue, Color::LightMagenta];
    if name == "gateway" {
        return theme.strong();
    }
    let sum = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    Style::new().fg(COLOURS[sum % COLOURS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(from: &str, level: Option<&str>, text: &str) -> LogLine {
        LogLine { from: from.into(), time: None, level: level.map(str::to_owned), text: text.into() }
    }

    fn shown(pane: &LogPane, lines: &LogLines) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 30, 3));
        pane.draw(lines, true, buffer.area, &mut buffer, &Theme::new(true, true));
        (0..3).map(|y| (0..30).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned()).collect()
    }

    #[test]
    fn long_names_are_cut_at_their_front_by_columns() {
        let theme = Theme::new(true, true);
        let shown = |name: &str, column| drawn(&line(name, None, "x"), column, 0, &theme).to_string();
        assert_eq!(shown("模型模型模型/0", 4), "  型/0 x");
        assert_eq!(shown("模型", 3), "  型  x");
        assert_eq!(shown("coder/0", 3), "  r/0 x");
    }

    #[test]
    fn the_newest_lines_are_followed_until_somebody_looks_back() {
        let mut lines = LogLines::new(100);
        (0..9).for_each(|number| lines.push(line("m/0", None, &format!("line {number}"))));
        let mut pane = LogPane::default();
        assert_eq!(shown(&pane, &lines), ["  m/0 line 6", "  m/0 line 7", "  m/0 line 8"]);
        let key = |pane: &mut LogPane, code, lines: &LogLines| {
            assert!(pane.key(KeyEvent::new(code, KeyModifiers::NONE), lines));
        };
        key(&mut pane, KeyCode::Up, &lines);
        lines.push(line("m/0", None, "line 9"));
        assert_eq!(shown(&pane, &lines)[2], "  m/0 line 7", "it stands still");
        assert!(pane.state().starts_with("paused"));
        key(&mut pane, KeyCode::PageDown, &lines);
        assert_eq!((shown(&pane, &lines)[2].as_str(), pane.state().as_str()), ("  m/0 line 9", "following"));
        key(&mut pane, KeyCode::Char('f'), &lines);
        lines.push(line("gateway", Some("error"), "\x1b[2Jit \x1b[31mbroke\x1b[0m"));
        assert_eq!(shown(&pane, &lines)[2], "  m/0 line 9");
        key(&mut pane, KeyCode::Char('f'), &lines);
        key(&mut pane, KeyCode::Char('e'), &lines);
        assert_eq!(shown(&pane, &lines), ["✗ gateway it broke", "", ""]);
        pane.set_filter("nothing");
        assert_eq!(shown(&pane, &lines)[0], " No line fits the filter.");
        pane.set_filter("GATEW");
        key(&mut pane, KeyCode::Right, &lines);
        assert_eq!(shown(&pane, &lines)[0], "✗ gateway");
    }
}
