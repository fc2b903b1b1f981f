//! Columns that fit the window: those that matter least are left out where there is no room, and one takes what is left.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::list::Selection;
use super::text::{put, width};
use crate::tui::frame::Theme;

/// Blanks between columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    heading: &'static str,
    /// The lower, the sooner it is left out.
    weight: u8,
    right: bool,
    /// It may be cut down to so many columns, and takes what is left.
    least: Option<usize>,
    /// It is left out where no row has anything in it.
    optional: bool,
}

impl Column {
    /// A column as wide as its widest cell; of those with the lowest `weight` the last one is left out first.
    #[must_use]
    pub const fn new(heading: &'static str, weight: u8) -> Self {
        Self { heading, weight, right: false, least: None, optional: false }
    }

    /// Figures: flush right.
    #[must_use]
    pub const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// It may be cut down to so many columns, where there is no room for all of it.
    #[must_use]
    pub const fn flexible(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// It is left out where no row has anything in it.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// A row: a cell for each column.
#[derive(Clone, Debug, Default)]
pub struct Row {
    cells: Vec<Line<'static>>,
}

impl Row {
    /// A row of these cells.
    #[must_use]
    pub fn new(cells: Vec<Line<'static>>) -> Self {
        Self { cells }
    }
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table<'c> {
    columns: &'c [Column],
    rows: Vec<Row>,
}

impl<'c> Table<'c> {
    /// A table of these rows.
    #[must_use]
    pub fn new(columns: &'c [Column], rows: Vec<Row>) -> Self {
        Self { columns, rows }
    }

    /// Draws it: a line of headings, and as many rows as fit. `selected`: the selected row is marked.
    pub fn draw(&self, area: Rect, selected: Option<Selection>, buffer: &mut Buffer, theme: &Theme) {
        if area.height == 0 {
            return;
        }
        let widths = self.widths(usize::from(area.width).saturating_sub(2));
        let headings = self.columns.iter().map(|column| Line::styled(column.heading, theme.dim())).collect();
        self.row(Rect { height: 1, ..area }, &Row::new(headings), &widths, buffer);
        let room = usize::from(area.height - 1);
        let shown = selected.unwrap_or_default().shown(self.rows.len(), room);
        let at = selected.and_then(|selected| selected.of(self.rows.len()));
        for (place, y) in shown.clone().zip(area.y + 1..area.bottom()) {
            let line = Rect { y, height: 1, ..area };
            self.row(line, &self.rows[place], &widths, buffer);
            if at == Some(place) {
                buffer.set_string(area.x, y, "▸", Style::new());
                buffer.set_style(line, theme.selected());
            }
        }
        // Rows that are not shown are told of where the headings are.
        let (above, below) = (shown.start, self.rows.len() - shown.end);
        if above + below > 0 {
            let text = format!(" {}-{} of {} ", shown.start + 1, shown.end, self.rows.len());
            let width = u16::try_from(text.len()).unwrap_or(area.width).min(area.width);
            let taken = widths.iter().flatten().map(|width| width + GAP).sum::<usize>();
            if taken + text.len() > usize::from(area.width) {
                return;
            }
            put(buffer, area.right() - width, area.y, width, &Line::from(Span::styled(text, theme.dim())));
        }
    }

    fn row(&self, line: Rect, row: &Row, widths: &[Option<usize>], buffer: &mut Buffer) {
        let mut x = usize::from(line.x) + 1;
        for ((cell, width), column) in row.cells.iter().zip(widths).zip(self.columns) {
            let Some(width) = *width else { continue };
            let blank = if column.right { width.saturating_sub(cell.width()) } else { 0 };
            let at = u16::try_from(x + blank).unwrap_or(u16::MAX);
            put(buffer, at, line.y, u16::try_from(width - blank).unwrap_or(u16::MAX), &fitted(cell, width));
            x += width + GAP;
        }
    }

    /// How wide each column is; `None`: it is left out.
    fn widths(&self, room: usize) -> Vec<Option<usize>> {
        let wanted = |(place, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(place)).map(Line::width);
            let widest = cells.max().unwrap_or(0);
            (widest > 0 || !column.optional).then(|| widest.max(column.heading.chars().count()))
        };
        let mut widths: Vec<Option<usize>> = self.columns.iter().enumerate().map(wanted).collect();
        let total = |widths: &[Option<usize>], least: bool| {
            let one = |(width, column): (&Option<usize>, &Column)| {
                width.map(|width| GAP + column.least.filter(|_| least).map_or(width, |least| least.min(width)))
            };
            widths.iter().zip(self.columns).filter_map(one).sum::<usize>().saturating_sub(GAP)
        };
        while total(&widths, true) > room {
            let left = widths.iter().enumerate().filter(|(_, width)| width.is_some()).map(|(place, _)| place);
            let lightest = left.rev().min_by_key(|place| self.columns[*place].weight);
            match lightest {
                Some(place) if widths.iter().flatten().count() > 1 => widths[place] = None,
                _ => break,
            }
        }
        // What is missing is taken from those that may be cut, the widest first.
        while total(&widths, false) > room {
            let can_give = |(place, width): (usize, &Option<usize>)| {
                let (width, least) = ((*width)?, self.columns[place].least?);
                (width > least).then_some((width, place))
            };
            let Some((width, place)) = widths.iter().enumerate().filter_map(can_give).max() else { break };
            widths[place] = Some(width - 1);
        }
        widths
    }
}

/// A cell in so many columns. That of an engine (`model/0`) keeps its number, which tells it from the others of its model.
fn fitted(cell: &Line<'static>, columns: usize) -> Line<'static> {
    let number = |span: &Span<'static>| {
        let at = span.content.rfind('/')?;
        let digits = &span.content[at + 1..];
        (!digits.is_empty() && digits.len() < 5 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(at)
    };
    let last = cell.spans.last().and_then(|span| Some((span, number(span)?)));
    let Some((span, at)) = last.filter(|_| cell.width() > columns) else { return cell.clone() };
    let end = &span.content[at..];
    let room = columns.saturating_sub(end.len() + 1);
    let mut out = Line::from(cell.spans[..cell.spans.len() - 1].to_vec());
    let left = room.saturating_sub(out.width());
    let mut begin = span.content[..at].to_owned();
    while width(&begin) > left {
        begin.pop();
    }
    out.push_span(Span::styled(format!("{begin}…{end}"), span.style));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(columns: &[Column], rows: &[&[&str]], size: (u16, u16), at: usize) -> Vec<String> {
        let rows =
            rows.iter().map(|row| Row::new(row.iter().map(|cell| Line::raw((*cell).to_owned())).collect())).collect();
        let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
        Table::new(columns, rows).draw(buffer.area, Some(Selection::new(at)), &mut buffer, &Theme::new(true, true));
        let line = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..size.1).map(line).collect()
    }

    #[test]
    fn what_matters_least_gives_way() {
        let columns = [
            Column::new("NAME", 9).flexible(4),
            Column::new("STATE", 8),
            Column::new("IN", 2).right(),
            Column::new("OUT", 5).right(),
        ];
        let rows: &[&[&str]] = &[&["a-long-name", "ready", "1", "2.5"], &["b", "asleep", "12", "0"]];
        assert_eq!(
            drawn(&columns, rows, (40, 3), 1),
            [" NAME         STATE   IN  OUT", " a-long-name  ready    1  2.5", "▸b            asleep  12    0"]
        );
        assert_eq!(
            drawn(&columns, rows, (25, 3), 0),
            [" NAME    STATE   IN  OUT", "▸a-lon…  ready    1  2.5", " b       asleep  12    0"]
        );
        assert_eq!(drawn(&columns, rows, (20, 2), 0), [" NAME   STATE   OUT", "▸a-lo…  ready   2.5"]);
        assert_eq!(drawn(&columns, rows, (8, 3), 0)[1], "▸a-lon…");
    }

    #[test]
    fn engines_keep_their_numbers_and_columns_without_anything_are_left_out() {
        let columns = [Column::new("ENGINE", 9).flexible(4), Column::new("ERROR", 2).optional()];
        let lines =
            drawn(&columns, &[&["a-long-name/0", ""], &["模型模型模型/12", ""], &["org/long-model", ""]], (12, 4), 9);
        assert_eq!(lines, [" ENGINE", " a-long-…/0", " 模 型 模 …/12", "▸org/long-…"]);
    }

    #[test]
    fn the_selected_row_is_in_sight() {
        let rows: Vec<[&str; 1]> = ["r0", "r1", "r2", "r3", "r4", "r5", "r6"].map(|name| [name]).to_vec();
        let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
        let lines = drawn(&[Column::new("N", 1)], &rows, (20, 4), 5);
        assert_eq!(lines, [" N         5-7 of 7", " r4", "▸r5", " r6"]);
    }
}
