//! Bars and curves of one line.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::frame::Theme;

/// Parts of a column that a bar can fill.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of so many columns, full to a share of 0 to 1.
#[must_use]
pub fn bar(share: f64, columns: u16, style: Style, theme: &Theme) -> Line<'static> {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * f64::from(columns) * 8.0).round() as usize;
    // What is little is seen to be more than nothing.
    let eighths = if share > 0.0 { eighths.max(1) } else { eighths };
    let mut full: String = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        full.push(EIGHTHS[eighths % 8]);
    }
    let rest = usize::from(columns).saturating_sub(eighths.div_ceil(8));
    Line::from(vec![Span::styled(full, style), Span::styled("·".repeat(rest), theme.dim())])
}

/// A curve of the last values, the newest at the right; the highest one fills the line. `NaN`: not known.
#[must_use]
pub fn sparkline(values: &[f64], columns: u16, style: Style) -> Line<'static> {
    let columns = usize::from(columns);
    let shown = &values[values.len().saturating_sub(columns)..];
    let most = shown.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let height = |value: &f64| match value {
        value if !value.is_finite() => ' ',
        value if *value <= 0.0 || most <= 0.0 => HEIGHTS[0],
        value => HEIGHTS[((value / most * 7.0).round() as usize).min(7)],
    };
    let blanks = " ".repeat(columns.saturating_sub(shown.len()));
    Line::from(vec![Span::raw(blanks), Span::styled(shown.iter().map(height).collect::<String>(), style)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &Line<'_>) -> String {
        line.spans.iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn bars_have_their_width() {
        let theme = Theme::new(true, true);
        let drawn = |share| text(&bar(share, 4, theme.good(), &theme));
        assert_eq!(drawn(0.0), "····");
        assert_eq!(drawn(0.001), "▏···");
        assert_eq!(drawn(0.5), "██··");
        assert_eq!(drawn(0.6), "██▍·");
        assert_eq!(drawn(7.0), "████");
        assert_eq!(drawn(f64::NAN), "····");
    }

    #[test]
    fn curves_end_with_the_newest_value() {
        assert_eq!(text(&sparkline(&[0.0, 5.0, 10.0, f64::NAN, 10.0], 4, Style::new())), "▅█ █");
        assert_eq!(text(&sparkline(&[0.0, 0.0], 4, Style::new())), "  ▁▁");
        assert_eq!(text(&sparkline(&[], 2, Style::new())), "  ");
    }
}
