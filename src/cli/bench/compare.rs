//! Two runs side by side: each figure before and after, and which is better; pure.

use super::figures::{Figures, Parameters};
use super::samples::Distribution;
use super::table::{aligned, number};
use crate::cli::outlet::Outlet;

/// Whether a figure got better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Better,
    Worse,
    /// Within the tolerance.
    Same,
}

/// One figure of both runs.
#[derive(Clone, Debug, PartialEq)]
struct Difference {
    name: String,
    before: f64,
    after: f64,
    verdict: Verdict,
}

impl Difference {
    /// `None` where both are zero: nothing can be said.
    fn ratio(&self) -> Option<f64> {
        (self.before > 0.0).then(|| self.after / self.before)
    }
}

/// The comparison as a text. Differences up to `tolerance` percent count as none.
pub(super) fn comparison(before: &Figures, after: &Figures, tolerance: f64, outlet: Outlet) -> String {
    let heading = ["Compared", "before", "after", "ratio", ""].map(str::to_owned).to_vec();
    let mut rows = vec![heading];
    let differences = differences(before, after, tolerance);
    for one in &differences {
        let ratio = one.ratio().map_or("-".into(), |ratio| format!("{ratio:.3}"));
        rows.push(vec![one.name.clone(), number(one.before), number(one.after), ratio, word(one.verdict).into()]);
    }
    let mut out = String::new();
    for (line, verdict) in aligned(&rows, "  ").lines().zip(std::iter::once(None).chain(differences.iter().map(Some))) {
        let style = match verdict.map(|one| one.verdict) {
            Some(Verdict::Better) => "32",
            Some(Verdict::Worse) => "31",
            _ => "0",
        };
        out += if style == "0" { line.to_owned() } else { outlet.styled(style, line) }.as_str();
        out.push('\n');
    }
    let of = |verdict| differences.iter().filter(|one| one.verdict == verdict).count();
    out += &format!(
        "\n  {} better, {} worse, {} within {tolerance} %; before: {} ({})\n",
        of(Verdict::Better),
        of(Verdict::Worse),
        of(Verdict::Same),
        before.started,
        before.version
    );
    let unlike = unlike(before, after);
    if !unlike.is_empty() {
        out += &format!("  The runs are not the same: {}.\n", unlike.join("; "));
    }
    out
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Same => "same",
    }
}

fn differences(before: &Figures, after: &Figures, tolerance: f64) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |name: String, before: f64, after: f64, larger_is_better: bool| {
        let verdict = verdict(before, after, larger_is_better, tolerance);
        found.push(Difference { name, before, after, verdict });
    };
    let (one, other) = (&before.throughput, &after.throughput);
    add("Requests/s".into(), one.requests_per_second, other.requests_per_second, true);
    add("Output tokens/s".into(), one.output_tokens_per_second, other.output_tokens_per_second, true);
    if let (Some(one), Some(other)) = (one.total_tokens_per_second, other.total_tokens_per_second) {
        add("Tokens/s, prompts included".into(), one, other, true);
    }
    let share = |part: u64, figures: &Figures| 100.0 * part as f64 / figures.requests.sent.max(1) as f64;
    add("Failed, %".into(), share(before.requests.failed, before), share(after.requests.failed, after), false);
    add("Shed, %".into(), share(before.requests.shed, before), share(after.requests.shed, after), false);
    for (name, one, other) in [
        ("TTFT", &before.ttft_ms, &after.ttft_ms),
        ("ITL", &before.itl_ms, &after.itl_ms),
        ("TPOT", &before.tpot_ms, &after.tpot_ms),
        ("End to end", &before.e2e_ms, &after.e2e_ms),
    ] {
        let (Some(one), Some(other)) = (one, other) else { continue };
        let all = percentiles(one).into_iter().zip(percentiles(other));
        all.for_each(|((percentile, one), (_, other))| add(format!("{name} {percentile}, ms"), one, other, false));
    }
    found
}

fn percentiles(of: &Distribution) -> [(&'static str, f64); 5] {
    [("mean", of.mean), ("p50", of.p50), ("p90", of.p90), ("p95", of.p95), ("p99", of.p99)]
}

fn verdict(before: f64, after: f64, larger_is_better: bool, tolerance: f64) -> Verdict {
    let allowed = before.abs() * tolerance / 100.0;
    let gain = if larger_is_better { after - before } else { before - after };
    match gain {
        // Rounding must not decide.
        gain if gain.abs() <= allowed + 1e-9 => Verdict::Same,
        gain if gain > 0.0 => Verdict::Better,
        _ => Verdict::Worse,
    }
}

/// What was asked otherwise, so that the figures cannot be compared without a thought.
fn unlike(before: &Figures, after: &Figures) -> Vec<String> {
    let mut found = Vec::new();
    let mut differs = |name: &str, one: String, other: String| {
        if one != other {
            found.push(format!("{name} {one} before, {other} after"));
        }
    };
    differs("alias", before.alias.clone(), after.alias.clone());
    let members = |parameters: &Parameters| match serde_json::to_value(parameters) {
        Ok(serde_json::Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let (one, other) = (members(&before.parameters), members(&after.parameters));
    for (name, value) in &one {
        differs(name, value.to_string(), other.get(name).map(ToString::to_string).unwrap_or_default());
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Outlet = Outlet { is_terminal: false, colour: false, unicode: false };

    /// A run whose times are multiplied by `slower`.
    pub(in crate::cli::bench) fn run(slower: f64) -> Figures {
        let of = |p50: f64| {
            let p50 = p50 * slower;
            json!({ "count": 100, "mean": p50, "stddev": 1.0, "min": p50 * 0.5, "p50": p50, "p90": p50 * 2.0,
                    "p95": p50 * 3.0, "p99": p50 * 4.0, "max": p50 * 5.0 })
        };
        let figures = json!({
            "format": 1, "version": "0.1.0", "started": "2026-01-01T00:00:00Z", "alias": "a",
            "url": "http://127.0.0.1:8000", "duration_seconds": 10.0, "ended_early": false,
            "parameters": { "load": "closed", "concurrency": 8, "rate": null, "requests": 100, "duration_seconds": null,
                "warmup": 1, "timeout_seconds": 600.0, "seed": 0, "api": "chat", "stream": true, "input_tokens": 128,
                "prompts": null, "max_tokens": 128, "set": {} },
            "requests": { "sent": 100, "succeeded": 100, "failed": 0, "shed": 0, "unfinished": 0, "unsent": 0 },
            "errors": [],
            "throughput": { "requests_per_second": 10.0 / slower, "output_tokens_per_second": 320.0 / slower,
                "total_tokens_per_second": null },
            "tokens": { "input": null, "output": 3200, "counted_by": "chunks" },
            "ttft_ms": of(20.0), "itl_ms": of(5.0), "tpot_ms": of(5.0), "e2e_ms": of(175.0), "output_tokens": of(32.0),
            "lateness_ms": null,
            "timeline": { "seconds": 5.0, "output_tokens_per_second": [300.0, 340.0], "requests_per_second": [9.0, 11.0] },
            "histogram": [{ "from_ms": 10.0, "to_ms": 20.0, "count": 50 }, { "from_ms": 20.0, "to_ms": 30.0, "count": 50 }],
        });
        Figures::read(&figures.to_string()).expect("figures")
    }

    #[test]
    fn figures_are_judged_by_which_way_is_better() {
        let verdicts = |slower| {
            let all = differences(&run(1.0), &run(slower), 5.0);
            ["Requests/s", "TTFT p50, ms", "End to end p99, ms", "Failed, %"]
                .map(|name| all.iter().find(|one| one.name == name).map(|one| one.verdict).expect(name))
        };
        use Verdict::{Better, Same, Worse};
        assert_eq!(verdicts(1.04), [Same; 4]);
        assert_eq!(verdicts(1.2), [Worse, Worse, Worse, Same]);
        assert_eq!(verdicts(0.8), [Better, Better, Better, Same]);
        // From nothing to something has no ratio, and is worse all the same.
        assert_eq!((verdict(0.0, 1.0, false, 5.0), verdict(0.0, 1.0, true, 5.0)), (Worse, Better));
    }

    #[test]
    fn a_comparison_is_a_table() {
        let text = comparison(&run(1.0), &run(1.2), 5.0, PLAIN);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "  Compared             before  after  ratio");
        assert_eq!(lines[1], "  Requests/s             10.0   8.33  0.833  worse");
        assert_eq!(lines[5], "  TTFT mean, ms          20.0   24.0  1.200  worse");
        assert!(text.contains("0 better, 22 worse, 2 within 5 %; before: 2026-01-01T00:00:00Z (0.1.0)"), "{text}");
        assert!(!text.contains("not the same"));
    }

    #[test]
    fn runs_that_asked_otherwise_are_told() {
        let mut other = run(1.0);
        other.parameters.max_tokens = 64;
        other.alias = "b".into();
        let text = comparison(&run(1.0), &other, 5.0, PLAIN);
        assert!(text.contains("alias a before, b after; max_tokens 128 before, 64 after."), "{text}");
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let colour = Outlet { colour: true, ..PLAIN };
        assert!(comparison(&run(1.0), &run(1.2), 5.0, colour).contains("\x1b[31m  Requests/s"));
    }
}
