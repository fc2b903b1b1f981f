//! The terminal while the interface has it: taken over, and given back whatever happens.

use std::io::{self, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{cursor, queue};
use ratatui::layout::Rect;

/// Whether the terminal is taken: a panic must know it, and nobody can be asked then.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal. It is given back when this is dropped, and when the thread that has it panics.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard output is none, or it refuses.
    pub(super) fn take() -> io::Result<Self> {
        restore_on_panic(thread::current().id(), give_back);
        let taken = enter().and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(io::stdout())));
        if taken.is_err() {
            give_back();
        }
        taken.map(|inner| Self { inner })
    }

    /// Shows what `draw` draws.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn draw(&mut self, draw: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        self.inner.draw(|frame| draw(frame.area(), frame.buffer_mut())).map(drop)
    }

    /// Gives the terminal to `user` for as long as that runs.
    ///
    /// # Errors
    /// When it cannot be taken again.
    pub(super) fn lend(&mut self, user: impl FnOnce()) -> io::Result<()> {
        give_back();
        user();
        enter()?;
        self.inner.clear()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    let mut out = io::stdout();
    queue!(out, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    out.flush()
}

/// Gives the terminal back, if it is taken. Who cannot write to it any more has nothing to give back.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = leave(&mut io::stdout());
        let _ = disable_raw_mode();
    }
}

fn leave(out: &mut impl Write) -> io::Result<()> {
    queue!(out, DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show)?;
    out.flush()
}

/// Has `restore` called before anything is said of a panic of `owner`. Of a panic of another thread nothing is said: it would be
/// written into the picture, and the work of that thread is known to have failed.
fn restore_on_panic(owner: ThreadId, restore: fn()) {
    let said = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == owner {
            restore();
        }
        if !TAKEN.load(Ordering::SeqCst) {
            said(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_the_cursor_and_pasting_are_as_they_were() {
        let mut out = Vec::new();
        leave(&mut out).expect("written");
        let text = String::from_utf8(out).expect("ASCII");
        for sequence in ["\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l", "\x1b[?1000l"] {
            assert!(text.contains(sequence), "{sequence:?} in {text:?}");
        }
    }

    #[test]
    fn a_panic_of_the_thread_that_has_the_terminal_gives_it_back() {
        static RESTORED: AtomicBool = AtomicBool::new(false);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let panics = |is_owner: bool| {
            let thread = thread::spawn(move || {
                let owner = if is_owner { thread::current().id() } else { thread::spawn(|| ()).thread().id() };
                restore_on_panic(owner, || RESTORED.store(true, Ordering::SeqCst));
                std::panic::panic_any("a test");
            });
            assert!(thread.join().is_err());
            RESTORED.swap(false, Ordering::SeqCst)
        };
        let restored = (panics(false), panics(true));
        std::panic::set_hook(before);
        assert_eq!(restored, (false, true));
    }
}
