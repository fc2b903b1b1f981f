//! What a screen is, and what it wants done.

use std::fmt::{self, Debug, Formatter};
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::input::Input;
use super::theme::Theme;
use super::work::{Teller, Work};

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

/// Something that the loop does for a screen.
pub enum Effect {
    /// Opens a screen above this one.
    Push(Box<dyn Screen>),
    /// Closes the uppermost screen; the interface ends with the last one.
    Pop,
    /// Closes the uppermost screen and opens this one in its place.
    Replace(Box<dyn Screen>),
    /// Does something that takes time, on a thread of its own.
    Work(Work),
    /// Gives the terminal to something else, such as an editor, and takes it back when that has ended.
    Lend(Work),
    /// Says something on the last line, until a key is pressed.
    Say(Tone, String),
    /// Ends the interface at once. The text is printed when the terminal has been given back.
    End(Option<String>),
}

/// What a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It is just said.
    Note,
    /// Something went well.
    Good,
    /// Something went wrong.
    Bad,
}

impl Effect {
    /// Work on a thread. `name`: for people who look at the process.
    pub fn work(name: &'static str, run: impl FnOnce(&Teller) + Send + 'static) -> Self {
        Self::Work(Work::new(name, run))
    }

    /// Work that has the terminal for itself.
    pub fn lend(name: &'static str, run: impl FnOnce(&Teller) + Send + 'static) -> Self {
        Self::Lend(Work::new(name, run))
    }
}

impl Debug for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push(screen) => write!(f, "Push({})", screen.title()),
            Self::Pop => f.write_str("Pop"),
            Self::Replace(screen) => write!(f, "Replace({})", screen.title()),
            Self::Work(work) => write!(f, "Work({})", work.name),
            Self::Lend(work) => write!(f, "Lend({})", work.name),
            Self::Say(tone, text) => write!(f, "Say({tone:?}, {text:?})"),
            Self::End(text) => write!(f, "End({text:?})"),
        }
    }
}
