//! Saved configurations, to be started.

use std::sync::Arc;
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::list::List;
use crate::tui::frame::{Effect, Input, KeyHelp, Screen, Theme, Tone};
use crate::tui::machine::{Machine, Saved, Start};
use crate::tui::starting::Starting;
use crate::tui::widgets::{Column, Pane, Row, Table, clean, panel};

const COLUMNS: [Column; 5] = [
    Column::new("NAME", 9).flexible(12),
    Column::new("MODELS", 7).flexible(10),
    Column::new("PORTS", 5).flexible(10),
    Column::new("CHANGED (UTC)", 2),
    Column::new("STATE", 8),
];

struct Heard(Result<Vec<Saved>, String>);

/// The list of them, and what the selected one would start.
pub(super) struct SavedScreen {
    machine: Arc<dyn Machine>,
    list: List<Saved>,
    pane: Pane,
}

impl SavedScreen {
    pub(super) fn new(machine: Arc<dyn Machine>) -> Self {
        Self { machine, list: List::default(), pane: Pane::default() }
    }

    fn select(&mut self) {
        self.pane = Pane::new(self.list.selected().map_or("", |saved| saved.text.as_str()));
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        // Page keys are for the text: the list is rarely longer than a screen.
        if self.pane.key(key) {
            return Vec::new();
        }
        if self.list.selection.key(key, self.list.rows().len()) {
            self.select();
            return Vec::new();
        }
        match (key.code, self.list.selected()) {
            (KeyCode::Enter, Some(saved)) if saved.is_valid => {
                let start = Starting::new(self.machine.clone(), Start::Saved(saved.name.clone()));
                vec![Effect::Push(Box::new(start))]
            }
            (KeyCode::Enter, Some(_)) => {
                let text = "It is not valid: what is wrong is below. Settings in the first screen lets you edit it.";
                vec![Effect::Say(Tone::Bad, text.to_owned())]
            }
            _ => Vec::new(),
        }
    }
}

impl Screen for SavedScreen {
    fn title(&self) -> String {
        "saved configurations".to_owned()
    }

    fn update(&mut self, input: &Input, _now: Instant) -> Vec<Effect> {
        match input {
            Input::Opened => {
                let machine = self.machine.clone();
                return vec![Effect::work("saved", move |teller| {
                    teller.tell(Heard(machine.saved()));
                })];
            }
            Input::Key(key) => return self.key(*key),
            Input::Message(message) => {
                if let Some(Heard(saved)) = message.get() {
                    self.list.set(saved.clone());
                    self.select();
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let none = "Nothing is saved yet. Go back and configure a new gateway (n), or save a file: `enginehouse config import FILE`.";
        if self.list.draw_none(none, area, buffer, theme) {
            return;
        }
        let row = |saved: &Saved| {
            let port = |port: &u16| if *port == 0 { "any".to_owned() } else { port.to_string() };
            let ports: Vec<String> = saved.ports.iter().map(port).collect();
            let dash = |text: String| if text.is_empty() { "-".to_owned() } else { clean(&text) };
            let state = if saved.is_valid {
                Span::styled("✓ valid", theme.good())
            } else {
                Span::styled("✗ not valid", theme.bad())
            };
            Row::new(vec![
                Line::raw(clean(&saved.name)),
                Line::raw(dash(saved.models.join(", "))),
                Line::raw(dash(ports.join(", "))),
                Line::raw(clean(&saved.changed)),
                Line::from(state),
            ])
        };
        let rows: Vec<Row> = self.list.rows().iter().map(row).collect();
        let most = area.height / 3;
        let height = u16::try_from(rows.len() + 1).unwrap_or(most).min(most.max(3));
        Table::new(&COLUMNS, rows).draw(Rect { height, ..area }, Some(self.list.selection), buffer, theme);
        let title = self.list.selected().map(|saved| clean(&saved.name)).unwrap_or_default();
        // As high as its text, with its frame.
        let wanted = self.pane.height(area.width.saturating_sub(2)).saturating_add(2);
        let below = Rect { y: area.y + height, height: wanted.min(area.height - height), ..area };
        let inner = panel(below, &title, buffer, theme);
        self.pane.draw(inner, buffer, theme);
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("Enter", "start"), KeyHelp::new("PgDn", "more of the text")]
    }
}
