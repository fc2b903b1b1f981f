//! Requests that have ended, the newest first.

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::figures::{self, NONE, or_none};
use super::super::known::Known;
use super::super::look;
use super::super::view::{Shown, View, fits};
use super::super::wish::{Place, Wish};
use crate::api::RequestView;
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{Column, Row, Selection, Table, clean, put};

const COLUMNS: [Column; 11] = [
    Column::new("ENDED", 95),
    Column::new("STATUS", 99),
    Column::new("NAME", 98).flexible(14),
    Column::new("ENGINE", 70).flexible(12),
    Column::new("TTFT", 80).right(),
    Column::new("TIME", 90).right(),
    Column::new("IN", 60).right(),
    Column::new("OUT", 85).right(),
    Column::new("RETRIES", 40).right(),
    Column::new("CALLER", 30).flexible(6),
    Column::new("ERROR", 75).flexible(12).optional(),
];

/// Requests.
#[derive(Debug, Default)]
pub(in super::super) struct Requests {
    /// The selected one; `None`: the newest, whichever that is.
    selected: Option<String>,
    only_failed: bool,
    filter: String,
}

impl Requests {
    fn wanted<'k>(&self, known: &'k Known) -> Vec<&'k RequestView> {
        known.requests.iter().filter(|request| self.wants(request)).collect()
    }

    fn wants(&self, request: &RequestView) -> bool {
        let texts =
            [&request.alias, &request.model, &request.unknown_model, &request.engine, &request.caller, &request.error];
        let mut texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
        let status = request.status.to_string();
        texts.extend([request.id.as_str(), request.path.as_str(), status.as_str()]);
        (!self.only_failed || is_failed(request)) && fits(&self.filter, &texts)
    }

    /// Where the selected one is now.
    fn selection(&self, requests: &[&RequestView]) -> Selection {
        let selected = self.selected.as_ref().and_then(|id| requests.iter().position(|request| request.id == *id));
        Selection::new(selected.unwrap_or(0))
    }
}

fn is_failed(request: &RequestView) -> bool {
    request.status >= 400 || request.error.is_some()
}

impl View for Requests {
    fn title(&self) -> String {
        "requests".to_owned()
    }

    fn key(&mut self, key: KeyEvent, shown: &Shown<'_>) -> Option<Wish> {
        let requests = self.wanted(shown.known);
        let mut selection = self.selection(&requests);
        if selection.key(key, requests.len()) {
            let at = selection.of(requests.len()).filter(|at| *at > 0);
            self.selected = at.map(|at| requests[at].id.clone());
            return None;
        }
        match key.code {
            KeyCode::Enter => {
                let at = selection.of(requests.len())?;
                self.selected = Some(requests[at].id.clone());
                return Some(Wish::Open(Place::Request(requests[at].id.clone())));
            }
            KeyCode::Char('e') => self.only_failed = !self.only_failed,
            KeyCode::Char('f') => self.selected = None,
            KeyCode::Char('p' | ' ') => {
                self.selected = selection.of(requests.len()).map(|at| requests[at].id.clone());
            }
            _ => {}
        }
        None
    }

    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let requests = self.wanted(shown.known);
        let mut heading = if self.selected.is_none() {
            " following".to_owned()
        } else {
            " paused at the selected one, f follows".to_owned()
        };
        if self.only_failed {
            heading += ", only those that failed";
        }
        if !self.filter.is_empty() {
            heading += &format!(", only with `{}`", clean(&self.filter));
        }
        put(buffer, area.x, area.y, area.width, &Line::styled(heading, theme.dim()));
        let table = Rect { y: area.y + 1, height: area.height - 1, ..area };
        if requests.is_empty() {
            let none = if shown.known.requests.is_empty() { "No request has ended yet." } else { "No request fits." };
            put(buffer, table.x + 1, table.y + 1, table.width - 1, &Line::styled(none, theme.dim()));
        }
        let rows = requests.iter().map(|request| row(request, shown.zone, theme)).collect();
        Table::new(&COLUMNS, rows).draw(table, Some(self.selection(&requests)), buffer, theme);
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![
            KeyHelp::new("Enter", "open"),
            KeyHelp::new("e", "only failed ones"),
            KeyHelp::new("p", "pause"),
            KeyHelp::new("f", "follow"),
        ]
    }

    fn follows_requests(&self) -> bool {
        true
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn set_filter(&mut self, text: &str) {
        text.clone_into(&mut self.filter);
    }
}

/// The name that the caller said, as far as it is known.
pub(in super::super) fn name(request: &RequestView) -> &str {
    let names = [&request.alias, &request.model, &request.unknown_model];
    names.into_iter().flatten().next().map_or(NONE, String::as_str)
}

fn row(request: &RequestView, zone: &TimeZone, theme: &Theme) -> Row {
    let text = |text: &Option<String>| Line::raw(or_none(text.as_deref(), clean));
    let status = Line::styled(request.status.to_string(), look::status(request.status, theme));
    let error = request.error.as_deref().or(request.stream_end.as_deref().filter(|end| *end != "complete"));
    Row::new(vec![
        Line::raw(figures::clock(&request.ended, zone)),
        status,
        Line::raw(clean(name(request))),
        text(&request.engine),
        Line::raw(or_none(request.first_token_seconds, figures::seconds)),
        Line::raw(figures::seconds(request.seconds)),
        Line::raw(or_none(request.prompt_tokens, |tokens| tokens.to_string())),
        Line::raw(or_none(request.completion_tokens, |tokens| tokens.to_string())),
        Line::raw(request.retries.to_string()),
        text(&request.caller),
        Line::styled(clean(error.unwrap_or_default()), theme.bad()),
    ])
}
