//! One request: its times, its attempts, and its bodies where they are kept.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::figures::{self, or_none};
use super::super::look;
use super::super::view::{Shown, View};
use super::super::wish::Wish;
use super::requests::name;
use crate::api::{AttemptView, BodyView, RequestView};
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{Column, Row, Scroll, Table, clean, put, wrap};

const ATTEMPTS: [Column; 7] = [
    Column::new("ATTEMPT", 99).right(),
    Column::new("ENGINE", 98).flexible(10),
    Column::new("BEGAN", 90).right(),
    Column::new("ANSWERED", 80).right(),
    Column::new("ENDED", 85).right(),
    Column::new("STATUS", 70).right(),
    Column::new("OUTCOME", 95).flexible(8),
];

/// Bodies are cut to so many characters: they may be megabytes.
const MOST_OF_BODY: usize = 100_000;

/// One request.
#[derive(Debug)]
pub(in super::super) struct OneRequest {
    id: String,
    scroll: Scroll,
}

impl OneRequest {
    pub(in super::super) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), scroll: Scroll::default() }
    }
}

impl View for OneRequest {
    fn title(&self) -> String {
        format!("request {}", clean(&self.id))
    }

    fn key(&mut self, key: KeyEvent, _shown: &Shown<'_>) -> Option<Wish> {
        self.scroll.key(key);
        None
    }

    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let known = shown.known.requests.iter().find(|request| request.id == self.id);
        let Some(request) = shown.request.or(known) else {
            put(buffer, area.x + 1, area.y, area.width - 1, &Line::styled("It is asked for.", theme.dim()));
            return;
        };
        let mut y = area.y;
        for line in facts(request, shown, area.width, theme) {
            put(buffer, area.x, y, area.width, &line);
            y += 1;
        }
        let count = u16::try_from(request.attempts.len()).unwrap_or(16) + 1;
        let table = Rect { y: y + 1, height: count.min(area.bottom().saturating_sub(y + 1)), ..area };
        let rows = request.attempts.iter().map(|attempt| row(attempt, theme)).collect();
        Table::new(&ATTEMPTS, rows).draw(table, None, buffer, theme);
        let bodies = Rect { y: table.bottom() + 1, height: area.bottom().saturating_sub(table.bottom() + 1), ..area };
        let lines = [("Request", &request.request_body), ("Answer", &request.response_body)];
        let lines: Vec<Line<'_>> =
            lines.iter().flat_map(|(title, body)| body_lines(title, body.as_ref(), area.width, theme)).collect();
        self.scroll.draw_told(&lines, bodies, buffer, theme);
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("↑ ↓", "scroll the bodies")]
    }

    fn request(&self) -> Option<&str> {
        Some(&self.id)
    }
}

/// What is known of it, as many facts on a line as fit.
fn facts(request: &RequestView, shown: &Shown<'_>, columns: u16, theme: &Theme) -> Vec<Line<'static>> {
    let fact =
        |name: &'static str, value: String| vec![Span::styled(format!("{name} "), theme.dim()), Span::raw(value)];
    let text = |text: &Option<String>| or_none(text.as_deref(), clean);
    let seconds = |value: Option<f64>| or_none(value, figures::seconds);
    let mut first = vec![
        vec![
            Span::styled(format!("{} ", request.status), look::status(request.status, theme)),
            Span::raw(format!("{} {}", clean(&request.method), clean(&request.path))),
        ],
        fact("ended", figures::clock(&request.ended, shown.zone)),
        fact("after", figures::seconds(request.seconds)),
    ];
    first.extend(request.error.as_ref().map(|error| vec![Span::styled(clean(error), theme.bad())]));
    let count = |tokens: Option<u64>| or_none(tokens, |tokens| tokens.to_string());
    let estimated = if request.tokens_estimated { " (estimated)" } else { "" };
    let (read, written) = (count(request.prompt_tokens), count(request.completion_tokens));
    let others = [
        vec![
            fact("name", clean(name(request))),
            fact("model", text(&request.model)),
            fact("engine", text(&request.engine)),
            fact("caller", text(&request.caller)),
            fact("from", text(&request.client)),
        ],
        vec![
            fact("waited", figures::seconds(request.queue_seconds)),
            fact("first token", seconds(request.first_token_seconds)),
            fact("in the gateway", figures::seconds(request.overhead_seconds)),
            fact("stream", text(&request.stream_end)),
        ],
        vec![
            fact("tokens", format!("{read} read, {written} written{estimated}")),
            fact("cached", count(request.cached_tokens)),
            fact("bytes", format!("{} in, {} out", request.bytes_in, request.bytes_out)),
        ],
    ];
    std::iter::once(first).chain(others).flat_map(|facts| flowing(facts, usize::from(columns))).collect()
}

/// Facts one after the other; one that does not fit begins another line.
fn flowing(facts: Vec<Vec<Span<'static>>>, columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut line = Line::default();
    for fact in facts {
        let gap = if line.spans.is_empty() { " " } else { "  " };
        let width: usize = fact.iter().map(Span::width).sum();
        if !line.spans.is_empty() && line.width() + gap.len() + width > columns {
            lines.push(std::mem::take(&mut line));
            line.push_span(Span::raw("   "));
        } else {
            line.push_span(Span::raw(gap));
        }
        line.extend(fact);
    }
    lines.push(line);
    lines
}

fn row(attempt: &AttemptView, theme: &Theme) -> Row {
    let status = attempt.status.map_or_else(
        || Line::raw(figures::NONE),
        |status| Line::styled(status.to_string(), look::status(status, theme)),
    );
    Row::new(vec![
        Line::raw(attempt.number.to_string()),
        Line::raw(clean(&attempt.engine)),
        Line::raw(figures::seconds(attempt.began_seconds)),
        Line::raw(or_none(attempt.answered_seconds, figures::seconds)),
        Line::raw(figures::seconds(attempt.ended_seconds)),
        status,
        Line::raw(clean(&attempt.outcome)),
    ])
}

fn body_lines(title: &str, body: Option<&BodyView>, columns: u16, theme: &Theme) -> Vec<Line<'static>> {
    let Some(body) = body else {
        return vec![Line::styled(
            format!(" {title}: its body is not kept (`capture` of the alias keeps bodies)"),
            theme.dim(),
        )];
    };
    let cut = if body.cut { ", its beginning" } else { "" };
    let mut lines = vec![Line::styled(format!(" {title}: {} bytes{cut}", body.bytes), theme.strong())];
    let text: String = body.text.as_deref().unwrap_or("(no text)").chars().take(MOST_OF_BODY).collect();
    let text = text.lines().map(clean).collect::<Vec<_>>().join("\n");
    lines.extend(
        wrap(&text, usize::from(columns).saturating_sub(2)).into_iter().map(|line| Line::raw(format!(" {line}"))),
    );
    lines
}
