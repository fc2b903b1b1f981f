//! One picture of a gateway as text, for scripts and for where there is no terminal.

use std::time::Instant;

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::known::Known;
use super::log_lines::LogLines;
use super::view::{Shown, View};
use super::views::Overview;
use crate::api::{Client, ClientError, Event, EventKind, LogQuery};
use crate::tui::frame::Theme;

/// Lines of the gateway's log.
const LOG: usize = 5;

/// The overview as it is now, in so many columns.
///
/// # Errors
/// When the gateway does not answer.
pub fn once(client: &Client, columns: u16, theme: &Theme) -> Result<String, ClientError> {
    let mut known = Known::new(Instant::now());
    for message in client.events(None, &[EventKind::Snapshot])? {
        let event = message?.value;
        known.hear(&event);
        if matches!(event, Event::Snapshot(_)) {
            break;
        }
    }
    let wanted = LogQuery { from: Some("gateway".to_owned()), lines: Some(LOG), ..LogQuery::default() };
    client.logs(&wanted)?.lines.into_iter().for_each(|line| known.own_log.push(line));
    Ok(text(&known, columns, theme))
}

/// The overview as text, as high as it needs to be.
fn text(known: &Known, columns: u16, theme: &Theme) -> String {
    let gpus = known.gpus.inventory.gpus.len();
    let rows = known.models.len() + known.engines().count();
    let lines = (rows + gpus + known.own_log.len() + 8).max(5 * gpus.max(known.own_log.len()));
    let area = Rect::new(0, 0, columns.max(60), u16::try_from(lines).unwrap_or(u16::MAX));
    let mut buffer = Buffer::empty(area);
    let (logs, zone) = (LogLines::new(1), TimeZone::system());
    let shown = Shown { known, logs: &logs, log_error: None, request: None, zone: &zone };
    Overview::text().draw(&shown, area, &mut buffer, theme);
    theme.finish(&mut buffer);
    let mut text = String::new();
    for cells in buffer.content.chunks(usize::from(area.width)) {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        // Room for rows that are not there.
        if !line.trim().is_empty() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}
