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
use crate::tui::widgets::{Column, Row, Selection, Table, clean, put, wrap};

const COLUMNS: [Column; 6] = [
    Column::new("STATE", 99),
    Column::new("BEGAN", 60),
    Column::new("TOOK", 80).right(),
    Column::new("WHAT", 98).flexible(28),
    Column::new("BY", 40).flexible(8),
    Column::new("ERROR", 90).flexible(10).optional(),
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
        let operations: Vec<&OperationView> = shown.known.operations.iter().filter(|one| self.wants(one)).collect();
        if operations.is_empty() {
            let is_none = shown.known.operations.is_empty();
            let none =
                if is_none { "Operators have had nothing done lately." } else { "No operation fits the filter." };
            put(buffer, area.x + 1, area.y + 1, area.width - 1, &Line::styled(none, theme.dim()));
        }
        // Why the selected one failed, in full.
        let selected = self.selection.of(operations.len()).and_then(|at| operations[at].error.as_deref());
        let room = usize::from(area.width.saturating_sub(2));
        let why: Vec<String> = selected.map(|why| wrap(&clean(why), room)).unwrap_or_default();
        let below = u16::try_from(why.len()).unwrap_or(u16::MAX).min(area.height / 3);
        let rows: Vec<Row> = operations.iter().map(|operation| row(operation, shown, theme)).collect();
        let wanted = u16::try_from(rows.len() + 2).unwrap_or(u16::MAX);
        let table = Rect { height: wanted.min(area.height - below), ..area };
        Table::new(&COLUMNS, rows).draw(table, Some(self.selection), buffer, theme);
        for (line, y) in why.iter().zip(table.bottom()..table.bottom() + below) {
            put(buffer, area.x + 1, y, area.width - 1, &Line::styled(line.as_str(), theme.bad()));
        }
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

/// Who had it done: the program without its version, or else the address.
fn by(operation: &OperationView) -> String {
    let agent = operation.operator.agent.as_deref().and_then(|agent| agent.split(['/', ' ']).next());
    let address = operation.operator.address.as_deref();
    clean(agent.filter(|agent| !agent.is_empty()).or(address).unwrap_or(figures::NONE))
}

fn row(operation: &OperationView, shown: &Shown<'_>, theme: &Theme) -> Row {
    Row::new(vec![
        Line::from(look::operation(operation.state, theme)),
        Line::raw(figures::clock(&operation.began, shown.zone)),
        Line::raw(figures::seconds(operation.seconds)),
        Line::raw(clean(&operation.detail)),
        Line::styled(by(operation), theme.dim()),
        Line::styled(clean(operation.error.as_deref().unwrap_or_default()), theme.bad()),
    ])
}
