//! The gateways that run on this machine, to be attached to.

use std::sync::Arc;
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::list::List;
use crate::tui::frame::{Effect, Input, KeyHelp, Screen, Theme, Tone};
use crate::tui::machine::{Gateway, Machine, Running};
use crate::tui::monitor::Monitor;
use crate::tui::widgets::{Column, Row, Table, clean, put, wrap};

const COLUMNS: [Column; 4] = [
    Column::new("NAME", 9).flexible(12),
    Column::new("MODELS", 7).flexible(10),
    Column::new("OPERATORS", 6),
    Column::new("PID", 3).right(),
];

/// Gateways that run, as a thread found them.
pub(super) struct Heard(pub(super) Vec<Running>);

/// The way to one of them, or why there is none.
struct Found(Result<Gateway, String>);

/// Finds them on a thread.
pub(super) fn read(machine: &Arc<dyn Machine>) -> Effect {
    let machine = machine.clone();
    Effect::work("gateways", move |teller| {
        teller.tell(Heard(machine.running()));
    })
}

/// The list of them.
pub(super) struct Attach {
    machine: Arc<dyn Machine>,
    list: List<Running>,
}

impl Attach {
    pub(super) fn new(machine: Arc<dyn Machine>) -> Self {
        Self { machine, list: List::default() }
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let count = self.list.rows().len();
        if self.list.selection.key(key, count) {
            return Vec::new();
        }
        match (key.code, self.list.selected()) {
            (KeyCode::Enter, Some(running)) => {
                let (machine, running) = (self.machine.clone(), running.clone());
                vec![Effect::work("attach", move |teller| {
                    teller.tell(Found(machine.attach(&running)));
                })]
            }
            (KeyCode::Char('r'), _) => vec![read(&self.machine)],
            _ => Vec::new(),
        }
    }
}

impl Screen for Attach {
    fn title(&self) -> String {
        "running gateways".to_owned()
    }

    fn update(&mut self, input: &Input, _now: Instant) -> Vec<Effect> {
        match input {
            Input::Opened => vec![read(&self.machine)],
            Input::Key(key) => self.key(*key),
            Input::Message(message) => {
                if let Some(Heard(running)) = message.get() {
                    self.list.set(Ok(running.clone()));
                }
                match message.get::<Found>() {
                    Some(Found(Ok(gateway))) => {
                        let monitor = Monitor::new(gateway.link.clone(), &gateway.label, false);
                        vec![Effect::Push(Box::new(monitor))]
                    }
                    Some(Found(Err(why))) => vec![Effect::Say(Tone::Bad, clean(why))],
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let none = "No gateway runs on this machine that can be found here. `enginehouse top --admin URL` shows one on another \
                    machine, `enginehouse top --state-dir DIR` one with a state directory of its own.";
        if self.list.draw_none(none, area, buffer, theme) {
            return;
        }
        let row = |one: &Running| {
            let models = if one.models.is_empty() { "-".to_owned() } else { one.models.join(", ") };
            let cells = [&one.name, &models, &one.operators, &one.pid.to_string()];
            Row::new(cells.map(|text| Line::raw(clean(text))).to_vec())
        };
        let rows: Vec<Row> = self.list.rows().iter().map(row).collect();
        // Its file below the list: paths are long.
        let file = self.list.selected().map_or("", |one| one.file.as_str());
        let room = usize::from(area.width.saturating_sub(2));
        let file = wrap(&format!("Started with {}", clean(file)), room);
        let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let height = lines(rows.len() + 2).min(area.height.saturating_sub(lines(file.len())));
        Table::new(&COLUMNS, rows).draw(Rect { height, ..area }, Some(self.list.selection), buffer, theme);
        for (line, y) in file.iter().zip(area.y + height..area.bottom()) {
            put(buffer, area.x + 1, y, area.width - 1, &Line::styled(line.as_str(), theme.dim()));
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("Enter", "attach"), KeyHelp::new("r", "look again")]
    }
}
