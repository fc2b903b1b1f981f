//! All open screens, and what they have in common: help, `:`, `/`, going back and leaving. Changed by `update`, without a
//! terminal.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;

use super::bars::{self, Said};
use super::input::Input;
use super::screen::{Effect, KeyHelp, Screen, Tone};
use super::theme::Theme;
use crate::tui::widgets::{Completion, Dialog, Edit, Help, LineEdit};

/// The smallest window that the screens fit into.
const LEAST: (u16, u16) = (60, 15);

/// Open screens, the uppermost last.
#[derive(Default)]
pub(super) struct Stack {
    screens: Vec<Box<dyn Screen>>,
    above: Option<Above>,
    said: Option<Said>,
}

/// What is above the screens and takes all keys.
enum Above {
    Help(Help),
    /// `:`
    Place(Completion),
    /// `/`
    Filter(LineEdit),
    /// Whether to leave although something would be lost.
    Leave(Dialog),
}

/// What is done once the keys are looked at.
enum Next {
    /// Nothing more.
    Nothing,
    /// The key is the screen's.
    Screen,
    Leave,
    Back,
}

impl Stack {
    pub(super) fn push(&mut self, screen: Box<dyn Screen>, now: Instant) -> Vec<Effect> {
        self.screens.push(screen);
        self.top_update(&Input::Opened, now)
    }

    pub(super) fn pop(&mut self, now: Instant) -> Vec<Effect> {
        self.screens.pop();
        if self.screens.is_empty() { vec![Effect::End(None)] } else { self.top_update(&Input::Opened, now) }
    }

    pub(super) fn replace(&mut self, screen: Box<dyn Screen>, now: Instant) -> Vec<Effect> {
        self.screens.pop();
        self.push(screen, now)
    }

    pub(super) fn say(&mut self, tone: Tone, text: String) {
        self.said = Some((tone, text));
    }

    /// Takes in what happened.
    pub(super) fn update(&mut self, input: &Input, now: Instant) -> Vec<Effect> {
        match input {
            Input::End => vec![Effect::End(None)],
            Input::Message(_) | Input::Tick | Input::Resize => {
                self.screens.iter_mut().flat_map(|screen| screen.update(input, now)).collect()
            }
            Input::Opened => self.top_update(input, now),
            Input::Paste(text) => match &mut self.above {
                None => self.top_update(input, now),
                Some(Above::Place(place)) => {
                    place.paste(text);
                    Vec::new()
                }
                Some(Above::Filter(edit)) => {
                    edit.paste(text);
                    let text = edit.text().to_owned();
                    self.set_filter(&text);
                    Vec::new()
                }
                Some(Above::Help(_) | Above::Leave(_)) => Vec::new(),
            },
            Input::Key(key) => self.key(*key, now),
        }
    }

    fn key(&mut self, key: KeyEvent, now: Instant) -> Vec<Effect> {
        self.said = None;
        if key.code == KeyCode::Char('z') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return vec![Effect::lend("paused", |_| pause())];
        }
        let next = if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            // Asked twice, it is meant.
            if matches!(self.above, Some(Above::Leave(_))) {
                return self.leave();
            }
            Next::Leave
        } else if let Some(above) = self.above.take() {
            return self.key_above(above, key);
        } else {
            self.common(key)
        };
        match next {
            Next::Nothing => Vec::new(),
            Next::Screen => self.top_update(&Input::Key(key), now),
            Next::Leave => self.leave_or_ask(),
            Next::Back if self.top_mut().is_some_and(|screen| screen.back()) => Vec::new(),
            Next::Back if self.screens.len() > 1 => vec![Effect::Pop],
            Next::Back => self.leave_or_ask(),
        }
    }

    /// Keys that mean the same on all screens.
    fn common(&mut self, key: KeyEvent) -> Next {
        let Some(screen) = self.screens.last() else { return Next::Leave };
        if screen.takes_text() {
            return Next::Screen;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('?') | KeyCode::F(1) => self.above = Some(Above::Help(help(&**screen))),
            KeyCode::Char(':') if !screen.places().is_empty() => {
                self.above = Some(Above::Place(Completion::new(screen.places())));
            }
            KeyCode::Char('/') if screen.filter().is_some() => {
                let edit = LineEdit::new(screen.filter().unwrap_or_default());
                self.above = Some(Above::Filter(edit));
            }
            KeyCode::Esc if screen.filter().is_some_and(|filter| !filter.is_empty()) => self.set_filter(""),
            KeyCode::Char('q') if !control => return Next::Back,
            KeyCode::Esc => return Next::Back,
            _ => return Next::Screen,
        }
        Next::Nothing
    }

    /// A key for what is above the screens.
    fn key_above(&mut self, above: Above, key: KeyEvent) -> Vec<Effect> {
        match above {
            Above::Help(mut help) => {
                self.above = help.key(key).then_some(Above::Help(help));
                Vec::new()
            }
            Above::Place(mut place) => match place.key(key) {
                Edit::Going => {
                    self.above = Some(Above::Place(place));
                    Vec::new()
                }
                Edit::Cancelled => Vec::new(),
                Edit::Done => match place.chosen() {
                    Some(chosen) => self.top_mut().map(|screen| screen.jump(&chosen)).unwrap_or_default(),
                    None => {
                        let text = format!("There is no view, model or engine `{}`.", place.text());
                        vec![Effect::Say(Tone::Bad, text)]
                    }
                },
            },
            Above::Filter(mut edit) => {
                match edit.key(key) {
                    Edit::Going => {
                        let text = edit.text().to_owned();
                        self.set_filter(&text);
                        self.above = Some(Above::Filter(edit));
                    }
                    Edit::Cancelled => self.set_filter(""),
                    Edit::Done => {}
                }
                Vec::new()
            }
            Above::Leave(mut dialog) => match dialog.key(key) {
                None => {
                    self.above = Some(Above::Leave(dialog));
                    Vec::new()
                }
                Some('y') => self.leave(),
                Some(_) => Vec::new(),
            },
        }
    }

    fn leave_or_ask(&mut self) -> Vec<Effect> {
        let lost: Vec<String> = self.screens.iter().filter_map(|screen| screen.would_lose()).collect();
        if lost.is_empty() {
            return self.leave();
        }
        self.above = Some(Above::Leave(Dialog::confirm("Leave?", lost, "leave", "stay")));
        Vec::new()
    }

    fn leave(&mut self) -> Vec<Effect> {
        self.above = None;
        self.top_mut().map_or_else(|| vec![Effect::End(None)], |screen| screen.leave())
    }

    fn set_filter(&mut self, text: &str) {
        if let Some(screen) = self.top_mut() {
            screen.set_filter(text);
        }
    }

    fn top_mut(&mut self) -> Option<&mut Box<dyn Screen>> {
        self.screens.last_mut()
    }

    fn top_update(&mut self, input: &Input, now: Instant) -> Vec<Effect> {
        self.top_mut().map(|screen| screen.update(input, now)).unwrap_or_default()
    }

    /// Draws the uppermost screen with what belongs to all.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        if area.width < LEAST.0 || area.height < LEAST.1 {
            bars::too_small(area, LEAST, buffer, theme);
        } else if let Some(screen) = self.screens.last() {
            let titles: Vec<String> = self.screens.iter().map(|screen| screen.title()).collect();
            bars::first_line(Rect { height: 1, ..area }, &titles, &screen.status(), buffer, theme);
            let inner = Rect { y: area.y + 1, height: area.height - 2, ..area };
            screen.draw(inner, buffer, theme);
            let last = Rect { y: area.bottom() - 1, height: 1, ..area };
            match &self.above {
                Some(Above::Place(place)) => place.draw(last, buffer, theme),
                Some(Above::Filter(edit)) => bars::filter_line(last, edit, buffer, theme),
                _ => match &self.said {
                    Some(said) => {
                        bars::said(Rect { y: area.y + 1, height: area.height - 1, ..area }, said, buffer, theme)
                    }
                    None => bars::last_line(last, &**screen, buffer, theme),
                },
            }
            match &self.above {
                Some(Above::Help(help)) => help.draw(inner, buffer, theme),
                Some(Above::Leave(dialog)) => dialog.draw(inner, buffer, theme),
                _ => {}
            }
        }
        theme.finish(buffer);
    }
}

/// Stops this process until its shell continues it (`fg`), as Ctrl-Z does.
fn pause() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP);
}

/// All keys of a screen, and what more it says.
fn help(screen: &dyn Screen) -> Help {
    let mut keys = screen.keys();
    if screen.filter().is_some() {
        keys.push(KeyHelp::new("/", "filter: show only what contains a text; Esc ends it"));
    }
    if !screen.places().is_empty() {
        keys.push(KeyHelp::new(":", "go to a view, a model or an engine by its name"));
    }
    keys.push(KeyHelp::new("?", "this help"));
    keys.push(KeyHelp::new("q, Esc", "back; from the first screen: leave"));
    keys.push(KeyHelp::new("Ctrl-C", "leave; it asks first where something would be lost"));
    keys.push(KeyHelp::new("Ctrl-Z", "pause; `fg` of the shell continues"));
    let keys = keys.iter().map(|key| (key.key.to_owned(), key.what.to_owned())).collect();
    Help::new(&screen.title(), keys, screen.help())
}

#[cfg(test)]
mod tests;
