//! The screen of a gateway that is being started; it makes way for the monitor, or tells why there is none.

use std::sync::Arc;
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::frame::{Effect, Input, KeyHelp, Screen, Theme, Tone};
use super::machine::{Gateway, Machine, Start};
use super::monitor::Monitor;
use super::widgets::{Pane, clean, put, wrap};

/// A start, and what came of it.
pub struct Starting {
    machine: Arc<dyn Machine>,
    what: Start,
    since: Instant,
    now: Instant,
    state: State,
}

enum State {
    New,
    UnderWay,
    Failed(Pane),
}

/// What the thread tells. `what` is which start it was.
struct Told {
    what: Start,
    came: Result<Gateway, String>,
}

impl Starting {
    /// Starts it as soon as it is shown.
    #[must_use]
    pub fn new(machine: Arc<dyn Machine>, what: Start) -> Self {
        let now = Instant::now();
        Self { machine, what, since: now, now, state: State::New }
    }

    fn name(&self) -> String {
        match &self.what {
            Start::Saved(name) | Start::Text { name, .. } => clean(name),
        }
    }

    fn begin(&mut self) -> Vec<Effect> {
        self.since = self.now;
        self.state = State::UnderWay;
        let (machine, what) = (self.machine.clone(), self.what.clone());
        vec![Effect::work("start", move |teller| {
            let came = machine.start(&what);
            teller.tell(Told { what, came });
        })]
    }

    fn heard(&mut self, told: &Told) -> Vec<Effect> {
        match &told.came {
            Ok(gateway) => {
                let monitor = Monitor::new(gateway.link.clone(), &gateway.label, !gateway.ran_before);
                let mut effects = vec![Effect::Replace(Box::new(monitor))];
                if gateway.ran_before {
                    let text = "It ran already, and was not started again: this is it. What was changed in its file since is in use \
                                after `enginehouse reload`.";
                    effects.push(Effect::Say(Tone::Note, text.to_owned()));
                }
                effects
            }
            Err(why) => {
                self.state = State::Failed(Pane::new(why));
                Vec::new()
            }
        }
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if let State::Failed(pane) = &mut self.state {
            pane.key(key);
        }
        Vec::new()
    }
}

impl Screen for Starting {
    fn title(&self) -> String {
        format!("start {}", self.name())
    }

    fn update(&mut self, input: &Input, now: Instant) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Opened if matches!(self.state, State::New) => self.begin(),
            Input::Message(message) => match message.get::<Told>() {
                Some(told) if told.what == self.what => self.heard(told),
                _ => Vec::new(),
            },
            Input::Key(key) => self.key(*key),
            _ => Vec::new(),
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let (x, room) = (area.x + 2, area.width.saturating_sub(4));
        if let State::Failed(pane) = &self.state {
            let text = format!("✗ The gateway `{}` was not started.", self.name());
            put(buffer, x, area.y + 1, room, &Line::styled(text, theme.bad()));
            let below = Rect { x, y: area.y + 3, width: room, height: area.height.saturating_sub(3) };
            pane.draw(below, buffer, theme);
            return;
        }
        let seconds = self.now.saturating_duration_since(self.since).as_secs();
        let text = format!("◐ Starting the gateway `{}` … {seconds} s", self.name());
        put(buffer, x, area.y + 1, room, &Line::styled(text, theme.busy()));
        let text = "It checks its configuration and opens its ports. Then its engines are shown here as they load.";
        for (line, y) in wrap(text, usize::from(room)).iter().zip(area.y + 3..area.bottom()) {
            put(buffer, x, y, room, &Line::raw(line.as_str()));
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        match self.state {
            State::Failed(_) => vec![KeyHelp::new("Esc", "back"), KeyHelp::new("PgDn", "more")],
            _ => vec![KeyHelp::new("Ctrl-C", "leave")],
        }
    }

    fn back(&mut self) -> bool {
        // What has begun cannot be taken back from here: it is seen in a moment what came of it.
        !matches!(self.state, State::Failed(_))
    }

    fn would_lose(&self) -> Option<String> {
        let is_failed = matches!(self.state, State::Failed(_));
        (!is_failed).then(|| format!("The gateway `{}` is being started, and goes on in the background.", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::frame::Message;
    use crate::tui::testing::{Fake, compare};

    #[test]
    fn a_failure_is_told_with_its_log_and_a_success_opens_the_monitor() {
        let now = Instant::now();
        let what = Start::Saved("prod".to_owned());
        let fake = Arc::new(Fake::default());
        let mut starting = Starting::new(fake.clone(), what.clone());
        assert_eq!(format!("{:?}", starting.update(&Input::Opened, now)), "[Work(start)]");
        assert_eq!(format!("{:?}", starting.update(&Input::Opened, now)), "[]", "once");
        assert!(starting.back() && starting.would_lose().is_some());
        let tell = |came| Input::Message(Message::new(Told { what: what.clone(), came }));
        let other = Told { what: Start::Saved("other".to_owned()), came: Err("no".to_owned()) };
        starting.update(&Input::Message(Message::new(other)), now);
        compare(&starting, "", "starting");
        starting.update(&tell(Err("It ended.\nline 1\nport 8000 is taken".to_owned())), now);
        compare(&starting, "", "not-started");
        assert!(!starting.back() && starting.would_lose().is_none());
        let gateway = fake.attach(&crate::tui::machine::Running::default()).expect("a link");
        assert_eq!(format!("{:?}", starting.update(&tell(Ok(gateway)), now)), "[Replace(overview)]");
    }

    #[test]
    fn one_that_runs_already_is_shown_and_not_asked_about() {
        let now = Instant::now();
        let what = Start::Saved("prod".to_owned());
        let fake = Arc::new(Fake::default());
        let mut starting = Starting::new(fake.clone(), what.clone());
        let gateway = fake.attach(&crate::tui::machine::Running::default()).expect("a link");
        let came = Ok(Gateway { ran_before: true, ..gateway });
        let told = format!("{:?}", starting.update(&Input::Message(Message::new(Told { what, came })), now));
        assert!(told.contains("Replace(overview)") && told.contains("It ran already"), "{told}");
    }
}
