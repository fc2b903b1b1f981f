//! Logs: all merged, or one.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::log_pane::LogPane;
use super::super::view::{Shown, View};
use super::super::wish::Wish;
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{clean, put};

/// Logs.
#[derive(Debug)]
pub(in super::super) struct Logs {
    from: Option<String>,
    pane: LogPane,
}

impl Logs {
    pub(in super::super) fn new(from: Option<String>) -> Self {
        Self { from, pane: LogPane::default() }
    }
}

impl View for Logs {
    fn title(&self) -> String {
        self.from.as_ref().map_or_else(|| "logs".to_owned(), |from| format!("log of {}", clean(from)))
    }

    fn key(&mut self, key: KeyEvent, shown: &Shown<'_>) -> Option<Wish> {
        self.pane.key(key, shown.logs);
        None
    }

    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let whose = self.from.as_ref().map_or_else(|| "The gateway and all engines".to_owned(), |from| clean(from));
        let heading = format!(" {whose}: {}", self.pane.state());
        put(buffer, area.x, area.y, area.width, &Line::styled(heading, theme.dim()));
        let lines = Rect { y: area.y + 1, height: area.height - 1, ..area };
        match shown.log_error {
            Some(error) => put(buffer, lines.x + 1, lines.y, lines.width - 1, &Line::styled(clean(error), theme.bad())),
            None => self.pane.draw(shown.logs, self.from.is_none(), lines, buffer, theme),
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        LogPane::KEYS.to_vec()
    }

    fn follows(&self) -> Option<Option<String>> {
        Some(self.from.clone())
    }

    fn filter(&self) -> Option<&str> {
        Some(self.pane.filter())
    }

    fn set_filter(&mut self, text: &str) {
        self.pane.set_filter(text);
    }
}
