//! The report of a run, for people; pure.

use super::figures::{Figures, Parameters};
use super::plot;
use super::samples::Distribution;
use super::table::{aligned, count, number};
use crate::cli::outlet::{Outlet, harmless};

/// Characters of the longest bar.
const BAR: usize = 40;

/// Most kinds of errors that are told.
const ERRORS: usize = 10;

/// Longest message that is told.
const MESSAGE: usize = 300;

/// All of it.
pub(super) fn report(figures: &Figures, outlet: Outlet) -> String {
    let mut out = format!("{}\n\n", heading(figures));
    out += &aligned(&summary(figures), "  ");
    out += &errors(figures);
    out += &format!("\n{}", aligned(&distributions(figures), "  "));
    out += &notes(figures);
    let bars = plot::histogram(&figures.histogram, BAR, outlet.unicode);
    if !bars.is_empty() {
        let what = if figures.ttft_ms.is_some() { "TTFT" } else { "End-to-end latency" };
        out += &format!("\n{what}, requests\n{bars}");
    }
    let series = &figures.timeline;
    let (title, values) = match series.output_tokens_per_second.is_empty() {
        false => ("Output tokens/s", &series.output_tokens_per_second),
        true => ("Requests/s", &series.requests_per_second),
    };
    let line = plot::timeline(title, values, series.seconds, outlet.unicode);
    if !line.is_empty() {
        out += &format!("\n{line}");
    }
    out
}

fn heading(figures: &Figures) -> String {
    let parameters = &figures.parameters;
    let load = match (&*parameters.load, parameters.rate) {
        ("poisson", Some(rate)) => format!("{rate} requests/s at random distances (Poisson)"),
        (_, Some(rate)) => format!("{rate} requests/s"),
        (_, None) => format!("{} at a time", counted(parameters.concurrency, "request")),
    };
    let stream = if parameters.stream { "streams" } else { "answers in one piece" };
    format!("{} at {}: {load}, {stream}, {}", harmless(&figures.alias), figures.url, asked(parameters))
}

fn asked(parameters: &Parameters) -> String {
    let prompts = match (parameters.input_tokens, &parameters.prompts) {
        (Some(words), _) => format!("prompts of {}", counted(words, "word")),
        (None, Some(file)) => format!("prompts of {file}"),
        (None, None) => "prompts".into(),
    };
    format!("{prompts}, at most {}", counted(parameters.max_tokens, "token"))
}

fn counted(number: u64, word: &str) -> String {
    format!("{} {word}{}", count(number), if number == 1 { "" } else { "s" })
}

fn summary(figures: &Figures) -> Vec<Vec<String>> {
    let (requests, throughput) = (&figures.requests, &figures.throughput);
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows =
        vec![row("Requests succeeded", count(requests.succeeded)), row("Requests failed", count(requests.failed))];
    rows.push(row("Requests shed (429, 503)", count(requests.shed)));
    if requests.unfinished > 0 {
        rows.push(row("Requests given up at the end", count(requests.unfinished)));
    }
    if requests.unsent > 0 {
        rows.push(row("Requests due, but not sent", count(requests.unsent)));
    }
    rows.push(row("Duration, s", number(figures.duration_seconds)));
    rows.push(row("Requests/s", number(throughput.requests_per_second)));
    rows.push(row("Output tokens/s", number(throughput.output_tokens_per_second)));
    let total = throughput.total_tokens_per_second.map_or("-".into(), number);
    rows.push(row("Tokens/s, prompts included", total));
    rows
}

fn errors(figures: &Figures) -> String {
    if figures.errors.is_empty() {
        return String::new();
    }
    let mut errors: Vec<_> = figures.errors.iter().collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    let mut out = "\nErrors, each kind with the message of the first one\n".to_owned();
    for error in errors.iter().take(ERRORS) {
        let message: String = error.message.chars().take(MESSAGE).collect();
        let shed = if error.shed { " (shed)" } else { "" };
        let message = harmless(&message).replace('\n', "\n      ");
        out += &format!("  {} x {}{shed}\n      {message}\n", count(error.count), harmless(&error.kind));
    }
    if let Some(more) = errors.len().checked_sub(ERRORS).filter(|more| *more > 0) {
        out += &format!("  and {}; --json has all of them\n", counted(more as u64, "other kind"));
    }
    out
}

fn distributions(figures: &Figures) -> Vec<Vec<String>> {
    let heading = ["Milliseconds", "mean", "p50", "p90", "p95", "p99", "max"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let lateness = figures.lateness_ms.as_ref().filter(|_| figures.parameters.rate.is_some());
    for (name, of) in [
        ("TTFT (time to first token)", figures.ttft_ms.as_ref()),
        ("ITL (inter-token latency)", figures.itl_ms.as_ref()),
        ("TPOT (time per output token)", figures.tpot_ms.as_ref()),
        ("End-to-end latency", figures.e2e_ms.as_ref()),
        ("Sent later than due", lateness),
        ("Output tokens (a count)", figures.output_tokens.as_ref()),
    ] {
        rows.extend(of.map(|of| distribution(name, of)));
    }
    if rows.len() == 1 {
        rows = vec![vec!["No request was answered in whole: there is nothing to measure.".into()]];
    }
    rows
}

fn distribution(name: &str, of: &Distribution) -> Vec<String> {
    let figures = [of.mean, of.p50, of.p90, of.p95, of.p99, of.max];
    std::iter::once(name.to_owned()).chain(figures.map(number)).collect()
}

/// What must be known to read the figures.
fn notes(figures: &Figures) -> String {
    let mut notes = Vec::new();
    if figures.ended_early {
        notes.push("The run was ended before its end.".to_owned());
    }
    match &*figures.tokens.counted_by {
        "chunks" if figures.tokens.output > 0 => notes.push(
            "The server told no token counts (usage): pieces of answers were counted, which may have several tokens."
                .into(),
        ),
        "both" => {
            notes.push("The server told the tokens of some answers only; of the others pieces were counted.".into())
        }
        _ => {}
    }
    let late = figures.lateness_ms.as_ref().map_or(0.0, |late| late.p99);
    if figures.parameters.rate.is_some() && late > LATE {
        notes.push(format!(
            "1 % of the requests were sent more than {} ms after they were due: this machine, or --concurrency, did not allow \
             more. The latencies include that.",
            number(late)
        ));
    }
    if figures.requests.unsent > 0 {
        notes.push("The rate was not reached: requests were still waiting when the time was over.".into());
    }
    let all = [&figures.ttft_ms, &figures.itl_ms, &figures.tpot_ms, &figures.e2e_ms];
    if all.into_iter().flatten().any(|of| of.sampled) {
        notes.push("There were too many times to keep: some percentiles are those of a random choice.".into());
    }
    let lines: String = notes.iter().map(|note| format!("  {note}\n")).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Milliseconds of lateness that are worth a word.
const LATE: f64 = 5.0;
