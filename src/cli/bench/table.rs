//! Numbers and tables as people read them; pure.

/// A number with about three digits that matter, and thousands apart.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".into(),
        size if size >= 99.95 => grouped(value.round()),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A count with thousands apart.
pub(super) fn count(value: u64) -> String {
    grouped(value as f64)
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Rows with their first cells to the left and all others to the right, each line after `indent`.
pub(super) fn aligned(rows: &[Vec<String>], indent: &str) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                line += &format!("{cell:width$}");
            } else {
                line += &format!("  {cell:>width$}");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let shown = [0.0, 0.126, 9.994, 9.996, 12.34, 99.96, 1234.5, 1_234_567.0, -5.0, f64::NAN].map(number);
        assert_eq!(shown, ["0.00", "0.13", "9.99", "10.0", "12.3", "100", "1,235", "1,234,567", "-5.00", "-"]);
        assert_eq!(count(1000), "1,000");
    }

    #[test]
    fn numbers_stand_below_each_other() {
        let rows = [vec!["ms".into(), "p50".into()], vec!["TTFT".into(), "1,234".into()], vec!["all".into()]];
        assert_eq!(aligned(&rows, "  "), "  ms      p50\n  TTFT  1,234\n  all\n");
    }
}
