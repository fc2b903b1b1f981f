//! The overview: rates, models with their engines, GPUs, and the last lines of the gateway's log.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::figures::{self, NONE, or_none};
use super::super::known::Known;
use super::super::view::{Shown, View, fits};
use super::super::wish::{Place, Wish};
use super::super::{actions, gpu_lines, log_pane, look};
use super::summary::summary;
use crate::api::{EngineState, EngineView, ModelView, Quantiles, Rates, RatesPoint, RollState, Target, Turn};
use crate::tui::frame::{KeyHelp, Style, Theme};
use crate::tui::widgets::{Column, Row, Selection, Table, clean, put, sparkline};

const COLUMNS: [Column; 12] = [
    Column::new("NAME", 99).flexible(20),
    Column::new("STATE", 98).flexible(21),
    Column::new("ACTIVE", 90).right(),
    Column::new("WAIT", 60).right(),
    Column::new("REQ/S", 50).right(),
    Column::new("TOK/S", 85).right(),
    Column::new("TTFT50", 80).right(),
    Column::new("TTFT95", 55).right(),
    Column::new("KV", 70).right(),
    Column::new("GPUS", 40).flexible(4),
    Column::new("FOR", 30).right(),
    Column::new("DETAIL", 10).flexible(12).optional(),
];

/// The overview.
#[derive(Debug, Default)]
pub(in super::super) struct Overview {
    selection: Selection,
    filter: String,
    /// Models whose engines are not shown.
    folded: BTreeSet<String>,
    /// Nothing can be selected: it is a text.
    is_text: bool,
}

/// What a row is about.
#[derive(Clone, Copy)]
enum Item<'k> {
    Model(&'k ModelView),
    Engine(&'k EngineView),
}

impl Item<'_> {
    fn target(&self) -> Target {
        match self {
            Self::Model(model) => Target::Model(model.model.clone()),
            Self::Engine(engine) => Target::Engine(engine.engine.clone()),
        }
    }
}

impl Overview {
    /// One in which nothing can be selected.
    pub(in super::super) fn text() -> Self {
        Self { is_text: true, ..Self::default() }
    }

    fn items<'k>(&self, known: &'k Known) -> Vec<Item<'k>> {
        let mut items = Vec::new();
        for model in &known.models {
            let whole = fits(&self.filter, &[&model.model]);
            let wanted = |engine: &&EngineView| whole || fits(&self.filter, &[&engine.engine, &look::words(engine)]);
            let engines: Vec<&EngineView> = known.engines_of(&model.model).filter(wanted).collect();
            if whole || !engines.is_empty() {
                items.push(Item::Model(model));
                if !self.folded.contains(&model.model) || !self.filter.is_empty() {
                    items.extend(engines.into_iter().map(Item::Engine));
                }
            }
        }
        items
    }

    /// What is done with the selected row when it is opened.
    fn open(&mut self, item: &Item<'_>, known: &Known) -> Option<Wish> {
        match item {
            Item::Engine(engine) => Some(Wish::Open(Place::Engine(engine.engine.clone()))),
            Item::Model(model) => {
                let mut engines = known.engines_of(&model.model);
                match (engines.next(), engines.next()) {
                    (Some(only), None) => Some(Wish::Open(Place::Engine(only.engine.clone()))),
                    _ => {
                        if !self.folded.remove(&model.model) {
                            self.folded.insert(model.model.clone());
                        }
                        None
                    }
                }
            }
        }
    }
}

impl View for Overview {
    fn title(&self) -> String {
        "overview".to_owned()
    }

    fn key(&mut self, key: KeyEvent, shown: &Shown<'_>) -> Option<Wish> {
        let items = self.items(shown.known);
        if self.selection.key(key, items.len()) {
            return None;
        }
        let item = items.get(self.selection.of(items.len())?)?;
        match key.code {
            KeyCode::Enter => self.open(item, shown.known),
            _ => actions::wish(key, &item.target(), shown.known),
        }
    }

    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let known = shown.known;
        put(buffer, area.x, area.y, area.width, &summary(known, area.width, theme));
        curves(known, Rect { y: area.y + 1, height: 1, ..area }, buffer, theme);
        let items = self.items(known);
        let [table, gpus, log] = parts(known, items.len(), area);
        let selected = self.selection.of(items.len()).and_then(|at| items.get(at)).filter(|_| !self.is_text);
        let told = match selected {
            Some(Item::Engine(engine)) => detail(engine, theme),
            Some(Item::Model(model)) => obstacle(model, theme),
            None => Line::default(),
        };
        put(buffer, area.x, area.y + 2, area.width, &told);
        let rows = items.iter().map(|item| row(item, known, &self.folded, theme)).collect();
        let selection = (!self.is_text).then_some(self.selection);
        Table::new(&COLUMNS, rows).draw(table, selection, buffer, theme);
        if items.is_empty() {
            let text = if self.filter.is_empty() { "There are no models yet." } else { "Nothing fits the filter." };
            put(buffer, table.x + 2, table.y + 1, table.width, &Line::styled(text, theme.dim()));
        }
        draw_gpus(known, gpus, buffer, theme);
        draw_log(known, log, buffer, theme);
    }

    fn keys(&self) -> Vec<KeyHelp> {
        let mut keys = vec![KeyHelp::new("Enter", "open, or fold a model")];
        keys.extend(actions::KEYS);
        keys
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn set_filter(&mut self, text: &str) {
        text.clone_into(&mut self.filter);
    }
}

/// Where the table, the GPUs and the log are. GPUs and log have a fifth of the window each where there is much to show; what the
/// table does not need is the log's.
fn parts(known: &Known, rows: usize, area: Rect) -> [Rect; 3] {
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let (room, fifth) = (usize::from(area.height.saturating_sub(3)), usize::from(area.height / 5));
    let gpus = known.gpus.inventory.gpus.len();
    let gpus = if gpus == 0 { 0 } else { gpus.min(fifth) + 1 };
    let least = fifth.min(known.own_log.len()) + 1;
    // Its heading, its rows, and a blank line below them.
    let table = (rows.max(1) + 2).min(room.saturating_sub(gpus + least));
    let table = Rect { y: area.y + 3, height: lines(table), ..area };
    let gpus = Rect { y: table.bottom(), height: lines(gpus), ..area };
    let log = Rect { y: gpus.bottom(), height: area.bottom().saturating_sub(gpus.bottom()), ..area };
    [table, gpus, log]
}

/// Tokens per second, and times to the first token, over the last minutes.
fn curves(known: &Known, area: Rect, buffer: &mut Buffer, theme: &Theme) {
    let Some(rates) = &known.rates else { return };
    let half = area.width / 2;
    let values = |of: fn(&RatesPoint) -> f64| rates.history.iter().map(of).collect::<Vec<f64>>();
    let tokens = figures::count(rates.all.completion_tokens_per_second);
    let times = rates.all.first_token_seconds;
    let times = format!(
        "{} · {}",
        or_none(times, |times| figures::seconds(times.p50)),
        or_none(times, |times| figures::seconds(times.p95))
    );
    let halves = [
        (" tok/s ", values(|point| point.completion_tokens_per_second), tokens, theme.good()),
        (" TTFT p50·p95 ", values(|point| point.first_token_p50_seconds.unwrap_or(f64::NAN)), times, theme.accent()),
    ];
    for ((heading, values, text, style), x) in halves.into_iter().zip([area.x, area.x + half]) {
        let fixed = u16::try_from(heading.len() + text.chars().count() + 3).unwrap_or(half);
        let mut line = Line::from(Span::styled(heading, theme.dim()));
        line.extend(sparkline(&values, half.saturating_sub(fixed), style));
        line.push_span(Span::styled(format!(" {text}"), theme.strong()));
        put(buffer, x, area.y, half, &line);
    }
}

fn row(item: &Item<'_>, known: &Known, folded: &BTreeSet<String>, theme: &Theme) -> Row {
    match item {
        Item::Model(model) => model_row(model, known, folded.contains(&model.model), theme),
        Item::Engine(engine) => engine_row(engine, known, theme),
    }
}

fn model_row(model: &ModelView, known: &Known, is_folded: bool, theme: &Theme) -> Row {
    let sign = match (model.engines.len(), is_folded) {
        (0 | 1, _) => "  ",
        (_, true) => "› ",
        (_, false) => "▾ ",
    };
    let name = Line::from(vec![Span::raw(sign), Span::styled(clean(&model.model), theme.strong())]);
    let rates = known.rates_of(&model.model);
    let times = rates.and_then(|rates| rates.first_token_seconds);
    // Not `sum`: of nothing that is -0.
    let reports = known.engines_of(&model.model).filter_map(|engine| engine.report);
    let here = f64::from(u32::try_from(model.waiting).unwrap_or(u32::MAX));
    let waiting = reports.fold(here, |all, report| all + report.waiting);
    let obstacle = model.on_demand.as_ref().and_then(|it| it.obstacle.as_deref());
    let detail = match (obstacle, model.adapters.len()) {
        (Some(why), _) => clean(why),
        (None, 0) => String::new(),
        (None, count) => figures::counted(count, "adapter"),
    };
    Row::new(vec![
        name,
        Line::from(model_state(model, theme)),
        Line::raw(figures::whole(model.in_flight)),
        Line::raw(figures::rounded(waiting)),
        Line::raw(rate(rates, known.rates.is_some(), |rates| rates.requests_per_second)),
        Line::raw(rate(rates, known.rates.is_some(), |rates| rates.completion_tokens_per_second)),
        Line::raw(quantile(times, |times| times.p50)),
        Line::raw(quantile(times, |times| times.p95)),
        Line::default(),
        Line::default(),
        Line::default(),
        Line::styled(detail, theme.dim()),
    ])
}

/// How many engines of a model are ready.
fn model_state(model: &ModelView, theme: &Theme) -> Vec<Span<'static>> {
    if let Some(roll) = model.roll.as_ref().filter(|roll| roll.state == RollState::Rolling) {
        return vec![Span::styled(format!("◐ rolling {}/{}", roll.done, roll.total), theme.busy())];
    }
    if let Some(on_demand) = model.on_demand.as_ref().filter(|it| it.turn != Turn::Loaded && !model.ready) {
        let is_stuck = on_demand.obstacle.is_some();
        let style = if is_stuck { theme.bad() } else { theme.dim() };
        return vec![Span::styled(model.state_words(), style)];
    }
    let all = model.wanted_replicas.unwrap_or(model.replicas).max(model.replicas);
    let text = format!("{}/{all} ready", model.ready_replicas);
    let style = if model.ready_replicas == 0 {
        theme.dim()
    } else if model.ready_replicas < all {
        theme.busy()
    } else {
        theme.good()
    };
    vec![Span::styled(text, style)]
}

fn engine_row(engine: &EngineView, known: &Known, theme: &Theme) -> Row {
    let rates = engine.rates.as_ref();
    let times = rates.and_then(|rates| rates.first_token_seconds);
    let may_serve = matches!(engine.state, EngineState::Ready | EngineState::Unhealthy { .. });
    let report = engine.report.as_ref();
    let usage = report.map(|report| report.kv_cache_usage);
    let usage = Line::styled(
        or_none(usage, figures::percent),
        usage.map_or_else(Style::default, |share| theme.fullness(share)),
    );
    let since = known.engine(&engine.engine).map_or(0.0, |(_, since)| since.as_secs_f64());
    Row::new(vec![
        Line::raw(format!("    {}", clean(&engine.engine))),
        Line::from(look::engine(engine, theme)),
        Line::raw(figures::whole(engine.in_flight)),
        Line::raw(or_none(report, |report| figures::rounded(report.waiting))),
        Line::raw(rate(rates, may_serve, |rates| rates.requests_per_second)),
        Line::raw(rate(rates, may_serve, |rates| rates.completion_tokens_per_second)),
        Line::raw(quantile(times, |times| times.p50)),
        Line::raw(quantile(times, |times| times.p95)),
        usage,
        Line::raw(match (&engine.gpus, engine.ours) {
            (Some(gpus), _) => clean(&gpus.join(",")),
            (None, true) => "all".to_owned(),
            (None, false) => NONE.to_owned(),
        }),
        Line::raw(figures::age(since)),
        Line::styled(clean(&engine.state.detail().unwrap_or_default()), theme.dim()),
    ])
}

/// What there is to say of an engine beyond a word.
fn detail(engine: &EngineView, theme: &Theme) -> Line<'static> {
    let text = engine.state.detail().map(|detail| format!(" {}: {}", clean(&engine.engine), clean(&detail)));
    Line::styled(text.unwrap_or_default(), look::style(&engine.state, theme))
}

/// Why a model cannot be loaded.
fn obstacle(model: &ModelView, theme: &Theme) -> Line<'static> {
    let why = model.on_demand.as_ref().and_then(|it| it.obstacle.as_deref());
    let text = why.map(|why| format!(" {} cannot be loaded: {}", clean(&model.model), clean(why)));
    Line::styled(text.unwrap_or_default(), theme.bad())
}

/// A rate; where none is told there were no requests lately, unless there could be none.
fn rate(rates: Option<&Rates>, could_be: bool, of: impl Fn(&Rates) -> f64) -> String {
    match rates {
        Some(rates) => figures::count(of(rates)),
        None if could_be => figures::count(0.0),
        None => NONE.to_owned(),
    }
}

fn quantile(times: Option<Quantiles>, of: impl Fn(&Quantiles) -> f64) -> String {
    or_none(times, |times| figures::seconds(of(&times)))
}

fn draw_gpus(known: &Known, area: Rect, buffer: &mut Buffer, theme: &Theme) {
    if area.height < 2 {
        return;
    }
    let gpus = &known.gpus.inventory.gpus;
    let room = usize::from(area.height - 1);
    let heading =
        if gpus.len() > room { format!(" GPUs: {room} of {}, all with 5", gpus.len()) } else { " GPUs".to_owned() };
    rule(area, &heading, buffer, theme);
    let columns = gpu_lines::Columns::of(gpus, area.width, area.width / 6);
    for (gpu, y) in gpus.iter().zip(area.y + 1..area.bottom()) {
        put(buffer, area.x, y, area.width, &gpu_lines::gpu(gpu, columns, theme));
    }
}

fn draw_log(known: &Known, area: Rect, buffer: &mut Buffer, theme: &Theme) {
    if area.height == 0 {
        return;
    }
    rule(area, " Log of the gateway", buffer, theme);
    let lines = known.own_log.last(known.own_log.end(), usize::from(area.height - 1), |_| true);
    for (line, y) in lines.iter().zip(area.y + 1..) {
        put(buffer, area.x, y, area.width, &log_pane::drawn(line, 0, 0, theme));
    }
}

/// A heading with a line behind it.
fn rule(area: Rect, heading: &str, buffer: &mut Buffer, theme: &Theme) {
    let rest = usize::from(area.width).saturating_sub(heading.chars().count() + 1);
    let line = Line::styled(format!("{heading} {}", "─".repeat(rest)), theme.dim());
    put(buffer, area.x, area.y, area.width, &line);
}
