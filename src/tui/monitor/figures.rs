//! Figures in few columns, for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What is shown where nothing is known.
pub(super) const NONE: &str = "–";

/// A count or a rate in at most five columns: `3.4`, `345`, `12.3k`.
pub(super) fn count(value: f64) -> String {
    match value {
        value if !value.is_finite() => NONE.to_owned(),
        0.0 => "0".to_owned(),
        value if value < 9.95 => format!("{value:.1}"),
        value if value < 9_999.5 => format!("{value:.0}"),
        value if value < 999_950.0 => format!("{:.1}k", value / 1e3),
        value => format!("{:.1}M", value / 1e6),
    }
}

/// A count that is told as a fraction.
pub(super) fn rounded(value: f64) -> String {
    if value.is_finite() { format!("{value:.0}") } else { NONE.to_owned() }
}

/// A whole number.
pub(super) fn whole(value: usize) -> String {
    value.to_string()
}

/// How long something takes: `0.4ms`, `85ms`, `1.2s`, `45s`, `3m12s`.
pub(super) fn seconds(value: f64) -> String {
    match value {
        value if !value.is_finite() || value < 0.0 => NONE.to_owned(),
        value if value < 0.009_95 => format!("{:.1}ms", value * 1e3),
        value if value < 0.999_5 => format!("{:.0}ms", value * 1e3),
        value if value < 9.95 => format!("{value:.1}s"),
        value if value < 60.0 => format!("{value:.0}s"),
        value => age(value),
    }
}

/// How long ago something was, in whole seconds: `0s`, `45s`, `3m12s`, `2h05m`, `3d04h`.
pub(super) fn age(value: f64) -> String {
    let value = value.clamp(0.0, 1e14) as u64;
    match value {
        value if value < 60 => format!("{value}s"),
        value if value < 3600 => format!("{}m{:02}s", value / 60, value % 60),
        value if value < 86_400 => format!("{}h{:02}m", value / 3600, value / 60 % 60),
        value => format!("{}d{:02}h", value / 86_400, value / 3600 % 24),
    }
}

/// Bytes in GiB, of a GPU's memory.
pub(super) fn gib(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib < 9.95 { format!("{gib:.1}") } else { format!("{gib:.0}") }
}

/// A share of 0 to 1.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", share.clamp(0.0, 1.0) * 100.0)
}

/// What is known, or a sign that nothing is.
pub(super) fn or_none<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), text)
}

/// A time (RFC 3339) as a clock of this machine shows it: `13:04:59`.
pub(super) fn clock(time: &str, zone: &TimeZone) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => zone.to_datetime(time).strftime("%H:%M:%S").to_string(),
        Err(_) => NONE.to_owned(),
    }
}

/// `1 engine`, `2 engines`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_take_few_columns() {
        let counts = [0.0, 0.04, 3.44, 9.96, 345.4, 9999.4, 12_345.0, 2.5e6, f64::NAN].map(count);
        assert_eq!(counts, ["0", "0.0", "3.4", "10", "345", "9999", "12.3k", "2.5M", "–"]);
        let times = [0.000_42, 0.0853, 0.9996, 1.24, 45.4, 192.0, 7500.0, 273_600.0, f64::NAN, -1.0].map(seconds);
        assert_eq!(times, ["0.4ms", "85ms", "1.0s", "1.2s", "45s", "3m12s", "2h05m", "3d04h", "–", "–"]);
        assert_eq!([0.9, 59.9, 60.0].map(age), ["0s", "59s", "1m00s"]);
        assert_eq!([1 << 30, 80 << 30, 0].map(gib), ["1.0", "80", "0.0"]);
        assert_eq!(clock("2026-11-30T12:34:56.789Z", &TimeZone::UTC), "12:34:56");
        assert_eq!(clock("yesterday", &TimeZone::UTC), "–");
        assert_eq!((counted(1, "engine"), counted(0, "engine")), ("1 engine".into(), "0 engines".into()));
    }
}
