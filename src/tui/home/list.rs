//! A list that a thread reads, with one row selected.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::frame::Theme;
use crate::tui::widgets::{Selection, clean, put, wrap};

/// Rows that may still be read.
#[derive(Debug)]
pub(super) struct List<T> {
    rows: Option<Result<Vec<T>, String>>,
    /// What is selected.
    pub(super) selection: Selection,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { rows: None, selection: Selection::default() }
    }
}

impl<T> List<T> {
    /// Takes what was read.
    pub(super) fn set(&mut self, rows: Result<Vec<T>, String>) {
        self.rows = Some(rows);
    }

    /// The rows that there are.
    pub(super) fn rows(&self) -> &[T] {
        self.rows.as_ref().and_then(|rows| rows.as_ref().ok()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The selected row.
    pub(super) fn selected(&self) -> Option<&T> {
        self.rows().get(self.selection.of(self.rows().len())?)
    }

    /// Says why there are no rows; `false`: there are some.
    pub(super) fn draw_none(&self, none: &str, area: Rect, buffer: &mut Buffer, theme: &Theme) -> bool {
        let (text, style) = match &self.rows {
            None => ("Reading …".to_owned(), theme.busy()),
            Some(Err(why)) => (format!("✗ {}", clean(why)), theme.bad()),
            Some(Ok(rows)) if rows.is_empty() => (none.to_owned(), theme.dim()),
            Some(Ok(_)) => return false,
        };
        let room = area.width.saturating_sub(4);
        for (line, y) in wrap(&text, usize::from(room)).iter().zip(area.y + 1..area.bottom()) {
            put(buffer, area.x + 2, y, room, &Line::styled(line.as_str(), style));
        }
        true
    }
}
