//! Durations and sizes as a user writes them: `10m`, `1m 30s`, `32MiB`.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Name of the JSON Schema format of [`Time`]; checked with [`Time::is_fit`].
pub(crate) const TIME_FORMAT: &str = "enginehouse-duration";
/// Name of the JSON Schema format of [`TimeOrZero`]; checked with [`Time::from_str`].
pub(crate) const TIME_OR_ZERO_FORMAT: &str = "enginehouse-duration-or-zero";
/// Name of the JSON Schema format of [`Size`]; checked with [`Size::from_str`].
pub(crate) const SIZE_FORMAT: &str = "enginehouse-size";
/// Name of the JSON Schema format of [`AsWritten`].
pub(crate) const TEXT_FORMAT: &str = "enginehouse-text";

/// Shorter times are mistakes: most often a 0 that is meant to switch something off.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);
/// Longer times are mistakes, and would overflow clocks.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What editors check; [`Time::from_str`] is at least as strict.
const TIME_PATTERN: &str = r"^ *([0-9]+ *(ns|us|ms|s|m|h|d) *)+$";
/// What editors check; [`Size::from_str`] is at least as strict.
const SIZE_PATTERN: &str = r"^ *[0-9]+(\.[0-9]+)? *([kKMGT]i?)?B *$";

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

/// Stands for a span of time that may be 0, in the JSON Schema.
pub(crate) struct TimeOrZero;

/// Stands for a span of time that may be `off`: for `#[serde(with = "TimeOrOff")]`.
pub(crate) struct TimeOrOff;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Time {
    /// Whether `text` is a duration that makes sense for something to wait for.
    pub(crate) fn is_fit(text: &str) -> bool {
        text.parse::<Self>().is_ok_and(|time| time.0 >= SHORTEST)
    }

    /// Reads a duration; with [`Time::serialize`] for `#[serde(with = "Time")]`.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        <Self as Deserialize>::deserialize(deserializer).map(|time| time.0)
    }

    /// Writes a duration.
    pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*time))
    }
}

impl TimeOrOff {
    /// Reads a duration, or `off`: `None`.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value == "off" || value == false {
            return Ok(None);
        }
        Time::deserialize(value).map(Some).map_err(D::Error::custom)
    }

    /// Writes a duration, or `off`.
    pub(crate) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => Time::serialize(time, serializer),
            None => serializer.serialize_str("off"),
        }
    }
}

impl Size {
    /// Reads a size in bytes; with [`Size::serialize`] for `#[serde(with = "Size")]`.
    pub(crate) fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let size: Self = text.parse().map_err(D::Error::custom)?;
        T::try_from(size.0).map_err(|_| D::Error::custom("too large for this machine"))
    }

    /// Writes a size in bytes.
    pub(crate) fn serialize<T: Copy + TryInto<u64>, S: Serializer>(size: &T, serializer: S) -> Result<S::Ok, S::Error> {
        let size = (*size).try_into().unwrap_or(u64::MAX);
        let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
        let exact = units.into_iter().find(|(factor, _)| size >= *factor && size.is_multiple_of(*factor));
        let (factor, unit) = exact.unwrap_or((1, "B"));
        serializer.collect_str(&format_args!("{}{unit}", size / factor))
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.trim_matches(' ');
        if rest.is_empty() {
            return Err("nothing is written".into());
        }
        let mut nanos: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| "not numbers with units")?;
            rest = rest[digits..].trim_start_matches(' ');
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = match &rest[..letters] {
                "ns" => 1,
                "us" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                "d" => 86_400_000_000_000,
                _ => return Err("not numbers with units".into()),
            };
            rest = rest[letters..].trim_start_matches(' ');
            nanos = number.checked_mul(unit).and_then(|n| nanos.checked_add(n)).ok_or("longer than a year")?;
        }
        let time = Duration::from_nanos(nanos);
        if time > LONGEST { Err("longer than a year".into()) } else { Ok(Self(time)) }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_matches(' ');
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
        let unit = text[digits.len()..].trim_start_matches(' ');
        let units = ["B", "kB", "KB", "KiB", "MB", "MiB", "GB", "GiB", "TB", "TiB", "kiB"];
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !units.contains(&unit) || !number(whole) || !number(fraction) {
            return Err("not a number with a unit".into());
        }
        let size: ByteSize = format!("{digits}{unit}").parse()?;
        // Fractions are computed in floating point and saturate.
        if size.as_u64() > 1 << 50 { Err("more than a pebibyte".into()) } else { Ok(Self(size.as_u64())) }
    }
}

/// A text that may be written as a number or truth value and is kept exactly as written: `1.10` stays `1.10`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct AsWritten(pub(crate) String);

impl JsonSchema for AsWritten {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "format": TEXT_FORMAT })
    }
}

/// What is wrong with a duration as written, and a correct spelling of what was probably meant.
pub(crate) fn explain_time(written: &str) -> (&'static str, String) {
    match written.parse::<Time>() {
        Ok(_) => ("The time is too short.", "Write 1ms or more; 0 does not switch it off.".into()),
        Err(why) if why.contains("year") => ("The time is longer than a year.", "Write 365d or less.".into()),
        Err(_) => ("This is not a duration.", likely_time(written)),
    }
}

fn likely_time(written: &str) -> String {
    let written = written.trim();
    let compact = written.to_ascii_lowercase().replace([' ', '_'], "");
    let digits = compact.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &compact[digits.len()..] {
        "" | "sec" | "secs" | "second" | "seconds" => "s",
        "msec" | "millis" | "milliseconds" | "millisecond" => "ms",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        unit => unit,
    };
    let fraction = digits.parse::<f64>().ok().filter(|n| n.fract() != 0.0 && (0.001..1e6).contains(n) && unit == "s");
    let guess = fraction.map_or_else(|| format!("{digits}{unit}"), |n| format!("{}ms", (n * 1000.0).round()));
    if guess.parse::<Time>().is_ok() && !written.is_empty() {
        format!("Write the unit too: {written} -> {guess} (units: ms, s, m, h, d).")
    } else {
        "Write numbers with units, such as 500ms, 30s, 10m or 1h 30m.".into()
    }
}

/// A correct spelling of what was probably meant by a size, for remedies.
pub(crate) fn likely_size(written: &str) -> String {
    let written = written.trim();
    let compact = written.to_ascii_lowercase().replace([' ', '_'], "");
    let digits = compact.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let guess = match &compact[digits.len()..] {
        "" => return likely_bare_size(written),
        "b" | "byte" | "bytes" => format!("{digits}B"),
        "k" | "ki" | "kib" | "kb" => format!("{digits}KiB"),
        "m" | "mi" | "mib" | "mb" => format!("{digits}MiB"),
        "g" | "gi" | "gib" | "gb" => format!("{digits}GiB"),
        "t" | "ti" | "tib" | "tb" => format!("{digits}TiB"),
        _ => String::new(),
    };
    if guess.parse::<Size>().is_ok() {
        format!("Write the unit in full: {written} -> {guess}.")
    } else {
        "Write a number with a unit, such as 64KiB, 32MiB or 1GiB.".into()
    }
}

fn likely_bare_size(written: &str) -> String {
    match written.parse::<u64>() {
        Ok(n) if n >= 4096 => format!("Write the unit too: {written} -> {n}B."),
        Ok(n) if n > 0 => format!("Write the unit too: {written} -> {n}MiB, or {n}B if bytes are meant."),
        _ => "Write a number with a unit, such as 64KiB, 32MiB or 1GiB.".into(),
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": TIME_FORMAT,
            "pattern": TIME_PATTERN,
            "description": "A duration: numbers with units (ms, s, m, h, d), such as `500ms`, `30s` or `1m 30s`.",
            "examples": ["500ms", "30s", "1m 30s"]
        })
    }
}

impl JsonSchema for TimeOrZero {
    fn schema_name() -> Cow<'static, str> {
        "DurationOrZero".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Time::json_schema(generator);
        schema.insert("format".into(), TIME_OR_ZERO_FORMAT.into());
        schema
    }
}

impl JsonSchema for TimeOrOff {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationOrOff".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let off = json_schema!({ "type": ["string", "boolean"], "enum": ["off", false] });
        json_schema!({ "anyOf": [generator.subschema_for::<Time>(), off] })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": SIZE_FORMAT,
            "pattern": SIZE_PATTERN,
            "description": "A size: a number with a unit (B, KiB, MiB, GiB), such as `64KiB` or `1GiB`.",
            "examples": ["64KiB", "32MiB", "1GiB"]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("10m", 600_000), ("1m 30s", 90_000), ("1m30s", 90_000), ("500ms", 500), ("0s", 0), (" 2 h ", 7_200_000)]
        {
            assert_eq!(text.parse(), Ok(Time(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", " ", "600", "0", "s", "-1s", "1.5s", "10 minutes", "1m 30", "99999999999999999999s", "1s\n"] {
            assert!(text.parse::<Time>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("32MiB", 32 << 20), ("1 GiB", 1 << 30), ("1.5KiB", 1536), ("5kB", 5000), ("0B", 0)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "64", "64M", "64Mi", "MiB", "-1MiB", "1e3B", "1.MiB", ".5MiB", "99999999TiB", "1PB", "64mib"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn remedies_show_the_right_spelling() {
        for (written, shown) in
            [("600", "600s"), ("10 minutes", "10m"), ("1.5", "1500ms"), ("5sec", "5s"), ("2H", "2h"), ("soon", "30s")]
        {
            assert!(likely_time(written).contains(shown), "{written}: {}", likely_time(written));
        }
        for (written, shown) in [("64", "64MiB"), ("64M", "64MiB"), ("67108864", "67108864B"), ("big", "32MiB")] {
            assert!(likely_size(written).contains(shown), "{written}: {}", likely_size(written));
        }
    }

    #[test]
    fn what_is_written_back_is_read_again() {
        for text in ["64MiB", "1GiB", "1500B", "0B"] {
            let size: Size = text.parse().expect("a size");
            let written = Size::serialize(&size.0, serde_json::value::Serializer).expect("text");
            assert_eq!(written, json!(text));
        }
        let time: Time = "90s".parse().expect("a duration");
        assert_eq!(Time::serialize(&time.0, serde_json::value::Serializer).expect("text"), "1m 30s");
    }

    fn matches(pattern: &str, text: &str) -> bool {
        jsonschema::is_valid(&json!({ "pattern": pattern }), &json!(text))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics_and_the_editors_pattern_allows_what_we_read(
            text in prop_oneof![any::<String>(), "[0-9 ._-]{0,9}([kKMGTP]?i?B|ns|us|ms|s|m|h|d|[a-z])?[0-9 smh]{0,6}"]
        ) {
            let _ = (likely_time(&text), likely_size(&text));
            prop_assert!(text.parse::<Time>().is_err() || matches(TIME_PATTERN, &text));
            prop_assert!(text.parse::<Size>().is_err() || matches(SIZE_PATTERN, &text));
        }
    }
}
