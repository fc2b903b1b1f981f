//! The loop: listens to keys, signals and work, lets the screens act, and draws them.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Instant;

use super::input::Input;
use super::keyboard::Keyboard;
use super::pace::{Pace, Urgency};
use super::screen::{Effect, Screen, Tone};
use super::signals;
use super::stack::Stack;
use super::terminal::Terminal;
use super::theme::Theme;
use super::work::Teller;

/// Shows `first` and the screens that it leads to until they end. Returns what is to be printed then.
///
/// # Errors
/// When standard input or output is no terminal, or it refuses.
pub fn run(first: Box<dyn Screen>, theme: Theme) -> io::Result<Option<String>> {
    let (sender, inputs) = mpsc::channel();
    signals::watch(sender.clone())?;
    let terminal = Terminal::take()?;
    let keyboard = Keyboard::read(sender.clone())?;
    let now = Instant::now();
    let mut app = App { stack: Stack::default(), terminal, keyboard, sender, theme, pace: Pace::new(now) };
    let mut ending = app.act(vec![Effect::Push(first)], now)?;
    while ending.is_none() {
        let now = Instant::now();
        let input = if app.pace.ticks(now) {
            Input::Tick
        } else {
            app.draw(now)?;
            match inputs.recv_timeout(app.pace.wait(now)) {
                Ok(input) => input,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => Input::End,
            }
        };
        let now = Instant::now();
        app.pace.want(urgency(&input), now);
        let effects = app.stack.update(&input, now);
        ending = app.act(effects, now)?;
    }
    Ok(ending.flatten())
}

fn urgency(input: &Input) -> Urgency {
    match input {
        Input::Tick | Input::Message(_) => Urgency::Figures,
        Input::Opened | Input::Key(_) | Input::Paste(_) | Input::Resize | Input::End => Urgency::Keys,
    }
}

struct App {
    stack: Stack,
    terminal: Terminal,
    keyboard: Keyboard,
    sender: Sender<Input>,
    theme: Theme,
    pace: Pace,
}

impl App {
    fn draw(&mut self, now: Instant) -> io::Result<()> {
        if !self.pace.is_due(now) {
            return Ok(());
        }
        self.pace.drawn(now);
        let (stack, theme) = (&self.stack, &self.theme);
        self.terminal.draw(|area, buffer| stack.draw(area, buffer, theme))
    }

    /// Does what screens want. `Some`: the interface ends, and what is to be printed then.
    fn act(&mut self, effects: Vec<Effect>, now: Instant) -> io::Result<Option<Option<String>>> {
        let mut left: std::collections::VecDeque<Effect> = effects.into();
        while let Some(effect) = left.pop_front() {
            let more = match effect {
                Effect::Push(screen) => self.stack.push(screen, now),
                Effect::Pop => self.stack.pop(now),
                Effect::Replace(screen) => self.stack.replace(screen, now),
                Effect::Say(tone, text) => {
                    self.stack.say(tone, text);
                    Vec::new()
                }
                Effect::Work(work) => {
                    if let Err(error) = work.start(Teller::new(self.sender.clone())) {
                        self.stack.say(Tone::Bad, format!("The system gives no thread: {error}."));
                    }
                    Vec::new()
                }
                Effect::Lend(work) => {
                    self.keyboard.pause();
                    let teller = Teller::new(self.sender.clone());
                    let taken = self.terminal.lend(|| work.here(&teller));
                    self.keyboard.resume();
                    taken?;
                    self.pace.want(Urgency::Keys, now);
                    Vec::new()
                }
                Effect::End(text) => return Ok(Some(text)),
            };
            for effect in more.into_iter().rev() {
                left.push_front(effect);
            }
        }
        Ok(None)
    }
}
