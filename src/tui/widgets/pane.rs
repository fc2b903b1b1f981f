//! A text of others, of which a part is shown.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::scroll::Scroll;
use super::text::{clean, width, wrap};
use crate::tui::frame::Theme;

/// Lines of a text; those that are too long go on in the next line.
#[derive(Clone, Debug, Default)]
pub struct Pane {
    lines: Vec<String>,
    scroll: Scroll,
}

impl Pane {
    /// A text with its colours and everything else that acts on terminals taken out.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { lines: text.lines().map(clean).collect(), ..Self::default() }
    }

    /// Scrolls by page keys; `false`: it is another key.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        self.scroll.page_key(key)
    }

    /// How many lines it takes in so many columns.
    #[must_use]
    pub fn height(&self, columns: u16) -> u16 {
        u16::try_from(self.fitted(columns).len()).unwrap_or(u16::MAX)
    }

    fn fitted(&self, columns: u16) -> Vec<String> {
        let room = usize::from(columns);
        let fit = |line: &String| if width(line) <= room { vec![line.clone()] } else { wrap(line, room) };
        self.lines.iter().flat_map(fit).collect()
    }

    /// Draws it.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let lines: Vec<Line<'_>> = self.fitted(area.width).into_iter().map(Line::raw).collect();
        self.scroll.draw_told(&lines, area, buffer, theme);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    #[test]
    fn a_long_text_is_scrolled_to_its_end_and_no_further() {
        let mut pane = Pane::new("one two three\n\x1b[31m2\n3\n4\n5");
        let drawn = |pane: &Pane| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 9, 3));
            pane.draw(buffer.area, &mut buffer, &Theme::new(true, true));
            let line = |y| (0..9).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
            (0..3).map(line).collect::<Vec<_>>()
        };
        let press = |pane: &mut Pane, code| pane.key(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(drawn(&pane)[..2], ["one two", "three"]);
        assert!(press(&mut pane, KeyCode::PageDown));
        assert_eq!(drawn(&pane)[..2], ["4", "5"]);
        press(&mut pane, KeyCode::PageDown);
        press(&mut pane, KeyCode::PageUp);
        assert_eq!(drawn(&pane)[..2], ["one two", "three"]);
        assert!(!press(&mut pane, KeyCode::Enter));
    }
}
