//! A page of fields: lines that are typed, switches, and choices.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::frame::Theme;
use crate::tui::widgets::{Edit, LineEdit, clean, put, width, wrap};

/// The widest label that is drawn in full.
const LABEL: usize = 24;

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A line.
    Text(LineEdit),
    /// Yes or no.
    Switch(bool),
    /// One of some: each with what it is good for.
    Choice { options: Vec<(String, String)>, at: usize },
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    id: String,
    label: String,
    hint: String,
    /// What an empty line stands for.
    empty: String,
    value: Value,
}

/// What a key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// It is still being filled.
    Going,
    /// Enter.
    Done,
    /// Esc.
    Back,
}

/// A page of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    fields: Vec<Field>,
    at: usize,
}

impl Form {
    fn with(mut self, id: &str, (label, hint): (&str, &str), value: Value) -> Self {
        let (id, label, hint) = (id.to_owned(), label.to_owned(), hint.to_owned());
        self.fields.push(Field { id, label, hint, empty: String::new(), value });
        self
    }

    /// One more line that is typed.
    pub(super) fn line(self, id: &str, words: (&str, &str), text: &str) -> Self {
        self.with(id, words, Value::Text(LineEdit::proposed(text)))
    }

    /// The last line stands for this where it is empty.
    pub(super) fn empty(mut self, text: &str) -> Self {
        if let Some(field) = self.fields.last_mut() {
            text.clone_into(&mut field.empty);
        }
        self
    }

    /// A line stands for this where it is empty.
    pub(super) fn set_empty(&mut self, id: &str, text: String) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.id == id) {
            field.empty = text;
        }
    }

    /// One more switch.
    pub(super) fn switch(self, id: &str, words: (&str, &str), on: bool) -> Self {
        self.with(id, words, Value::Switch(on))
    }

    /// One more choice: the options, each with what it is good for, and the one that is chosen.
    pub(super) fn choice(
        self,
        id: &str,
        words: (&str, &str),
        options: Vec<(String, String)>,
        chosen: Option<&str>,
    ) -> Self {
        let at = options.iter().position(|(name, _)| Some(name.as_str()) == chosen).unwrap_or(0);
        self.with(id, words, Value::Choice { options, at })
    }

    fn value(&self, id: &str) -> Option<&Value> {
        self.fields.iter().find(|field| field.id == id).map(|field| &field.value)
    }

    /// What is typed or chosen in a field.
    pub(super) fn text(&self, id: &str) -> &str {
        match self.value(id) {
            Some(Value::Text(edit)) => edit.text().trim(),
            Some(Value::Choice { options, at }) => options.get(*at).map(|(name, _)| name.as_str()).unwrap_or_default(),
            _ => "",
        }
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, id: &str) -> bool {
        matches!(self.value(id), Some(Value::Switch(true)))
    }

    /// Which option of a choice is chosen.
    pub(super) fn chosen(&self, id: &str) -> usize {
        match self.value(id) {
            Some(Value::Choice { at, .. }) => *at,
            _ => 0,
        }
    }

    /// Goes to a field.
    pub(super) fn go_to(&mut self, id: &str) {
        self.at = self.fields.iter().position(|field| field.id == id).unwrap_or(self.at);
    }

    /// Acts on a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Filled {
        let count = self.fields.len().max(1);
        let at = self.at.min(count - 1);
        match key.code {
            KeyCode::Enter => return Filled::Done,
            KeyCode::Esc => return Filled::Back,
            KeyCode::Down | KeyCode::Tab => self.at = (at + 1) % count,
            KeyCode::Up | KeyCode::BackTab => self.at = (at + count - 1) % count,
            _ => {
                if let Some(field) = self.fields.get_mut(at) {
                    change(&mut field.value, key);
                }
            }
        }
        Filled::Going
    }

    /// Inserts a text.
    pub(super) fn paste(&mut self, text: &str) {
        if let Some(Value::Text(edit)) = self.fields.get_mut(self.at).map(|field| &mut field.value) {
            edit.paste(text);
        }
    }

    /// Draws it: a line for each field, and what the selected one means.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let label = self.fields.iter().map(|field| width(&field.label)).max().unwrap_or(0).min(LABEL);
        let column = u16::try_from(label + 2).unwrap_or(0);
        let hint = 3;
        let room = usize::from(area.height.saturating_sub(hint + 1)).max(1);
        let first = self.at.saturating_sub(room.saturating_sub(1));
        for ((place, field), y) in self.fields.iter().enumerate().skip(first).take(room).zip(area.y..) {
            let style = if place == self.at { theme.accent() } else { theme.dim() };
            put(buffer, area.x, y, 1, &Line::raw(if place == self.at { "▸" } else { " " }));
            put(buffer, area.x + 2, y, column, &Line::styled(clean(&field.label), style));
            let right = Rect { x: area.x + 3 + column, y, width: area.width.saturating_sub(column + 3), height: 1 };
            draw_value(field, place == self.at, right, buffer, theme);
        }
        let Some(field) = self.fields.get(self.at) else { return };
        let more = match &field.value {
            Value::Choice { options, at } => options.get(*at).map(|(_, more)| more.as_str()).unwrap_or_default(),
            _ => "",
        };
        let text = [field.hint.as_str(), more].join(" ");
        let y = area.y + u16::try_from(self.fields.len().min(room)).unwrap_or(0) + 1;
        let lines = wrap(&clean(text.trim()), usize::from(area.width.saturating_sub(2)));
        for (line, y) in lines.iter().zip(y..area.bottom()) {
            put(buffer, area.x + 2, y, area.width - 2, &Line::styled(line.as_str(), theme.dim()));
        }
    }
}

/// Changes a value by a key.
fn change(value: &mut Value, key: KeyEvent) {
    match value {
        Value::Text(edit) => {
            let _: Edit = edit.key(key);
        }
        Value::Switch(on) => {
            if matches!(key.code, KeyCode::Char(' ') | KeyCode::Left | KeyCode::Right) {
                *on = !*on;
            }
        }
        Value::Choice { options, at } => {
            let count = options.len().max(1);
            match key.code {
                KeyCode::Char(' ') | KeyCode::Right => *at = (*at + 1) % count,
                KeyCode::Left => *at = (*at + count - 1) % count,
                _ => {}
            }
        }
    }
}

fn draw_value(field: &Field, is_active: bool, area: Rect, buffer: &mut Buffer, theme: &Theme) {
    match &field.value {
        Value::Text(edit) if edit.text().is_empty() => {
            // The cursor has the first column.
            let text = if field.empty.is_empty() { String::new() } else { format!("({})", field.empty) };
            let x = area.x + u16::from(is_active);
            put(buffer, x, area.y, area.width.saturating_sub(1), &Line::styled(text, theme.dim()));
            if is_active {
                edit.draw(Rect { width: 1, ..area }, true, buffer, theme);
            }
        }
        Value::Text(edit) if is_active => edit.draw(area, true, buffer, theme),
        Value::Text(edit) => put(buffer, area.x, area.y, area.width, &Line::raw(clean(edit.text()))),
        Value::Switch(on) => {
            let (sign, style) = if *on { ("[x] yes", theme.good()) } else { ("[ ] no", theme.dim()) };
            put(buffer, area.x, area.y, area.width, &Line::styled(sign, style));
        }
        Value::Choice { options, at } => {
            let name = options.get(*at).map(|(name, _)| clean(name)).unwrap_or_default();
            let line = Line::from(vec![
                Span::styled("‹ ", theme.dim()),
                Span::raw(name),
                Span::styled(format!(" › {} of {}", at + 1, options.len()), theme.dim()),
            ]);
            put(buffer, area.x, area.y, area.width, &line);
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyModifiers;

    use super::*;

    #[test]
    fn the_first_letter_replaces_what_is_proposed_and_space_turns_switches() {
        let mut form =
            Form::default().line("port", ("Port", ""), "8000").switch("metrics", ("Metrics", ""), true).choice(
                "profile",
                ("Profile", ""),
                vec![("none".into(), String::new()), ("fast".into(), String::new())],
                None,
            );
        let mut press = |code| form.key(KeyEvent::new(code, KeyModifiers::NONE));
        press(KeyCode::Char('9'));
        press(KeyCode::Char('1'));
        assert_eq!(press(KeyCode::Tab), Filled::Going);
        press(KeyCode::Char(' '));
        press(KeyCode::Down);
        press(KeyCode::Char(' '));
        assert_eq!(press(KeyCode::Enter), Filled::Done);
        assert_eq!(press(KeyCode::Esc), Filled::Back);
        assert_eq!((form.text("port"), form.is_on("metrics"), form.text("profile")), ("91", false, "fast"));
        form.go_to("port");
        form.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
        form.paste("2\n");
        assert_eq!((form.text("port"), form.chosen("profile")), ("92", 1));
    }
}
