//! Plots of text: bars and a time line, with block characters or ASCII; pure.

use super::figures::Bar;
use super::table::number;

/// Eighths of a character, from left to right.
const LEFT: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Eighths of a character, from below.
const UP: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The same where there is only ASCII: heights that look like some.
const UP_ASCII: [char; 8] = ['.', '.', ':', '-', '=', '+', '*', '#'];

/// One line for each bar: its range, its length, its count. The longest one has `width` characters.
pub(super) fn histogram(bars: &[Bar], width: usize, unicode: bool) -> String {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1);
    let digits = bars.iter().map(|bar| bar.from_ms.max(bar.to_ms)).fold(0.0, f64::max);
    let step = bars.first().map_or(1.0, |bar| bar.to_ms - bar.from_ms);
    let places = if step < 0.0999 {
        3
    } else if step < 0.999 {
        1
    } else {
        0
    };
    let label = |ms: f64| format!("{ms:.places$}");
    let column = label(digits).len();
    let mut out = String::new();
    for bar in bars {
        let share = bar.count as f64 / most as f64;
        let line = format!(
            "{:>column$} - {:>column$} ms  {}  {}",
            label(bar.from_ms),
            label(bar.to_ms),
            padded(&filled(share, width, unicode), width),
            bar.count
        );
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// A bar whose length is `share` of `width`.
fn filled(share: f64, width: usize, unicode: bool) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    if !unicode {
        // Something that is there is seen.
        let length = if share > 0.0 { (eighths / 8).max(1) } else { 0 };
        return "#".repeat(length);
    }
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut bar = "█".repeat(eighths / 8);
    if let Some(rest) = (eighths % 8).checked_sub(1) {
        bar.push(LEFT[rest]);
    }
    bar
}

fn padded(text: &str, width: usize) -> String {
    let length = text.chars().count();
    text.to_owned() + &" ".repeat(width.saturating_sub(length))
}

/// Values over time as one line of heights, with the largest and the time below.
pub(super) fn timeline(title: &str, values: &[f64], seconds: f64, unicode: bool) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let heights = if unicode { UP } else { UP_ASCII };
    let line: String = values.iter().map(|value| height(value / most, &heights)).collect();
    let end = format!("{} s", number(seconds * values.len() as f64));
    let width = values.len().max(end.len() + 2);
    format!("{title}, at most {}\n{line}\n0{end:>rest$}\n", number(most), rest = width - 1)
}

fn height(share: f64, heights: &[char; 8]) -> char {
    if share <= 0.0 {
        return ' ';
    }
    let place = (share * 8.0).ceil() as usize;
    heights[place.clamp(1, 8) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(from_ms: f64, to_ms: f64, count: u64) -> Bar {
        Bar { from_ms, to_ms, count }
    }

    #[test]
    fn bars_are_as_long_as_their_counts() {
        let bars = [bar(20.0, 25.0, 80), bar(25.0, 30.0, 1), bar(30.0, 35.0, 0), bar(35.0, 140.0, 35)];
        let wanted = "\
\x2020 -  25 ms  ████████  80
 25 -  30 ms  ▏         1
 30 -  35 ms            0
 35 - 140 ms  ███▌      35
";
        assert_eq!(histogram(&bars, 8, true), wanted);
        let plain = "\
\x2020 -  25 ms  ########  80
 25 -  30 ms  #         1
 30 -  35 ms            0
 35 - 140 ms  ###       35
";
        assert_eq!(histogram(&bars, 8, false), plain);
        assert_eq!(histogram(&[], 8, true), "");
        assert_eq!(histogram(&[bar(0.5, 1.0, 2)], 2, false), "0.5 - 1.0 ms  ##  2\n");
    }

    #[test]
    fn a_time_line_has_its_scale() {
        let values = [0.0, 1.0, 50.0, 100.0, 75.0];
        assert_eq!(timeline("Tokens/s", &values, 2.0, true), "Tokens/s, at most 100\n ▁▄█▆\n0 10.0 s\n");
        assert_eq!(timeline("Tokens/s", &values, 2.0, false), "Tokens/s, at most 100\n .-#+\n0 10.0 s\n");
        assert_eq!(timeline("x", &[0.0], 1.0, true), "");
        let long = timeline("x", &[1.0; 12], 1.0, false);
        assert_eq!(long, "x, at most 1.00\n############\n0     12.0 s\n");
    }
}
