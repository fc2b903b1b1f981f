//! What a view of a gateway is.

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;

use super::known::Known;
use super::log_lines::LogLines;
use super::wish::Wish;
use crate::api::RequestView;
use crate::tui::frame::{KeyHelp, Theme};

/// What views show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'k> {
    /// What is known of the gateway.
    pub(super) known: &'k Known,
    /// The logs that the view follows.
    pub(super) logs: &'k LogLines,
    /// Why they cannot be followed.
    pub(super) log_error: Option<&'k str>,
    /// The request that is looked at, once all of it is there.
    pub(super) request: Option<&'k RequestView>,
    /// Times are shown as clocks here show them.
    pub(super) zone: &'k TimeZone,
}

/// One view. Views keep what is selected and what is filtered; what they show is [`Shown`].
pub(super) trait View {
    /// What it is called.
    fn title(&self) -> String;

    /// Acts on a key.
    fn key(&mut self, key: KeyEvent, shown: &Shown<'_>) -> Option<Wish>;

    /// Draws it.
    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme);

    /// Its keys.
    fn keys(&self) -> Vec<KeyHelp>;

    /// Which logs it follows: `None`: none; `Some(None)`: all.
    fn follows(&self) -> Option<Option<String>> {
        None
    }

    /// Whether it shows the requests that end.
    fn follows_requests(&self) -> bool {
        false
    }

    /// The request that it shows.
    fn request(&self) -> Option<&str> {
        None
    }

    /// What is left of what it shows.
    fn filter(&self) -> Option<&str> {
        None
    }

    /// Shows only what contains this.
    fn set_filter(&mut self, _text: &str) {}
}

/// Whether any of these texts contains the filter, in upper or lower case.
pub(super) fn fits(filter: &str, texts: &[&str]) -> bool {
    let filter = filter.to_lowercase();
    filter.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&filter))
}
