//! The first and the last line of the window, and what is shown in one that is too small.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::screen::{Screen, Tone};
use super::theme::Theme;
use crate::tui::widgets::{LineEdit, put, width as width_of, wrap};

/// Lines that what was said takes at most.
const MOST_SAID: usize = 6;

/// What was said last.
pub(super) type Said = (Tone, String);

/// Which screens are open, and how the uppermost one is.
pub(super) fn first_line(area: Rect, titles: &[String], status: &Line<'_>, buffer: &mut Buffer, theme: &Theme) {
    let width = u16::try_from(status.width()).unwrap_or(u16::MAX).min(area.width / 2);
    let left = area.width.saturating_sub(width + 2);
    let mut line = Line::from(Span::styled(" enginehouse", theme.strong()));
    // The last one matters most.
    let columns = |titles: &[String]| titles.iter().map(|title| width_of(title) + 3).sum::<usize>() + line.width();
    let fits = |from: &usize| columns(&titles[*from..]) <= usize::from(left);
    let from = (0..titles.len()).find(fits).unwrap_or(titles.len().saturating_sub(1));
    for title in &titles[from..] {
        line.push_span(Span::styled(" › ", theme.dim()));
        line.push_span(Span::styled(title.clone(), theme.accent()));
    }
    put(buffer, area.x, area.y, left, &line);
    put(buffer, area.right().saturating_sub(width + 1), area.y, width, status);
}

/// What was said last, at the bottom of the window: in some lines where one is too short for it.
pub(super) fn said(area: Rect, (tone, text): &Said, buffer: &mut Buffer, theme: &Theme) {
    let (sign, style) = match tone {
        Tone::Note => (" ", theme.accent()),
        Tone::Good => (" ✓ ", theme.good()),
        Tone::Bad => (" ✗ ", theme.bad()),
    };
    let indent = u16::try_from(sign.chars().count()).unwrap_or(0);
    let mut lines = wrap(text, usize::from(area.width.saturating_sub(indent + 1)));
    lines.truncate(MOST_SAID);
    let top = area.bottom().saturating_sub(u16::try_from(lines.len()).unwrap_or(1)).max(area.y);
    for (line, y) in lines.iter().zip(top..area.bottom()) {
        put(buffer, area.x, y, area.width, &Line::raw(" ".repeat(usize::from(area.width))));
        put(buffer, area.x + indent, y, area.width.saturating_sub(indent), &Line::styled(line.as_str(), style));
    }
    put(buffer, area.x, top, indent, &Line::styled(sign, style));
}

/// The keys, as many as fit.
pub(super) fn last_line(area: Rect, screen: &dyn Screen, buffer: &mut Buffer, theme: &Theme) {
    let mut keys: Vec<(&str, &str)> = screen.keys().iter().map(|key| (key.key, key.what)).collect();
    if screen.filter().is_some() && !screen.takes_text() {
        keys.push(("/", "filter"));
    }
    if !screen.takes_text() && !screen.places().is_empty() {
        keys.push((":", "go to"));
    }
    // These are always there: the others give way.
    let common: &[(&str, &str)] = if screen.takes_text() { &[] } else { &[("?", "help"), ("q", "back")] };
    let width = |key: &(&str, &str)| key.0.chars().count() + key.1.chars().count() + 3;
    let mut room = usize::from(area.width).saturating_sub(common.iter().map(width).sum());
    keys.retain(|key| {
        let fits = width(key) <= room;
        room = if fits { room - width(key) } else { 0 };
        fits
    });
    let mut line = Line::default();
    for (key, what) in keys.iter().chain(common) {
        line.push_span(Span::styled(format!(" {key}"), theme.accent().patch(theme.strong())));
        line.push_span(Span::styled(format!(" {what} "), theme.dim()));
    }
    put(buffer, area.x, area.y, area.width, &line);
}

/// What is typed after `/`.
pub(super) fn filter_line(area: Rect, edit: &LineEdit, buffer: &mut Buffer, theme: &Theme) {
    put(buffer, area.x, area.y, 2, &Line::styled(" /", theme.accent()));
    edit.draw(Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area }, true, buffer, theme);
}

/// What is said in a window that the screens do not fit into.
pub(super) fn too_small(area: Rect, least: (u16, u16), buffer: &mut Buffer, theme: &Theme) {
    let lines = [
        format!("This window is {}x{}.", area.width, area.height),
        format!("At least {}x{} is needed:", least.0, least.1),
        "make it larger.".to_owned(),
        "q leaves.".to_owned(),
    ];
    let lines = lines.iter().flat_map(|line| wrap(line, usize::from(area.width)));
    for (line, y) in lines.zip(area.y..area.bottom()) {
        put(buffer, area.x, y, area.width, &Line::styled(line, theme.strong()));
    }
}
