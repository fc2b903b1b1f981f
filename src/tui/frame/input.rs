//! What comes to the screens.

use ratatui::crossterm::event::KeyEvent;

use super::message::Message;

/// Something that a screen may act on.
#[derive(Debug)]
pub enum Input {
    /// The screen was just opened, or is the uppermost one again: what it shows may be old.
    Opened,
    /// A key was pressed. Keys that mean the same everywhere come only to screens that take text.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// A piece of work has news. All open screens get it: each looks whether it is one of its own.
    Message(Message),
    /// Time goes on: about once a second.
    Tick,
    /// The window has another size.
    Resize,
    /// The process is told to end (SIGTERM), or its terminal is gone.
    End,
}
