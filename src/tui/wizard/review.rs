//! The last page: what would run where, and what is done with it.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::frame::Theme;
use crate::tui::widgets::{Edit, LineEdit, Pane, clean, panel, put};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    SaveAndStart,
    Save,
    Start,
    Cancel,
}

impl Action {
    const ALL: [(Self, &str); 4] = [
        (Self::SaveAndStart, "save and start"),
        (Self::Save, "save"),
        (Self::Start, "start without saving"),
        (Self::Cancel, "cancel"),
    ];
}

/// What a key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reviewed {
    Going,
    Back,
    Do(Action),
}

/// The page.
#[derive(Clone, Debug)]
pub(super) struct Review {
    /// The configuration.
    pub(super) text: String,
    name: LineEdit,
    /// A saved configuration that is changed keeps its name.
    is_fixed: bool,
    at: usize,
    /// What would run where, or what is wrong; `None`: it is being checked.
    checked: Option<Result<Pane, Pane>>,
}

impl Review {
    /// A page for this configuration, with a name that is proposed, or fixed.
    pub(super) fn new(text: String, name: &str, is_fixed: bool) -> Self {
        Self { text, name: LineEdit::proposed(name), is_fixed, at: 0, checked: None }
    }

    /// The name that it is saved under.
    pub(super) fn name(&self) -> &str {
        self.name.text().trim()
    }

    /// Takes what was found out about it.
    pub(super) fn checked(&mut self, found: &Result<String, String>) {
        self.checked = Some(match found {
            Ok(text) => Ok(Pane::new(text)),
            Err(text) => Err(Pane::new(text)),
        });
    }

    /// Why an action cannot be taken now.
    pub(super) fn refusal(&self, action: Action) -> Option<&'static str> {
        match (action, &self.checked) {
            (Action::Cancel, _) => None,
            (_, None) => Some("It is still being checked."),
            (_, Some(Err(_))) => Some("It is not valid: what is wrong is below. Esc goes back to change it."),
            (_, Some(Ok(_))) if self.name().is_empty() => Some("It needs a name: type one."),
            _ => None,
        }
    }

    /// Acts on a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Reviewed {
        if let Some(Ok(pane) | Err(pane)) = &mut self.checked
            && pane.key(key)
        {
            return Reviewed::Going;
        }
        let count = Action::ALL.len();
        match key.code {
            KeyCode::Esc => return Reviewed::Back,
            KeyCode::Enter => return Reviewed::Do(Action::ALL[self.at].0),
            KeyCode::Down | KeyCode::Tab => self.at = (self.at + 1) % count,
            KeyCode::Up | KeyCode::BackTab => self.at = (self.at + count - 1) % count,
            _ if self.is_fixed => {}
            _ => {
                let _: Edit = self.name.key(key);
            }
        }
        Reviewed::Going
    }

    /// Inserts a text into the name.
    pub(super) fn paste(&mut self, text: &str) {
        if !self.is_fixed {
            self.name.paste(text);
        }
    }

    /// Draws it.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        put(buffer, area.x, area.y, 5, &Line::styled("Name", theme.accent()));
        let name = Rect { x: area.x + 6, width: area.width.saturating_sub(6), height: 1, ..area };
        if self.is_fixed {
            put(buffer, name.x, name.y, name.width, &Line::raw(clean(self.name.text())));
        } else {
            self.name.draw(name, true, buffer, theme);
        }
        let mut line = Line::default();
        for (place, (_, label)) in Action::ALL.iter().enumerate() {
            let style = if place == self.at { theme.selected() } else { theme.accent() };
            line.push_span(Span::styled(format!(" {label} "), style));
            line.push_span(Span::raw("  "));
        }
        put(buffer, area.x, area.y + 2, area.width, &line);
        // As high as its text, with its frame.
        let lines = match &self.checked {
            Some(Ok(pane) | Err(pane)) => pane.height(area.width.saturating_sub(2)),
            None => 1,
        };
        let height = lines.saturating_add(2).min(area.height.saturating_sub(3));
        let below = Rect { y: area.y + 3, height, ..area };
        let title = match &self.checked {
            Some(Err(_)) => "What is wrong",
            _ => "What would run where",
        };
        let inner = panel(below, title, buffer, theme);
        match &self.checked {
            None => put(buffer, inner.x, inner.y, inner.width, &Line::styled("Checking …", theme.busy())),
            Some(Ok(pane) | Err(pane)) => pane.draw(inner, buffer, theme),
        }
    }
}
