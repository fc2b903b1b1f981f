//! Where configurations, profiles and shortcuts are kept; edits and deletes them.

use std::sync::Arc;
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::list::List;
use crate::tui::frame::{Effect, Input, KeyHelp, Screen, Theme, Tone};
use crate::tui::machine::{Kept, Kind, Machine};
use crate::tui::widgets::{Column, Dialog, Row, Table, clean, put};
use crate::tui::wizard::Wizard;

const COLUMNS: [Column; 3] =
    [Column::new("WHAT", 5), Column::new("NAME", 9).flexible(12), Column::new("FILE", 3).flexible(12)];

/// What threads tell.
enum Told {
    Kept(Result<Vec<Kept>, String>),
    /// Something was done, or why not.
    Done(Result<String, String>),
    /// The text of a configuration that is to be changed step by step.
    Text(String, Result<String, String>),
}

/// The list of all that is kept.
pub(super) struct Settings {
    machine: Arc<dyn Machine>,
    list: List<Kept>,
    folders: Vec<(String, String)>,
    question: Option<(Dialog, Kept)>,
}

impl Settings {
    pub(super) fn new(machine: Arc<dyn Machine>) -> Self {
        let folders = machine.folders();
        Self { machine, list: List::default(), folders, question: None }
    }

    fn read(&self) -> Effect {
        let machine = self.machine.clone();
        Effect::work("kept", move |teller| {
            teller.tell(Told::Kept(machine.kept()));
        })
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if let Some((mut dialog, kept)) = self.question.take() {
            match dialog.key(key) {
                None => self.question = Some((dialog, kept)),
                Some('y') => return vec![self.delete(kept)],
                Some(_) => {}
            }
            return Vec::new();
        }
        if self.list.selection.key(key, self.list.rows().len()) {
            return Vec::new();
        }
        let Some(kept) = self.list.selected().cloned() else { return Vec::new() };
        let machine = self.machine.clone();
        match key.code {
            KeyCode::Char('e') => vec![Effect::lend("edit", move |teller| {
                let done = machine.edit(kept.kind, &kept.name);
                teller.tell(Told::Done(done.map(|()| format!("{} was edited.", kept.name))));
            })],
            KeyCode::Enter if kept.kind == Kind::Configuration => vec![Effect::work("text", move |teller| {
                let text = machine.text(&kept.name);
                teller.tell(Told::Text(kept.name, text));
            })],
            KeyCode::Enter => vec![Effect::Say(Tone::Note, "e edits it in your editor.".to_owned())],
            KeyCode::Char('d') => {
                let title = format!("Delete the {} {}?", word(kept.kind), clean(&kept.name));
                let mut text = vec![clean(&kept.file)];
                if kept.kind == Kind::Configuration {
                    text.push("A gateway that runs with it goes on.".to_owned());
                }
                self.question = Some((Dialog::confirm(&title, text, "delete", "cancel"), kept));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn delete(&self, kept: Kept) -> Effect {
        let machine = self.machine.clone();
        Effect::work("delete", move |teller| {
            let done = machine.delete(kept.kind, &kept.name);
            teller.tell(Told::Done(done.map(|()| format!("{} was deleted.", kept.name))));
        })
    }

    fn hear(&mut self, told: &Told) -> Vec<Effect> {
        let bad = |why: &str| Effect::Say(Tone::Bad, clean(why.lines().next().unwrap_or_default()));
        match told {
            Told::Kept(kept) => self.list.set(kept.clone()),
            Told::Done(Ok(done)) => return vec![Effect::Say(Tone::Good, clean(done)), self.read()],
            Told::Done(Err(why)) | Told::Text(_, Err(why)) => return vec![bad(why), self.read()],
            Told::Text(name, Ok(text)) => {
                return match Wizard::edit(self.machine.clone(), name, text) {
                    Ok(wizard) => vec![Effect::Push(Box::new(wizard))],
                    Err(why) => vec![bad(&why)],
                };
            }
        }
        Vec::new()
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Configuration => "configuration",
        Kind::Profile => "profile",
        Kind::Shortcut => "shortcut",
    }
}

impl Screen for Settings {
    fn title(&self) -> String {
        "settings".to_owned()
    }

    fn update(&mut self, input: &Input, _now: Instant) -> Vec<Effect> {
        match input {
            Input::Opened => vec![self.read()],
            Input::Key(key) => self.key(*key),
            Input::Message(message) => message.get::<Told>().map(|told| self.hear(told)).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let (x, room) = (area.x + 2, area.width.saturating_sub(3));
        let widest = self.folders.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
        for ((what, folder), y) in self.folders.iter().zip(area.y + 1..area.bottom()) {
            let line =
                Line::from(vec![Span::styled(format!("{what:widest$}  "), theme.dim()), Span::raw(clean(folder))]);
            put(buffer, x, y, room, &line);
        }
        let used = u16::try_from(self.folders.len() + 2).unwrap_or(area.height).min(area.height);
        let below = Rect { y: area.y + used, height: area.height - used, ..area };
        let none = "No configuration, profile or shortcut is kept yet.";
        if !self.list.draw_none(none, below, buffer, theme) {
            let row = |kept: &Kept| {
                Row::new(vec![Line::raw(word(kept.kind)), Line::raw(clean(&kept.name)), Line::raw(clean(&kept.file))])
            };
            let rows = self.list.rows().iter().map(row).collect();
            Table::new(&COLUMNS, rows).draw(below, Some(self.list.selection), buffer, theme);
        }
        if let Some((dialog, _)) = &self.question {
            dialog.draw(area, buffer, theme);
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![
            KeyHelp::new("Enter", "change step by step"),
            KeyHelp::new("e", "edit in $EDITOR"),
            KeyHelp::new("d", "delete"),
        ]
    }

    fn takes_text(&self) -> bool {
        self.question.is_some()
    }
}
