//! The help: all keys of a screen, and what more there is to say.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::panel::window;
use super::scroll::Scroll;
use super::text::{put, width, wrap};
use crate::tui::frame::Theme;

/// Longer lines are hard to read.
const WIDEST: usize = 76;

/// A window with keys and text.
#[derive(Clone, Debug)]
pub struct Help {
    title: String,
    keys: Vec<(String, String)>,
    text: Vec<String>,
    scroll: Scroll,
}

impl Help {
    /// Keys with what they do, and text below them.
    #[must_use]
    pub fn new(title: &str, keys: Vec<(String, String)>, text: Vec<String>) -> Self {
        Self { title: format!("Help: {title}"), keys, text, scroll: Scroll::default() }
    }

    /// Acts on a key; `false`: it is closed.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        self.scroll.key(key)
    }

    /// Draws it into the middle of `area`.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let room = usize::from(area.width.saturating_sub(6)).min(WIDEST);
        let column = self.keys.iter().map(|(key, _)| width(key)).max().unwrap_or(0);
        let mut lines = Vec::new();
        for (key, what) in &self.keys {
            for (place, part) in wrap(what, room.saturating_sub(column + 2)).into_iter().enumerate() {
                let key = if place == 0 { key.as_str() } else { "" };
                let gap = " ".repeat(column + 2 - width(key));
                lines.push(Line::from(vec![Span::styled(key, theme.accent()), Span::raw(gap), Span::raw(part)]));
            }
        }
        for text in &self.text {
            lines.push(Line::default());
            lines.extend(wrap(text, room).into_iter().map(Line::raw));
        }
        let widest = lines.iter().map(Line::width).max().unwrap_or(0);
        let height = usize::from(area.height.saturating_sub(2));
        let inner = window(area, (widest + 2, lines.len().min(height)), &self.title, buffer, theme);
        let text = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
        self.scroll.draw(&lines, text, buffer);
        let room = usize::from(inner.height);
        let first = self.scroll.first(lines.len(), room);
        if first + room < lines.len() {
            let more = Line::styled(" ↓ more ", theme.dim());
            put(buffer, inner.x + 1, inner.bottom(), inner.width, &more);
        }
    }
}
