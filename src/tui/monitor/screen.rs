//! The monitor: views of one gateway, one above the other, and what they have done.

use std::time::Instant;

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::figures;
use super::following::Following;
use super::known::{Connection, Known};
use super::link::{self, Link};
use super::log_lines::LogLines;
use super::news::News;
use super::questions::{Answer, Question};
use super::view::{Shown, View};
use super::views::{Aliases, EngineScreen, Gpus, Logs, OneRequest, Operations, Overview, Requests};
use super::wish::{Order, Place, Wish};
use crate::api::{EngineState, Event, RequestView};
use crate::tui::frame::{Effect, Input, KeyHelp, Screen, Teller, Theme, Tone};
use crate::tui::widgets::{clean, put, wrap};

/// Lines of logs that are kept.
const LINES: usize = 5000;

/// Shows a gateway that runs.
pub struct Monitor {
    link: Link,
    label: String,
    /// Whether its user is asked what becomes of the gateway when the interface ends.
    owns: bool,
    known: Known,
    logs: LogLines,
    log_error: Option<String>,
    following: Following,
    request: Option<RequestView>,
    views: Vec<Box<dyn View>>,
    question: Option<Question>,
    /// Engines whose failure was told in a question.
    told_failures: Vec<String>,
    zone: TimeZone,
    has_begun: bool,
}

impl Monitor {
    /// A monitor of the gateway that `link` leads to; `label`: what it is called, for people. `owns`: the interface has started it, and asks
    /// what becomes of it before it ends.
    #[must_use]
    pub fn new(link: Link, label: &str, owns: bool) -> Self {
        Self {
            link,
            label: label.to_owned(),
            owns,
            known: Known::new(Instant::now()),
            logs: LogLines::new(LINES),
            log_error: None,
            following: Following::default(),
            request: None,
            views: vec![Box::new(Overview::default())],
            question: None,
            told_failures: Vec::new(),
            zone: TimeZone::system(),
            has_begun: false,
        }
    }

    fn hear(&mut self, news: &News) -> Vec<Effect> {
        match news {
            News::Connected => self.known.connected(),
            News::Lost(why) => self.known.lost(why.clone()),
            News::Event(event) => {
                self.known.hear(event);
                self.ask_of_failures();
                if matches!(**event, Event::Reload(_)) {
                    return vec![self.ask("aliases", link::aliases)];
                }
            }
            News::OwnLog(lines) => self.known.own_log_was(lines),
            News::LogFollowed(number) if self.following.has_logs(*number) => {
                self.log_error = None;
                self.logs.again(link::LINES);
            }
            News::Log(number, line) if self.following.has_logs(*number) => self.logs.push(line.clone()),
            News::LogLost(number, why) if self.following.has_logs(*number) => self.log_error = Some(why.clone()),
            News::Log(..) | News::LogFollowed(_) | News::LogLost(..) => {}
            News::Requests(requests) => self.known.requests_were(requests),
            News::Request(request) => self.request = Some((**request).clone()),
            News::Aliases(aliases) => self.known.aliases.clone_from(aliases),
            News::Done(text) => return vec![Effect::Say(Tone::Good, format!("begun: {}", clean(text)))],
            News::NotDone(why) => return vec![Effect::Say(Tone::Bad, clean(why))],
            News::ShutDown => {
                let text = "The gateway ends: it finishes its requests, and its engines end.";
                return vec![Effect::End(Some(text.to_owned()))];
            }
        }
        Vec::new()
    }

    /// Who has just started a gateway is asked what becomes of it when an engine fails: once for each engine.
    fn ask_of_failures(&mut self) {
        if !self.owns || self.question.is_some() {
            return;
        }
        let failed = self.known.engines().find_map(|engine| match &engine.state {
            EngineState::Failed(failure) if !self.told_failures.contains(&engine.engine) => {
                Some((engine.engine.clone(), Question::failed(&engine.engine, failure)))
            }
            _ => None,
        });
        if let Some((id, question)) = failed {
            self.told_failures.push(id);
            self.question = Some(question);
        }
    }

    /// Asks the gateway on a thread.
    fn ask(&self, name: &'static str, ask: fn(&Link, &Teller)) -> Effect {
        let link = self.link.clone();
        Effect::work(name, move |teller| ask(&link, teller))
    }

    fn order(&self, order: Order) -> Vec<Effect> {
        let link = self.link.clone();
        vec![Effect::work("order", move |teller| link::order(&link, &order, teller))]
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if let Some(mut question) = self.question.take() {
            let answer = question.key(key, &self.known);
            if matches!(answer, Answer::Open | Answer::Wrong(_)) {
                self.question = Some(question);
            }
            return self.answered(answer);
        }
        if key.code == KeyCode::Char('x') && key.modifiers.contains(KeyModifiers::CONTROL) {
            self.question = Some(Question::shut_down(&self.known));
            return Vec::new();
        }
        if let KeyCode::Char(digit @ '1'..='9') = key.code {
            let place = (digit as usize).checked_sub('1' as usize).and_then(|at| Place::NAMED.get(at));
            return place.map(|(_, place)| self.go(place)).unwrap_or_default();
        }
        let Some(mut view) = self.views.pop() else { return Vec::new() };
        let wish = view.key(key, &self.shown());
        self.views.push(view);
        wish.map(|wish| self.grant(wish)).unwrap_or_default()
    }

    fn answered(&mut self, answer: Answer) -> Vec<Effect> {
        match answer {
            Answer::Open | Answer::Nothing => Vec::new(),
            Answer::Wish(wish) => self.grant(wish),
            Answer::Do(order) => self.order(order),
            Answer::ShutDown => vec![self.ask("shut down", link::shut_down)],
            Answer::Leave => vec![Effect::End(Some(self.goes_on()))],
            Answer::Wrong(text) => vec![Effect::Say(Tone::Bad, text)],
        }
    }

    fn goes_on(&self) -> String {
        let name = self.known.status.as_ref().map(|(status, _)| clean(&status.name)).filter(|name| !name.is_empty());
        let named = name.map_or_else(String::new, |name| format!(" --name {name}"));
        format!("{} goes on running. `enginehouse top{named}` shows it again.", self.label)
    }

    fn grant(&mut self, wish: Wish) -> Vec<Effect> {
        match wish {
            Wish::Open(place) => return self.open(&place),
            Wish::Ask(verb, target) => self.question = Some(Question::act(verb, target, &self.known)),
            Wish::AskScale(model) => self.question = Some(Question::scale(model, &self.known)),
            Wish::Menu(target) => self.question = Some(Question::menu(target, &self.known)),
            Wish::AskCancel(id) => self.question = Question::cancel(id, &self.known),
            Wish::Say(text) => return vec![Effect::Say(Tone::Note, text)],
        }
        Vec::new()
    }

    /// Goes to a view from the first one on.
    fn go(&mut self, place: &Place) -> Vec<Effect> {
        self.views.truncate(1);
        if *place == Place::Overview { Vec::new() } else { self.open(place) }
    }

    /// Opens a view above the present one.
    fn open(&mut self, place: &Place) -> Vec<Effect> {
        let view: Box<dyn View> = match place {
            Place::Overview => Box::new(Overview::default()),
            Place::Logs(from) => Box::new(Logs::new(from.clone())),
            Place::Requests => Box::new(Requests::default()),
            Place::Request(id) => Box::new(OneRequest::new(id)),
            Place::Aliases => Box::new(Aliases::default()),
            Place::Gpus => Box::new(Gpus::default()),
            Place::Operations => Box::new(Operations::default()),
            Place::Engine(id) => Box::new(EngineScreen::new(id)),
        };
        self.views.push(view);
        let Place::Request(id) = place else { return Vec::new() };
        self.request = None;
        let (link, id) = (self.link.clone(), id.clone());
        vec![Effect::work("request", move |teller| link::request(&link, &id, teller))]
    }

    /// Follows what the views show, and nothing else.
    fn follow(&mut self) -> Vec<Effect> {
        let logs = self.views.last().and_then(|view| view.follows());
        let requests = self.views.iter().any(|view| view.follows_requests());
        let mut effects = Vec::new();
        if let Some(effect) = self.following.logs(logs, &self.link) {
            self.logs.clear();
            self.log_error = None;
            effects.extend(effect);
        }
        effects.extend(self.following.requests(requests, &self.link));
        if self.known.is_deaf() {
            self.known.lost("nothing was heard for too long".to_owned());
            effects.push(self.following.events(&self.link));
        }
        effects
    }

    fn shown(&self) -> Shown<'_> {
        let request = self.request.as_ref();
        let request =
            request.filter(|request| self.views.last().and_then(|view| view.request()) == Some(request.id.as_str()));
        Shown { known: &self.known, logs: &self.logs, log_error: self.log_error.as_deref(), request, zone: &self.zone }
    }

    fn view(&self) -> Option<&dyn View> {
        self.views.last().map(|view| &**view)
    }

    /// What is shown while nothing is known of the gateway.
    fn draw_nothing(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let (style, text) = match &self.known.connection {
            Connection::Down { why, .. } => {
                (theme.bad(), format!("{} does not answer: {}. It is tried again.", self.label, clean(why)))
            }
            _ => (theme.busy(), format!("Connecting to {} …", self.label)),
        };
        let room = usize::from(area.width.saturating_sub(4));
        for (line, y) in wrap(&text, room).iter().zip(area.y + area.height / 3..area.bottom()) {
            put(buffer, area.x + 2, y, area.width - 2, &Line::styled(line.as_str(), style));
        }
    }
}

impl Screen for Monitor {
    fn title(&self) -> String {
        let titles: Vec<String> = self.views.iter().map(|view| view.title()).collect();
        titles.join(" › ")
    }

    fn update(&mut self, input: &Input, now: Instant) -> Vec<Effect> {
        self.known.now = now;
        let mut effects = match input {
            Input::Opened if !self.has_begun => {
                self.has_begun = true;
                vec![self.following.events(&self.link)]
            }
            Input::Message(message) => message.get::<News>().map(|news| self.hear(news)).unwrap_or_default(),
            Input::Key(key) => self.key(*key),
            Input::Paste(text) => {
                if let Some(question) = &mut self.question {
                    question.paste(text);
                }
                Vec::new()
            }
            Input::Opened | Input::Tick | Input::Resize | Input::End => Vec::new(),
        };
        effects.extend(self.follow());
        effects
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        if self.known.is_known() {
            let mut area = area;
            if let Connection::Down { why, .. } = &self.known.connection {
                area.height -= 1;
                let text = format!(" ✗ The connection is lost, what is shown is old ({})", clean(why));
                put(buffer, area.x, area.bottom(), area.width, &Line::styled(text, theme.bad()));
            }
            if let Some(view) = self.view() {
                view.draw(&self.shown(), area, buffer, theme);
            }
        } else {
            self.draw_nothing(area, buffer, theme);
        }
        if let Some(question) = &self.question {
            question.draw(area, buffer, theme);
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        if let Some(question) = &self.question {
            return question.keys();
        }
        self.view().map(|view| view.keys()).unwrap_or_default()
    }

    fn help(&self) -> Vec<String> {
        vec![
            "1 overview, 2 logs, 3 requests, 4 aliases, 5 GPUs, 6 operations. Ctrl-X shuts the gateway down.".to_owned(),
            "● ready  ◐ starting  ◌ stopping  ☾ asleep  ○ stopped  ▲ unhealthy  ✗ failed".to_owned(),
            "ACTIVE: requests under way. WAIT: requests that wait in the engine. TTFT50, TTFT95: time to the first token, median and \
             95th percentile of the last minute. KV: share of the KV cache in use. FOR: time in this state."
                .to_owned(),
        ]
    }

    fn status(&self) -> Line<'static> {
        let theme = Theme::new(true, true);
        let gateway = self.known.status.as_ref().map(|(status, _)| status);
        let name = gateway.map_or_else(|| self.label.clone(), |gateway| clean(&gateway.name));
        let (sign, style, text) = match (&self.known.connection, self.known.silence()) {
            (Connection::Connecting, _) => ("◐", theme.busy(), "connecting".to_owned()),
            (Connection::Down { since, .. }, _) => {
                let ago = self.known.now.duration_since(*since).as_secs_f64();
                ("✗", theme.bad(), format!("connection lost, trying again ({})", figures::age(ago)))
            }
            (Connection::Up, Some(silence)) => {
                ("▲", theme.bad(), format!("no news for {}", figures::age(silence.as_secs_f64())))
            }
            (Connection::Up, None) => {
                let version = gateway.map_or_else(String::new, |gateway| format!(" {}", clean(&gateway.version)));
                let uptime =
                    self.known.uptime().map_or_else(String::new, |uptime| format!(" up {}", figures::age(uptime)));
                ("●", theme.good(), format!("{name}{version}{uptime}"))
            }
        };
        Line::from(vec![Span::styled(sign, style), Span::raw(" "), Span::raw(text)])
    }

    fn takes_text(&self) -> bool {
        self.question.is_some()
    }

    fn back(&mut self) -> bool {
        let is_deep = self.views.len() > 1;
        if is_deep {
            self.views.pop();
            return true;
        }
        if self.owns && self.known.connection == Connection::Up {
            self.question = Some(Question::leave(&self.known));
            return true;
        }
        false
    }

    fn leave(&mut self) -> Vec<Effect> {
        // Asked twice, the interface is to end; the gateway is not.
        if self.owns && self.known.connection == Connection::Up && !matches!(self.question, Some(Question::Leave(_))) {
            self.question = Some(Question::leave(&self.known));
            return Vec::new();
        }
        vec![Effect::End(self.owns.then(|| self.goes_on()))]
    }

    fn places(&self) -> Vec<String> {
        let named = Place::NAMED.iter().map(|(name, _)| (*name).to_owned());
        let models = self.known.models.iter().map(|model| model.model.clone());
        named.chain(models).chain(self.known.engines().map(|engine| engine.engine.clone())).collect()
    }

    fn jump(&mut self, place: &str) -> Vec<Effect> {
        let named = Place::NAMED.iter().find(|(name, _)| *name == place).map(|(_, place)| place.clone());
        let engine = || self.known.engine(place).map(|(engine, _)| engine.engine.clone());
        let of_model = || self.known.engines_of(place).next().map(|engine| engine.engine.clone());
        let place = named.or_else(|| engine().or_else(of_model).map(Place::Engine));
        let mut effects = place.map(|place| self.go(&place)).unwrap_or_default();
        effects.extend(self.follow());
        effects
    }

    fn filter(&self) -> Option<&str> {
        self.view().and_then(|view| view.filter())
    }

    fn set_filter(&mut self, text: &str) {
        if let Some(view) = self.views.last_mut() {
            view.set_filter(text);
        }
    }
}

#[cfg(test)]
#[path = "screen/tests.rs"]
mod tests;
