//! Metrics as OpenMetrics writes them (version 1.0.0): the same series as in Prometheus' own text, and with them the traces that
//! stand for what histograms count.

use std::fmt::Write;
use std::time::SystemTime;

use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};

use crate::telemetry::exemplars::{Exemplar, ExemplarBook, Series};

/// What the names of counters end with, and those of their families do not.
const TOTAL: &str = "_total";

/// What comes after the last family.
pub(super) const END: &str = "# EOF\n";

/// Writes one family.
pub(super) fn write_family(text: &mut String, family: &MetricFamily, exemplars: &ExemplarBook) {
    let name = family.name();
    // A counter by another name would be none.
    let counted = name.strip_suffix(TOTAL).filter(|_| family.get_field_type() == MetricType::COUNTER);
    let (kind, family_name) = match family.get_field_type() {
        MetricType::COUNTER => counted.map_or(("unknown", name), |counted| ("counter", counted)),
        MetricType::GAUGE => ("gauge", name),
        MetricType::HISTOGRAM => ("histogram", name),
        // There are none.
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    // Writing to a text cannot fail.
    let _ = writeln!(text, "# TYPE {family_name} {kind}");
    let _ = write!(text, "# HELP {family_name} ");
    escape(text, family.help());
    text.push('\n');
    for metric in family.get_metric() {
        match family.get_field_type() {
            MetricType::COUNTER => write_sample(text, (name, ""), (metric, None), metric.get_counter().get_value()),
            MetricType::GAUGE => write_sample(text, (name, ""), (metric, None), metric.get_gauge().get_value()),
            MetricType::HISTOGRAM => write_histogram(text, name, metric, exemplars),
            MetricType::SUMMARY | MetricType::UNTYPED => {}
        }
    }
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric, exemplars: &ExemplarBook) {
    let histogram: &Histogram = metric.get_histogram();
    let examples = examples(name, metric, exemplars);
    let count = number(histogram.get_sample_count());
    let bounded = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let bounded = bounded.map(|bucket| (bound(bucket.upper_bound()), number(bucket.cumulative_count())));
    for (at, (le, value)) in bounded.chain([("+Inf".to_owned(), count)]).enumerate() {
        write_head(text, (name, "_bucket"), (metric, Some(&le)));
        let _ = write!(text, " {value}");
        if let Some(Some(example)) = examples.get(at) {
            write_exemplar(text, example);
        }
        text.push('\n');
    }
    write_sample(text, (name, "_count"), (metric, None), count);
    write_sample(text, (name, "_sum"), (metric, None), histogram.get_sample_sum());
}

/// The examples of a histogram's buckets.
fn examples(name: &str, metric: &Metric, exemplars: &ExemplarBook) -> Vec<Option<Exemplar>> {
    let label = |wanted| metric.get_label().iter().find(|label| label.name() == wanted).map(|label| label.value());
    let Some(model) = label("model") else { return Vec::new() };
    exemplars.of(Series { metric: name, model, endpoint: label("endpoint") })
}

fn write_exemplar(text: &mut String, Exemplar { trace_id, value, at }: &Exemplar) {
    let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let _ = write!(text, " # {{trace_id=\"{trace_id:032x}\"}} {value} {at:.3}");
}

fn write_sample(text: &mut String, name: (&str, &str), series: (&Metric, Option<&str>), value: f64) {
    write_head(text, name, series);
    let _ = match value {
        _ if value == f64::INFINITY => writeln!(text, " +Inf"),
        _ if value == f64::NEG_INFINITY => writeln!(text, " -Inf"),
        value => writeln!(text, " {value}"),
    };
}

/// The name of a series and its labels; `le`: the upper bound of a bucket.
fn write_head(text: &mut String, (name, suffix): (&str, &str), (metric, le): (&Metric, Option<&str>)) {
    text.push_str(name);
    text.push_str(suffix);
    let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
    let mut separator = '{';
    for (name, value) in labels.chain(le.map(|le| ("le", le))) {
        let _ = write!(text, "{separator}{name}=\"");
        escape(text, value);
        text.push('"');
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
}

fn escape(to: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            c => to.push(c),
        }
    }
}

/// A bound as the standard wants it, so that everybody writes the same one alike: as Go does, with a point or an exponent.
fn bound(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-4 {
        let text = format!("{value:e}");
        return match text.split_once("e-") {
            Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
            None => text,
        };
    }
    if value.fract() == 0.0 { format!("{value:.1}") } else { value.to_string() }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

    use super::*;

    fn encode(registry: &Registry, exemplars: &ExemplarBook) -> String {
        let mut text = String::new();
        registry.gather().iter().for_each(|family| write_family(&mut text, family, exemplars));
        text + END
    }

    #[test]
    fn series_are_those_of_prometheus_text_under_families_without_total() {
        let registry = Registry::new();
        let counters = IntCounterVec::new(Opts::new("a_total", "Says \"a\"\nand \\."), &["model"]).expect("made");
        counters.with_label_values(&["x\"y\\\n"]).inc_by(3);
        let (odd, gauge) = (IntCounter::new("b_count_of", "B.").expect("made"), Gauge::new("c", "C.").expect("made"));
        gauge.set(f64::INFINITY);
        for collector in [Box::new(counters) as Box<dyn prometheus::core::Collector>, Box::new(odd), Box::new(gauge)] {
            registry.register(collector).expect("registered");
        }
        assert_eq!(
            encode(&registry, &ExemplarBook::default()),
            "# TYPE a counter\n# HELP a Says \\\"a\\\"\\nand \\\\.\na_total{model=\"x\\\"y\\\\\\n\"} 3\n\
             # TYPE b_count_of unknown\n# HELP b_count_of B.\nb_count_of 0\n# TYPE c gauge\n# HELP c C.\nc +Inf\n# EOF\n"
        );
    }

    #[test]
    fn a_bucket_has_the_trace_that_stands_for_it() {
        let registry = Registry::new();
        let bounds = vec![0.000_025, 0.5, 1.0, 300.0];
        let opts = HistogramOpts::new("d_seconds", "D.").buckets(bounds.clone());
        let histogram = HistogramVec::new(opts, &["model", "endpoint"]).expect("made");
        registry.register(Box::new(histogram.clone())).expect("registered");
        let book = ExemplarBook::default();
        for (trace_id, millis) in [(0xabc, 750), (0xdef, 400_000)] {
            histogram.with_label_values(&["m", "/e"]).observe(Duration::from_millis(millis).as_secs_f64());
            let series = Series { metric: "d_seconds", model: "m", endpoint: Some("/e") };
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
            book.note(series, &bounds, (trace_id, Duration::from_millis(millis), at));
        }
        let text = encode(&registry, &book);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let head = |le: &str| format!("d_seconds_bucket{{endpoint=\"/e\",model=\"m\",le=\"{le}\"}}");
        assert_eq!(
            lines,
            [
                format!("{} 0", head("2.5e-05")),
                format!("{} 0", head("0.5")),
                format!("{} 1 # {{trace_id=\"00000000000000000000000000000abc\"}} 0.75 1.500", head("1.0")),
                format!("{} 1", head("300.0")),
                format!("{} 2 # {{trace_id=\"00000000000000000000000000000def\"}} 400 1.500", head("+Inf")),
                "d_seconds_count{endpoint=\"/e\",model=\"m\"} 2".to_owned(),
                "d_seconds_sum{endpoint=\"/e\",model=\"m\"} 400.75".to_owned(),
                "# EOF".to_owned(),
            ]
        );
    }
}
