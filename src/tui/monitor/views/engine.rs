//! One engine: how it is, why it failed, and its log.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::figures::{self, or_none};
use super::super::log_pane::LogPane;
use super::super::view::{Shown, View};
use super::super::wish::Wish;
use super::super::{actions, look};
use crate::api::{EngineState, EngineView, Failure, NextStep, ReportView, Starting, Target};
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{bar, clean, put, wrap};

/// Columns of names of facts.
const NAMES: usize = 11;

/// Lines that a sentence may take: its engine's log says all.
const SENTENCE: usize = 4;

/// Lines that its log has at least, with its heading.
const LOG: u16 = 4;

/// One engine.
#[derive(Debug)]
pub(in super::super) struct EngineScreen {
    id: String,
    log: LogPane,
}

impl EngineScreen {
    pub(in super::super) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), log: LogPane::default() }
    }
}

impl View for EngineScreen {
    fn title(&self) -> String {
        clean(&self.id)
    }

    fn key(&mut self, key: KeyEvent, shown: &Shown<'_>) -> Option<Wish> {
        // `l` would lead to what is here already.
        if key.code == KeyCode::Char('l') || self.log.key(key, shown.logs) {
            return None;
        }
        actions::wish(key, &Target::Engine(self.id.clone()), shown.known)
    }

    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let Some((engine, since)) = shown.known.engine(&self.id) else {
            let text = "There is no such engine any more: it was removed, or replaced. Esc goes back.";
            put(buffer, area.x + 1, area.y, area.width - 1, &Line::styled(text, theme.busy()));
            return;
        };
        let mut y = area.y;
        let has_others = shown.known.engines().nth(1).is_some();
        let facts = facts(engine, since.as_secs_f64(), area.width, theme);
        let trouble = trouble(engine, has_others, area.width, theme);
        for line in facts.into_iter().chain(trouble).take(usize::from(area.height.saturating_sub(LOG))) {
            put(buffer, area.x, y, area.width, &line);
            y += 1;
        }
        let heading = format!(" Log: {} ", self.log.state());
        let rest = usize::from(area.width).saturating_sub(heading.chars().count());
        put(buffer, area.x, y, area.width, &Line::styled(heading + &"─".repeat(rest), theme.dim()));
        let log = Rect { y: y + 1, height: area.bottom().saturating_sub(y + 1), ..area };
        match shown.log_error {
            Some(error) => put(buffer, log.x + 1, log.y, log.width - 1, &Line::styled(clean(error), theme.dim())),
            None => self.log.draw(shown.logs, false, log, buffer, theme),
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        let mut keys: Vec<KeyHelp> = actions::KEYS.into_iter().filter(|key| key.key != "l").collect();
        keys.extend(LogPane::KEYS);
        keys
    }

    fn follows(&self) -> Option<Option<String>> {
        Some(Some(self.id.clone()))
    }

    fn filter(&self) -> Option<&str> {
        Some(self.log.filter())
    }

    fn set_filter(&mut self, text: &str) {
        self.log.set_filter(text);
    }
}

/// A name, and what is known.
type Fact = (&'static str, Vec<Span<'static>>);

/// What is known of it, two facts a line.
fn facts(engine: &EngineView, since: f64, columns: u16, theme: &Theme) -> Vec<Line<'static>> {
    let rates = engine.rates.as_ref();
    let report = engine.report.as_ref();
    let history = &engine.history;
    let waiting = report.map(|report| format!(", {} waiting in it", figures::rounded(report.waiting)));
    let none_lately = || "no requests lately".to_owned();
    let tokens = rates.map_or_else(none_lately, |rates| {
        let (read, written) = (rates.prompt_tokens_per_second, rates.completion_tokens_per_second);
        format!("{} read, {} written /s", figures::count(read), figures::count(written))
    });
    let first = rates.and_then(|rates| rates.first_token_seconds).map_or_else(none_lately, |times| {
        let [p50, p95, p99] = [times.p50, times.p95, times.p99].map(figures::seconds);
        format!("p50 {p50} p95 {p95} p99 {p99}")
    });
    let slept = match (history.sleeps, history.wake_seconds) {
        (0, _) => "none yet".to_owned(),
        (count, None) => count.to_string(),
        (count, Some(seconds)) => format!("{count}, last woke in {}", figures::seconds(seconds)),
    };
    let raw = |text: String| vec![Span::raw(text)];
    let pairs = [
        (("State", look::engine(engine, theme)), ("For", raw(figures::age(since)))),
        (("Model", raw(clean(&engine.model))), ("Process", raw(process(engine)))),
        (("Address", raw(clean(&engine.url))), ("GPUs", raw(gpus(engine)))),
        (
            ("Requests", raw(format!("{} active{}", engine.in_flight, waiting.unwrap_or_default()))),
            ("KV cache", cache(report, theme)),
        ),
        (("Tokens", raw(tokens)), ("TTFT", raw(first))),
        (("Start took", raw(or_none(engine.start_seconds, figures::seconds))), ("Sleeps", raw(slept))),
    ];
    let half = usize::from(columns) / 2;
    let two = |(one, other): (Fact, Fact)| {
        let mut line = cut(fact(one.0, one.1, theme), half - 1);
        line.push_span(Span::raw(" ".repeat(half.saturating_sub(line.width()))));
        line.extend(fact(other.0, other.1, theme));
        line
    };
    pairs.into_iter().map(two).collect()
}

fn process(engine: &EngineView) -> String {
    match (engine.ours, engine.pid) {
        (false, _) => "run by somebody else".to_owned(),
        (true, Some(pid)) => {
            let restarts = usize::try_from(engine.restarts).unwrap_or(usize::MAX);
            format!("pid {pid}, {}", figures::counted(restarts, "restart"))
        }
        (true, None) => "none".to_owned(),
    }
}

fn gpus(engine: &EngineView) -> String {
    match (&engine.gpus, engine.ours) {
        (_, false) => "not known".to_owned(),
        (None, true) => "all that it sees".to_owned(),
        (Some(gpus), true) => clean(&gpus.join(", ")),
    }
}

/// How full the KV cache is, and how often something was found in it.
fn cache(report: Option<&ReportView>, theme: &Theme) -> Vec<Span<'static>> {
    let Some(report) = report else { return vec![Span::raw(figures::NONE)] };
    let mut cache = bar(report.kv_cache_usage, 6, theme.fullness(report.kv_cache_usage), theme).spans;
    let hits = (report.prefix_cache_queries > 0.0).then(|| report.prefix_cache_hits / report.prefix_cache_queries);
    let hits = hits.map_or_else(String::new, |hits| format!(", {} prefix hits", figures::percent(hits)));
    cache.push(Span::raw(format!(" {}{hits}", figures::percent(report.kv_cache_usage))));
    cache
}

fn fact(name: &str, value: Vec<Span<'static>>, theme: &Theme) -> Line<'static> {
    let mut line = Line::from(Span::styled(format!(" {name:NAMES$}"), theme.dim()));
    line.extend(value);
    line
}

/// The beginning of a line.
fn cut(line: Line<'static>, room: usize) -> Line<'static> {
    if line.width() <= room {
        return line;
    }
    let mut out = Line::default();
    for span in line.spans {
        let left = room.saturating_sub(out.width());
        if span.width() < left {
            out.push_span(span);
        } else {
            let text: String = span.content.chars().take(left.saturating_sub(1)).collect();
            out.push_span(Span::styled(text + "…", span.style));
            break;
        }
    }
    out
}

/// What there is to say of a state that is not well, or not yet.
fn trouble(engine: &EngineView, has_others: bool, columns: u16, theme: &Theme) -> Vec<Line<'static>> {
    match &engine.state {
        EngineState::Starting(starting) => start(starting, columns, theme),
        EngineState::Failed(failure) => failed(failure, has_others, columns, theme),
        EngineState::Unhealthy { problem } => sentences(&problem.to_string(), columns, theme.bad()),
        EngineState::Asleep(sleep) => {
            let freed = sleep.freed_bytes.map(|bytes| format!("{} GiB of GPU memory are free. ", figures::gib(bytes)));
            let took =
                sleep.took_seconds.map(|seconds| format!("It took {} to fall asleep. ", figures::seconds(seconds)));
            let text = format!("{}{}w wakes it.", freed.unwrap_or_default(), took.unwrap_or_default());
            sentences(&text, columns, theme.calm())
        }
        EngineState::Stopped => sentences("It is stopped. t starts it.", columns, theme.dim()),
        EngineState::Stopping { reason } => sentences(&reason.to_string(), columns, theme.busy()),
        EngineState::Ready => Vec::new(),
    }
}

fn start(starting: &Starting, columns: u16, theme: &Theme) -> Vec<Line<'static>> {
    let share = starting.progress.percent.map(|percent| f64::from(percent) / 100.0);
    let mut line = Line::raw(" ");
    if let Some(share) = share {
        line.extend(bar(share, columns / 3, theme.busy(), theme));
        line.push_span(Span::raw(" "));
    }
    line.push_span(Span::styled(clean(&starting.to_string()), theme.busy()));
    vec![line]
}

fn failed(failure: &Failure, has_others: bool, columns: u16, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = sentences(&failure.cause.to_string(), columns, theme.bad());
    lines.extend(sentences(&failure.next.to_string(), columns, theme.bad()));
    let what = match failure.next {
        NextStep::Restart { .. } => "x ends its restarts",
        NextStep::CrashLoop { .. } | NextStep::NoRestart => "t starts it again",
    };
    let others = if has_others { "; the other engines go on without it" } else { "" };
    lines.push(Line::styled(format!(" {what}{others}."), theme.dim()));
    lines
}

fn sentences(text: &str, columns: u16, style: crate::tui::frame::Style) -> Vec<Line<'static>> {
    let mut lines = wrap(&clean_lines(text), usize::from(columns).saturating_sub(3));
    if lines.len() > SENTENCE {
        lines.truncate(SENTENCE);
        lines.iter_mut().last().into_iter().for_each(|line| line.push('…'));
    }
    lines.into_iter().map(|line| Line::styled(format!(" {line}"), style)).collect()
}

fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}
