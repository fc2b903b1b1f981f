//! The first screen: a menu, and what runs now.

use std::sync::Arc;
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::running::{Attach, Heard, read};
use super::saved::SavedScreen;
use super::settings::Settings;
use crate::tui::frame::{Effect, Input, KeyHelp, Screen, Theme};
use crate::tui::machine::{Machine, Running};
use crate::tui::widgets::{Selection, clean, put};
use crate::tui::wizard::Wizard;

/// The entries: the key, what it does, and what more there is to say.
const ENTRIES: [(char, &str, &str); 5] = [
    ('s', "Start a saved configuration", "a gateway and its engines, from what you saved before"),
    ('n', "Configure a new gateway", "step by step: models, GPUs, ports; then save and start it"),
    ('a', "Attach to a running gateway", "look at it, start and stop its engines"),
    ('e', "Settings", "where configurations, profiles and shortcuts are; edit and delete them"),
    ('q', "Quit", "gateways go on running"),
];

/// The first screen.
pub struct Menu {
    machine: Arc<dyn Machine>,
    selection: Selection,
    running: Option<Vec<Running>>,
}

impl Menu {
    /// The menu of this program.
    #[must_use]
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        Self { machine, selection: Selection::default(), running: None }
    }

    fn open(&self, entry: char) -> Vec<Effect> {
        let machine = self.machine.clone();
        vec![match entry {
            's' => Effect::Push(Box::new(SavedScreen::new(machine))),
            'n' => Effect::Push(Box::new(Wizard::new(machine, false))),
            'a' => Effect::Push(Box::new(Attach::new(machine))),
            'e' => Effect::Push(Box::new(Settings::new(machine))),
            _ => Effect::End(None),
        }]
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if self.selection.key(key, ENTRIES.len()) {
            return Vec::new();
        }
        match key.code {
            KeyCode::Enter => {
                let at = self.selection.of(ENTRIES.len()).unwrap_or_default();
                self.open(ENTRIES[at].0)
            }
            KeyCode::Char(letter)
                if !key.modifiers.contains(KeyModifiers::CONTROL)
                    && ENTRIES.iter().any(|(known, ..)| *known == letter) =>
            {
                self.open(letter)
            }
            _ => Vec::new(),
        }
    }

    /// What runs, in a line.
    fn runs(&self) -> String {
        match self.running.as_deref() {
            None => "Looking for gateways that run …".to_owned(),
            Some([]) => "No gateway runs on this machine.".to_owned(),
            Some(running) => {
                let names: Vec<String> = running.iter().map(|one| clean(&one.name)).collect();
                let (what, verb) = if names.len() == 1 { ("gateway", "runs") } else { ("gateways", "run") };
                format!("{} {what} {verb} on this machine: {}", names.len(), names.join(", "))
            }
        }
    }
}

impl Screen for Menu {
    fn title(&self) -> String {
        "home".to_owned()
    }

    fn update(&mut self, input: &Input, _now: Instant) -> Vec<Effect> {
        match input {
            Input::Opened => vec![read(&self.machine)],
            Input::Key(key) => self.key(*key),
            Input::Message(message) => {
                if let Some(Heard(running)) = message.get() {
                    self.running = Some(running.clone());
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let (x, room) = (area.x + 3, area.width.saturating_sub(5));
        put(buffer, x, area.y + 1, room, &Line::styled("What do you want to do?", theme.strong()));
        let at = self.selection.of(ENTRIES.len());
        for (place, ((key, label, more), y)) in ENTRIES.iter().zip((area.y + 3..area.bottom()).step_by(2)).enumerate() {
            let style = if at == Some(place) { theme.selected() } else { theme.strong() };
            let mark = if at == Some(place) { "▸" } else { " " };
            put(buffer, x - 2, y, 1, &Line::raw(mark));
            let line = Line::from(vec![
                Span::styled(format!("{key} "), theme.accent()),
                Span::styled(format!(" {label} "), style),
            ]);
            put(buffer, x, y, room, &line);
            if y + 1 < area.bottom() {
                put(buffer, x + 3, y + 1, room.saturating_sub(3), &Line::styled(*more, theme.dim()));
            }
        }
        if area.height > 15 {
            put(buffer, x, area.y + 14, room, &Line::styled(self.runs(), theme.dim()));
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("Enter", "open"), KeyHelp::new("↑↓", "move"), KeyHelp::new("s n a e", "open at once")]
    }

    fn help(&self) -> Vec<String> {
        vec!["Gateways that are started here run in the background: they go on when this program ends, until somebody shuts them \
              down (`enginehouse shutdown NAME`)."
            .to_owned()]
    }
}

#[cfg(test)]
mod tests;
