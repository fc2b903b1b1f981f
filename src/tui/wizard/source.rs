//! The page where a model comes from: a shortcut, a model on this machine, or a hub id or path that is typed.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::form::Filled;
use super::known::Known;
use crate::config::ModelAnswers;
use crate::inventory::gib;
use crate::local_models::{LocalModel, State};
use crate::tui::frame::Theme;
use crate::tui::widgets::{Column, Edit, LineEdit, Row, Selection, Table, clean, put, wrap};

const COLUMNS: [Column; 4] = [
    Column::new("MODEL", 9).flexible(20),
    Column::new("FROM", 6),
    Column::new("SIZE", 3).right(),
    Column::new("MORE", 2).flexible(8),
];

/// The page.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    selection: Selection,
    /// What is typed; `None`: one of the list is chosen.
    typed: Option<LineEdit>,
}

impl Source {
    /// Acts on a key; the model, once there is one.
    pub(super) fn key(&mut self, key: KeyEvent, known: &Known) -> (Filled, Option<ModelAnswers>) {
        if let Some(edit) = &mut self.typed {
            match edit.key(key) {
                Edit::Going => {}
                Edit::Cancelled => self.typed = None,
                Edit::Done => return (Filled::Done, typed(edit.text().trim())),
            }
            return (Filled::Going, None);
        }
        let (shortcuts, models) = (&known.shortcuts, known.models());
        let count = shortcuts.len() + 1 + models.len();
        if self.selection.key(key, count) {
            return (Filled::Going, None);
        }
        match key.code {
            KeyCode::Esc => return (Filled::Back, None),
            KeyCode::Char('i') => self.typed = Some(LineEdit::default()),
            KeyCode::Enter => {
                let at = self.selection.of(count).unwrap_or(0);
                if let Some(shortcut) = shortcuts.get(at) {
                    return (Filled::Done, Some(shortcut.clone()));
                }
                match at.checked_sub(shortcuts.len() + 1).and_then(|at| models.get(at)) {
                    Some(model) => return (Filled::Done, typed(&model.source)),
                    None => self.typed = Some(LineEdit::default()),
                }
            }
            _ => {}
        }
        (Filled::Going, None)
    }

    /// Inserts a text.
    pub(super) fn paste(&mut self, text: &str) {
        self.typed.get_or_insert_default().paste(text);
    }

    /// Draws it.
    pub(super) fn draw(&self, known: &Known, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        if let Some(edit) = &self.typed {
            put(buffer, area.x, area.y, area.width, &Line::raw("Hub id (Qwen/Qwen3-8B) or path (/models/qwen):"));
            let line = Rect { y: area.y + 1, height: 1, ..area };
            edit.draw(line, true, buffer, theme);
            let text = "Enter goes on. A model of the hub is fetched when its engine starts; HF_TOKEN in the environment lets \
                        it fetch those that need a token.";
            for (line, y) in wrap(text, usize::from(area.width)).iter().zip(area.y + 3..area.bottom()) {
                put(buffer, area.x, y, area.width, &Line::styled(line.as_str(), theme.dim()));
            }
            return;
        }
        let mut rows = Vec::new();
        for shortcut in &known.shortcuts {
            let profile = shortcut.profile.as_deref().map_or_else(String::new, |name| format!(", profile {name}"));
            rows.push(row([&shortcut.name, "shortcut", "", &format!("{}{profile}", shortcut.source)]));
        }
        rows.push(row(["Type a hub id or a path …", "you", "", ""]));
        for model in known.models() {
            rows.push(row([&model.source, "disk", &gib(model.bytes), &more(model, known)]));
        }
        let bad = bad(known.bad_shortcuts);
        let below = Rect { height: area.height.saturating_sub(1 + u16::from(bad.is_some())), ..area };
        Table::new(&COLUMNS, rows).draw(below, Some(self.selection), buffer, theme);
        let (text, style) = match &known.local {
            None => ("Looking for models on this machine …".to_owned(), theme.busy()),
            Some(found) if found.models.is_empty() => {
                ("There is no model on this machine yet.".to_owned(), theme.dim())
            }
            Some(found) => (format!("{} models on this machine.", found.models.len()), theme.dim()),
        };
        put(buffer, area.x, area.bottom().saturating_sub(1), area.width, &Line::from(Span::styled(text, style)));
        if let Some(text) = bad {
            put(buffer, area.x, area.bottom().saturating_sub(2), area.width, &Line::styled(text, theme.busy()));
        }
    }
}

/// What is said of shortcuts that are not in the list.
fn bad(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 shortcut is not valid: enginehouse shortcuts list".to_owned()),
        count => Some(format!("{count} shortcuts are not valid: enginehouse shortcuts list")),
    }
}

fn row(cells: [&str; 4]) -> Row {
    Row::new(cells.map(|cell| Line::raw(clean(cell))).to_vec())
}

/// What else is worth knowing of a model.
fn more(model: &LocalModel, known: &Known) -> String {
    let adapters = match known.adapters(&model.source).len() {
        0 => None,
        1 => Some("1 adapter".to_owned()),
        count => Some(format!("{count} adapters")),
    };
    let words = [
        (model.state != State::Complete).then(|| "incomplete".to_owned()),
        adapters,
        model.context_length.map(|tokens| format!("{tokens} tokens")),
        model.quantization.clone(),
        model.architecture.clone(),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A model by its hub id or path; `None`: nothing is typed.
fn typed(source: &str) -> Option<ModelAnswers> {
    let bare = source.trim_end_matches('/');
    let last = bare.rsplit('/').next().unwrap_or(bare);
    let name = last.strip_suffix(".gguf").unwrap_or(last).to_lowercase();
    (!bare.is_empty()).then(|| ModelAnswers { name, source: source.to_owned(), ..ModelAnswers::default() })
}
