//! Frames around things.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{put, width};
use crate::tui::frame::Theme;

/// Draws a frame with a title along `area`; what is inside it.
pub fn panel(area: Rect, title: &str, buffer: &mut Buffer, theme: &Theme) -> Rect {
    if area.width < 2 || area.height < 2 {
        return Rect { width: 0, height: 0, ..area };
    }
    let style = theme.dim();
    let (left, right, top, bottom) = (area.x, area.right() - 1, area.y, area.bottom() - 1);
    for x in left..=right {
        buffer.set_string(x, top, "─", style);
        buffer.set_string(x, bottom, "─", style);
    }
    for y in top..=bottom {
        let (first, last) = match y {
            y if y == top => ("┌", "┐"),
            y if y == bottom => ("└", "┘"),
            _ => ("│", "│"),
        };
        buffer.set_string(left, y, first, style);
        buffer.set_string(right, y, last, style);
    }
    if !title.is_empty() {
        let title = Line::from(Span::styled(format!(" {title} "), theme.strong()));
        put(buffer, left + 1, top, area.width.saturating_sub(2), &title);
    }
    Rect { x: left + 1, y: top + 1, width: area.width - 2, height: area.height - 2 }
}

/// Draws an empty frame in the middle of `area`, for `size` columns and lines inside it; what is inside.
pub fn window(area: Rect, size: (usize, usize), title: &str, buffer: &mut Buffer, theme: &Theme) -> Rect {
    let side = |size: usize, most: u16| u16::try_from(size + 2).unwrap_or(u16::MAX).min(most);
    let (columns, lines) = (side(size.0.max(width(title) + 2), area.width), side(size.1, area.height));
    let place = Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + (area.height - lines) / 2,
        width: columns,
        height: lines,
    };
    for y in place.top()..place.bottom() {
        for x in place.left()..place.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
            }
        }
    }
    panel(place, title, buffer, theme)
}
