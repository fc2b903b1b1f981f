//! Aliases: where they lead, and what they change.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::known::Known;
use super::super::view::{Shown, View, fits};
use super::super::wish::{Place, Wish};
use crate::api::{AliasView, Origin};
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{Column, Row, Scroll, Selection, Table, clean, panel, put, wrap};

const COLUMNS: [Column; 5] = [
    Column::new("ALIAS", 99).flexible(10),
    Column::new("LEADS TO", 98).flexible(12),
    Column::new("CHANGES", 60).right(),
    Column::new("LISTENS ON", 40).flexible(8).optional(),
    Column::new("FROM", 50),
];

/// Aliases.
#[derive(Debug, Default)]
pub(in super::super) struct Aliases {
    selection: Selection,
    filter: String,
    /// How far the text of the selected one is scrolled.
    scroll: Scroll,
}

impl Aliases {
    fn wanted<'k>(&self, known: &'k Known) -> Vec<&'k AliasView> {
        known.aliases.iter().filter(|alias| fits(&self.filter, &[&alias.alias, &alias.model])).collect()
    }
}

impl View for Aliases {
    fn title(&self) -> String {
        "aliases".to_owned()
    }

    fn key(&mut self, key: KeyEvent, shown: &Shown<'_>) -> Option<Wish> {
        let aliases = self.wanted(shown.known);
        // Page keys are for the text; Ctrl-F and Ctrl-B go through the list by pages.
        if self.scroll.page_key(key) {
            return None;
        }
        if self.selection.key(key, aliases.len()) {
            self.scroll = Scroll::default();
            return None;
        }
        let alias = aliases.get(self.selection.of(aliases.len())?)?;
        let engine = shown.known.engines_of(&alias.model).next();
        match key.code {
            KeyCode::Enter => engine.map(|engine| Wish::Open(Place::Engine(engine.engine.clone()))),
            _ => None,
        }
    }

    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let aliases = self.wanted(shown.known);
        let selected = self.selection.of(aliases.len()).and_then(|at| aliases.get(at));
        let rows: Vec<Row> = aliases.iter().map(|alias| row(alias, theme)).collect();
        // The text has what the list does not need, and a third of the window at least.
        let wanted = u16::try_from(rows.len() + 2).unwrap_or(u16::MAX);
        let table = Rect { height: wanted.min(area.height - (area.height / 3).max(6)), ..area };
        Table::new(&COLUMNS, rows).draw(table, Some(self.selection), buffer, theme);
        let Some(alias) = selected else {
            let none =
                if shown.known.aliases.is_empty() { "There are no aliases." } else { "No alias fits the filter." };
            put(buffer, area.x + 1, area.y + 1, area.width - 1, &Line::styled(none, theme.dim()));
            return;
        };
        let texts = said(alias);
        let room = usize::from(area.width.saturating_sub(4));
        let lines: Vec<Line<'_>> = texts.iter().flat_map(|text| wrap(text, room)).map(Line::raw).collect();
        let wanted = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
        let place = Rect { y: table.bottom(), height: wanted.min(area.bottom() - table.bottom()), ..area };
        let inner = panel(place, &clean(&alias.alias), buffer, theme);
        let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
        self.scroll.draw_told(&lines, inner, buffer, theme);
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("Enter", "open an engine of its model"), KeyHelp::new("PgDn", "more of its text")]
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn set_filter(&mut self, text: &str) {
        text.clone_into(&mut self.filter);
    }
}

fn row(alias: &AliasView, theme: &Theme) -> Row {
    let from = match alias.origin {
        Origin::File => "file",
        Origin::Overlay => "overlay",
    };
    let hidden = if alias.hidden { " (hidden)" } else { "" };
    Row::new(vec![
        Line::raw(clean(&alias.alias) + hidden),
        Line::styled(leads_to(alias), theme.accent()),
        Line::raw(alias.changes.len().to_string()),
        Line::raw(alias.listen.as_deref().map_or_else(String::new, clean)),
        Line::raw(from),
    ])
}

/// The model, or the parts of a split, and what takes over.
fn leads_to(alias: &AliasView) -> String {
    let mut text = if alias.split.is_empty() {
        clean(&alias.model)
    } else {
        let parts: Vec<String> =
            alias.split.iter().map(|part| format!("{} {}", part.weight, clean(&part.name))).collect();
        parts.join(" + ")
    };
    for place in &alias.fallback {
        text += &format!(", else {}", clean(place));
    }
    text
}

/// All there is to say of it.
fn said(alias: &AliasView) -> Vec<String> {
    let mut said = vec![format!("leads to {}", leads_to(alias))];
    said.extend(alias.mirror.as_ref().map(|mirror| format!("copies of some requests go to {}", clean(mirror))));
    said.extend(alias.capture.as_ref().map(|capture| {
        let masked = if capture.mask.is_empty() {
            String::new()
        } else {
            format!(", without {}", clean(&capture.mask.join(", ")))
        };
        format!("the bodies of its newest {} requests are kept for operators{masked}", capture.requests)
    }));
    if alias.changes.is_empty() {
        said.push("changes nothing in requests".to_owned());
    }
    said.extend(alias.changes.iter().map(|change| clean(change)));
    said
}
