//! The terminal is given back after a panic, too: a screen that panics is shown in a real terminal.

use std::time::Instant;

use enginehouse::tui::frame::{Effect, Input, KeyHelp, Screen, Theme, run};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::driver::{Terminal, is_there};

/// Shows a word, and panics at the first key.
struct Panics;

impl Screen for Panics {
    fn title(&self) -> String {
        "a screen that panics".into()
    }

    fn update(&mut self, input: &Input, _now: Instant) -> Vec<Effect> {
        if let Input::Key(_) = input {
            panic!("the screen panics");
        }
        Vec::new()
    }

    fn draw(&self, _area: Rect, _buffer: &mut Buffer, _theme: &Theme) {}

    fn keys(&self) -> Vec<KeyHelp> {
        Vec::new()
    }
}

#[test]
#[ignore = "the program of the next test, in a terminal of its own"]
fn a_screen_that_panics() {
    let said = run(Box::new(Panics), Theme::from_env(&|name| std::env::var(name).ok()));
    panic!("it ended: {said:?}");
}

#[test]
fn the_terminal_is_given_back_after_a_panic() {
    if !is_there() {
        return;
    }
    let own = std::env::current_exe().expect("this program");
    let words = [own.to_str().expect("text"), "--ignored", "--exact", "restored::a_screen_that_panics", "--nocapture"];
    let terminal = Terminal::run_words((80, 24), &words, &[("RUST_BACKTRACE", "0")]);
    terminal.shows("a screen that panics");
    terminal.press(&["x"]);
    let (code, screen) = terminal.ended();
    assert_eq!(code, "101", "{screen}");
    assert!(screen.contains("the screen panics"), "what happened can be read:\n{screen}");
}
