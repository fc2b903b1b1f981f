//! What a screen is.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::effect::Effect;
use super::input::Input;
use super::theme::Theme;

/// A key and what it does, for the last line and the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHelp {
    /// The key, as it is written on keyboards: `Enter`, `a`, `Ctrl-D`.
    pub key: &'static str,
    /// What it does, in one to six words.
    pub what: &'static str,
}

impl KeyHelp {
    /// A key and what it does.
    #[must_use]
    pub const fn new(key: &'static str, what: &'static str) -> Self {
        Self { key, what }
    }
}

/// One screen. It is changed by `update` alone; `draw` shows it.
pub trait Screen {
    /// What it is called, on the first line.
    fn title(&self) -> String;

    /// Takes in what happened at `now`, and says what it wants done.
    fn update(&mut self, input: &Input, now: Instant) -> Vec<Effect>;

    /// Draws it into `area`, which is at least 60 columns by 13 lines. Unicode and colours may be used: the theme replaces them
    /// afterwards where the terminal has none. Texts of others (models, logs) are to be cleaned first.
    fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme);

    /// Its keys, the most important one first. Those that all screens have are left out.
    fn keys(&self) -> Vec<KeyHelp>;

    /// More for its help, a line each.
    fn help(&self) -> Vec<String> {
        Vec::new()
    }

    /// What is shown at the right of the first line, such as whether the gateway answers.
    fn status(&self) -> Line<'static> {
        Line::default()
    }

    /// Whether letters are text at the moment, or an answer to a question. Then all keys but Ctrl-C come to the screen.
    fn takes_text(&self) -> bool {
        false
    }

    /// Goes back inside itself; `false`: there is nothing to go back to, and the screen is to be closed.
    fn back(&mut self) -> bool {
        false
    }

    /// What would be lost if the interface ended now: a sentence. `None`: nothing.
    fn would_lose(&self) -> Option<String> {
        None
    }

    /// What is done when the interface is to end by a key. Default: it ends.
    fn leave(&mut self) -> Vec<Effect> {
        vec![Effect::End(None)]
    }

    /// Where `:` can go. Empty: `:` does nothing.
    fn places(&self) -> Vec<String> {
        Vec::new()
    }

    /// Goes to one of [`Screen::places`].
    fn jump(&mut self, _place: &str) -> Vec<Effect> {
        Vec::new()
    }

    /// What `/` has left of what is shown; `None`: this screen has no filter.
    fn filter(&self) -> Option<&str> {
        None
    }

    /// Shows only what contains this; empty: all.
    fn set_filter(&mut self, _text: &str) {}
}
