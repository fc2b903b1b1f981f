//! What operators have the gateway do: under way and done.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::figures;
use super::super::look;
use super::super::view::{Shown, View, fits};
use super::super::wish::Wish;
use crate::api::{OperationState, OperationView};
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{Column, Row, Selection, Table, clean, put};

const COLUMNS: [Column; 6] = [
    Column::new("STATE", 99),
    Column::new("BEGAN", 60),
    Column::new("TOOK", 80).right(),
    Column::new("WHAT", 98).flexible(28),
    Column::new("BY", 40).flexible(8),
    Column::new("ERROR", 90).flexible(10),
];

/// Operations.
#[derive(Debug, Default)]
pub(in super::super) struct Operations {
    selection: Selection,
    filter: String,
}

impl Operations {
    fn wants(&self, operation: &OperationView) -> bool {
        fits(&self.filter, &[&operation.detail, &operation.target, &operation.action])
    }
}

impl View for Operations {
    fn title(&self) -> String {
        "operations".to_owned()
    }

    fn key(&mut self, key: KeyEvent, shown: &Shown<'_>) -> Option<Wish> {
        let operations: Vec<&OperationView> = shown.known.operations.iter().filter(|one| self.wants(one)).collect();
        if self.selection.key(key, operations.len()) {
            return None;
        }
        let operation = operations.get(self.selection.of(operations.len())?)?;
        match key.code {
            KeyCode::Char('c') if operation.state != OperationState::Running => {
                Some(Wish::Say("It is over: there is nothing to cancel.".to_owned()))
            }
            KeyCode::Char('c') if !operation.can_be_cancelled => Some(Wish::Say("It cannot be cancelled.".to_owned())),
            KeyCode::Char('c') => Some(Wish::AskCancel(operation.id.clone())),
            _ => None,
        }
    }

    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let operations = shown.known.operations.iter().filter(|one| self.wants(one));
        let rows: Vec<Row> = operations.map(|operation| row(operation, shown, theme)).collect();
        if rows.is_empty() {
            let text = "Operators have had nothing done lately.";
            put(buffer, area.x + 1, area.y + 1, area.width - 1, &Line::styled(text, theme.dim()));
        }
        Table::new(&COLUMNS, rows).draw(area, Some(self.selection), buffer, theme);
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("c", "cancel the selected one")]
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn set_filter(&mut self, text: &str) {
        text.clone_into(&mut self.filter);
    }
}

fn row(operation: &OperationView, shown: &Shown<'_>, theme: &Theme) -> Row {
    let operator = [operation.operator.agent.as_deref(), operation.operator.address.as_deref()];
    Row::new(vec![
        Line::from(look::operation(operation.state, theme)),
        Line::raw(figures::clock(&operation.began, shown.zone)),
        Line::raw(figures::seconds(operation.seconds)),
        Line::raw(clean(&operation.detail)),
        Line::styled(clean(operator.into_iter().flatten().next().unwrap_or(figures::NONE)), theme.dim()),
        Line::styled(clean(operation.error.as_deref().unwrap_or_default()), theme.bad()),
    ])
}
