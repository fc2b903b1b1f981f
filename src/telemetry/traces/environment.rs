//! Reads the standard variables `OTEL_*`: whether requests are traced, where their spans go, and which of them.

use std::ffi::OsString;
use std::time::Duration;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::sampler::{Sampler, Share};

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Grpc,
}

/// What the variables say, where requests are to be traced.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    pub(super) endpoint: String,
    pub(super) protocol: Protocol,
    /// For one request to the collector, and its repetitions.
    pub(super) timeout: Duration,
    pub(super) sampler: Sampler,
    pub(super) batch: Batch,
    pub(super) service: String,
    /// Further attributes of the resource.
    pub(super) resource: Vec<(String, String)>,
}

/// How spans are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// The longest time that a span waits for others.
    pub(super) delay: Duration,
    /// For one batch.
    pub(super) timeout: Duration,
    /// Most that wait.
    pub(super) queue: usize,
    /// Most of one batch.
    pub(super) size: usize,
}

/// A variable has a value that it cannot have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {variable} is `{value}`, which it cannot be: {expected}")]
pub struct WrongVariable {
    variable: &'static str,
    value: String,
    expected: String,
}

/// Variables, as somebody looks them up.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<OsString>);

type Found = Option<(&'static str, String)>;

impl Variables<'_> {
    /// The first of these that has a value. An empty one is none, as the specification says.
    fn first(&self, names: &[&'static str]) -> Result<Found, WrongVariable> {
        for name in names {
            let Some(value) = (self.0)(name) else { continue };
            let unreadable = |value: OsString| wrong(name, &value.to_string_lossy(), "it is not UTF-8.");
            let value = value.into_string().map_err(unreadable)?;
            if !value.trim().is_empty() {
                return Ok(Some((name, value.trim().to_owned())));
            }
        }
        Ok(None)
    }

    /// The first of these that has a value, as one of these words.
    fn word<T: Copy>(&self, names: &[&'static str], words: &[(&str, T)]) -> Result<Option<T>, WrongVariable> {
        let Some((name, value)) = self.first(names)? else { return Ok(None) };
        let known = words.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
        let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        known.map(|(_, meant)| Some(*meant)).ok_or_else(|| wrong(name, &value, &format!("set it to one of {}.", all())))
    }

    fn number(&self, names: &[&'static str], default: u32) -> Result<u32, WrongVariable> {
        let Some((name, value)) = self.first(names)? else { return Ok(default) };
        let number = value.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| wrong(name, &value, "set it to a whole number above 0."))
    }

    fn millis(&self, names: &[&'static str], default: u32) -> Result<Duration, WrongVariable> {
        self.number(names, default).map(|millis| Duration::from_millis(millis.into()))
    }

    /// `a=b,c=d`, with `%` and two digits for what cannot stand there.
    fn pairs(&self, names: &[&'static str], is_secret: bool) -> Result<Vec<(String, String)>, WrongVariable> {
        let Some((name, value)) = self.first(names)? else { return Ok(Vec::new()) };
        let shown = if is_secret { "***" } else { &value };
        let refused = || wrong(name, shown, "write pairs as name=value, and commas between them.");
        let pair = |text: &str| {
            let (name, value) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty())?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((name.trim().to_owned(), value.into_owned()))
        };
        value.split(',').filter(|text| !text.trim().is_empty()).map(|text| pair(text).ok_or_else(refused)).collect()
    }
}

fn wrong(variable: &'static str, value: &str, expected: &str) -> WrongVariable {
    WrongVariable { variable, value: value.to_owned(), expected: expected.to_owned() }
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

impl TraceSettings {
    /// Where spans go.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Reads them; `None`: nothing is traced.
    ///
    /// # Errors
    /// One has a value that it cannot have. None of them is looked at where nothing is traced.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Self>, WrongVariable> {
        let all = Variables(lookup);
        if all.word(&["OTEL_SDK_DISABLED"], &[("true", true), ("false", false)])? == Some(true) {
            return Ok(None);
        }
        let exporter = all.word(&["OTEL_TRACES_EXPORTER"], &[("otlp", true), ("none", false)])?;
        let has_endpoint = all.first(&[TRACES_ENDPOINT, ENDPOINT])?.is_some();
        if !exporter.unwrap_or(has_endpoint) {
            return Ok(None);
        }
        let protocols = [("http/protobuf", Protocol::Http), ("grpc", Protocol::Grpc)];
        let names = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
        let protocol = all.word(&names, &protocols)?.unwrap_or(Protocol::Http);
        // The exporter reads these itself, and says nothing of those that are wrong.
        all.word(
            &["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
            &[("gzip", ()), ("none", ())],
        )?;
        check_headers(&all)?;
        let mut resource = all.pairs(&["OTEL_RESOURCE_ATTRIBUTES"], false)?;
        let named = resource.iter().rposition(|(name, _)| name == super::names::SERVICE_NAME);
        let named = named.map(|at| resource.remove(at).1);
        let service = all.first(&["OTEL_SERVICE_NAME"])?.map(|(_, name)| name).or(named);
        Ok(Some(Self {
            endpoint: endpoint(&all, protocol)?,
            protocol,
            timeout: all.millis(&["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"], 10_000)?,
            sampler: sampler(&all)?,
            batch: batch(&all)?,
            service: service.unwrap_or_else(|| "enginehouse".into()),
            resource,
        }))
    }
}

/// The URL of the collector. Over HTTP the general one is a base, and the one for traces is the whole.
fn endpoint(all: &Variables<'_>, protocol: Protocol) -> Result<String, WrongVariable> {
    let Some((name, url)) = all.first(&[TRACES_ENDPOINT, ENDPOINT])? else {
        let default =
            if protocol == Protocol::Grpc { "http://localhost:4317" } else { "http://localhost:4318/v1/traces" };
        return Ok(default.into());
    };
    let parsed = url.parse::<Uri>().ok().filter(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    });
    if parsed.is_none() {
        return Err(wrong(name, &url, "set it to a URL, as http://localhost:4318."));
    }
    if protocol == Protocol::Http && name == ENDPOINT {
        return Ok(format!("{}/v1/traces", url.trim_end_matches('/')));
    }
    Ok(url)
}

fn check_headers(all: &Variables<'_>) -> Result<(), WrongVariable> {
    let names = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    let is_header = |(name, value): &(String, String)| {
        http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(value).is_ok()
    };
    let pairs = all.pairs(&names, true)?;
    match all.first(&names)? {
        Some((name, _)) if !pairs.iter().all(is_header) => {
            Err(wrong(name, "***", "one of its pairs is no header of HTTP."))
        }
        _ => Ok(()),
    }
}

fn sampler(all: &Variables<'_>) -> Result<Sampler, WrongVariable> {
    let share = Share::All;
    let words = [
        ("always_on", (false, Share::All)),
        ("always_off", (false, Share::None)),
        ("traceidratio", (false, Share::Ratio(1.0))),
        ("parentbased_always_on", (true, Share::All)),
        ("parentbased_always_off", (true, Share::None)),
        ("parentbased_traceidratio", (true, Share::Ratio(1.0))),
    ];
    let (follows_parent, mut share) = all.word(&[SAMPLER], &words)?.unwrap_or((true, share));
    if let (Share::Ratio(ratio), Some((name, value))) = (&mut share, all.first(&[SAMPLER_ARG])?) {
        let given = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        *ratio = given.ok_or_else(|| wrong(name, &value, "set it to a number from 0 to 1, the share of traces."))?;
    }
    Ok(Sampler { follows_parent, share })
}

fn batch(all: &Variables<'_>) -> Result<Batch, WrongVariable> {
    const SIZE: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
    let count =
        |name, default| all.number(&[name], default).map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    // A queue that was made smaller than the usual batch is no reason to refuse.
    let queue = count("OTEL_BSP_MAX_QUEUE_SIZE", 2048)?;
    let size = count(SIZE, 512)?;
    if let Some((name, value)) = all.first(&[SIZE])?
        && size > queue
    {
        let expected = format!("set it to {queue} at most, which is OTEL_BSP_MAX_QUEUE_SIZE.");
        return Err(wrong(name, &value, &expected));
    }
    Ok(Batch {
        delay: all.millis(&["OTEL_BSP_SCHEDULE_DELAY"], 5_000)?,
        timeout: all.millis(&["OTEL_BSP_EXPORT_TIMEOUT"], 30_000)?,
        queue,
        size: size.min(queue),
    })
}

#[cfg(test)]
mod tests;
