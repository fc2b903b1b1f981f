//! What a scan found, as text for people.

use std::fmt::Write;

use crate::local_models::{Found, LocalAdapter, LocalModel, State};
use crate::text_table::aligned;

/// Where nothing is known.
const UNKNOWN: &str = "-";

/// Models, adapters, what there is to say about them, and where was looked.
pub(super) fn table(found: &Found) -> String {
    let mut out = String::new();
    if !found.models.is_empty() {
        let mut rows = vec![
            [
                "MODEL",
                "SIZE",
                "PARAMETERS",
                "ARCHITECTURE",
                "CONTEXT",
                "DTYPE",
                "QUANTIZED",
                "WEIGHTS",
                "KV CACHE",
                "STATE",
            ]
            .map(str::to_owned),
        ];
        rows.extend(found.models.iter().map(model));
        let _ = writeln!(
            out,
            "{}\nWEIGHTS, KV CACHE: GPU memory, estimated, for the weights and for one request of CONTEXT tokens. Activations and \
             CUDA graphs take some GiB more.",
            aligned(&rows)
        );
    }
    if !found.adapters.is_empty() {
        let mut rows = vec![["ADAPTER", "SIZE", "RANK", "BASE", "BASE IS HERE", "STATE"].map(str::to_owned)];
        rows.extend(found.adapters.iter().map(adapter));
        let _ = write!(out, "{}{}", gap(&out), aligned(&rows));
    }
    let told = notes(found);
    if !told.is_empty() {
        let _ = write!(out, "{}{told}", gap(&out));
    }
    for problem in &found.problems {
        let [path, reason, remedy] = [&problem.path, &problem.reason, &problem.remedy].map(|text| clean(text));
        let _ = write!(out, "{}problem: {path}: {reason}\n    -> {remedy}\n", gap(&out));
    }
    let _ = write!(out, "{}{}", gap(&out), places(found));
    out
}

/// An empty line between parts.
fn gap(before: &str) -> &'static str {
    if before.is_empty() { "" } else { "\n" }
}

fn model(model: &LocalModel) -> [String; 10] {
    let shown = |text: &Option<String>| text.as_deref().map_or_else(|| UNKNOWN.to_owned(), clean);
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| UNKNOWN.to_owned(), size);
    [
        clean(&model.source),
        size(model.bytes),
        model.parameters.map_or_else(|| UNKNOWN.to_owned(), parameters),
        shown(&model.architecture),
        model.context_length.map_or_else(|| UNKNOWN.to_owned(), |length| length.to_string()),
        shown(&model.dtype),
        shown(&model.quantization),
        bytes(model.memory.weights),
        bytes(model.memory.cache_per_request),
        state(model.state),
    ]
}

fn adapter(adapter: &LocalAdapter) -> [String; 6] {
    let shown = |text: &Option<String>| text.as_deref().map_or_else(|| UNKNOWN.to_owned(), clean);
    let here = match (&adapter.base, &adapter.base_source) {
        (None, _) => UNKNOWN.to_owned(),
        (Some(_), None) => "no".to_owned(),
        (Some(base), Some(source)) if base == source => "yes".to_owned(),
        (Some(_), Some(source)) => clean(source),
    };
    [
        clean(&adapter.source),
        size(adapter.bytes),
        adapter.rank.map_or_else(|| UNKNOWN.to_owned(), |rank| rank.to_string()),
        shown(&adapter.base),
        here,
        state(adapter.state),
    ]
}

fn state(state: State) -> String {
    match state {
        State::Complete => "complete",
        State::Incomplete => "incomplete",
        State::NoWeights => "no weights",
    }
    .to_owned()
}

/// What there is to say about each, a line each.
fn notes(found: &Found) -> String {
    let models = found.models.iter().map(|model| (&model.source, &model.revisions, &model.notes));
    let adapters = found.adapters.iter().map(|adapter| (&adapter.source, &adapter.revisions, &adapter.notes));
    let mut out = String::new();
    for (source, revisions, notes) in models.chain(adapters) {
        let several = (revisions.len() > 1).then(|| format!("{} revisions are here", revisions.len()));
        let said: Vec<String> = several.into_iter().chain(notes.iter().map(|note| clean(note))).collect();
        if !said.is_empty() {
            let _ = writeln!(out, "{}: {}", clean(source), said.join("; "));
        }
    }
    out
}

fn places(found: &Found) -> String {
    let mut out = String::new();
    for place in &found.places {
        let what = if place.is_hub { "the cache of the Hugging Face hub, " } else { "" };
        let there = if place.is_there { "" } else { " (not there)" };
        let _ = writeln!(out, "Looked in {what}{}{there}", clean(&place.path));
    }
    if found.places.is_empty() {
        out.push_str("There was nowhere to look: neither HF_HOME nor HOME is set, and no --dir was given.\n");
    }
    let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let bytes = found.models.iter().map(|model| model.bytes).chain(found.adapters.iter().map(|adapter| adapter.bytes));
    let (models, adapters) = (count(found.models.len(), "model"), count(found.adapters.len(), "adapter"));
    let _ = writeln!(out, "{models}, {adapters}, {}", size(bytes.fold(0, u64::saturating_add)));
    out
}

/// Bytes as people read them.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match () {
        () if bytes >= 0.1 * f64::from(1 << 30) => format!("{:.1} GiB", bytes / f64::from(1 << 30)),
        () if bytes >= 0.1 * f64::from(1 << 20) => format!("{:.1} MiB", bytes / f64::from(1 << 20)),
        () => format!("{:.1} KiB", bytes / 1024.0),
    }
}

/// Parameters as model cards give them.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn parameters(count: u64) -> String {
    let count = count as f64;
    match () {
        () if count >= 1e12 => format!("{:.2} T", count / 1e12),
        () if count >= 1e9 => format!("{:.2} B", count / 1e9),
        () if count >= 1e6 => format!("{:.1} M", count / 1e6),
        () => format!("{:.1} K", count / 1e3),
    }
}

/// `text` without what a terminal would obey: names of files are anybody's.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_models::{Format, Memory, Place, Problem};

    fn found() -> Found {
        let model = LocalModel {
            source: "Qwen/Qwen3-8B".into(),
            hub_id: Some("Qwen/Qwen3-8B".into()),
            path: "/hub/x".into(),
            format: Format::Safetensors,
            state: State::Complete,
            bytes: 16 << 30,
            revision: None,
            revisions: vec![],
            architecture: Some("Qwen3ForCausalLM".into()),
            model_type: None,
            context_length: Some(40960),
            dtype: Some("bfloat16".into()),
            quantization: None,
            parameters: Some(8_190_735_360),
            memory: Memory {
                weights: Some(15 << 30),
                cache_per_token: Some(1),
                cache_per_request: Some(6_039_797_760),
            },
            notes: vec![],
        };
        let adapter = LocalAdapter {
            source: "/models/sql\u{1b}[2J".into(),
            hub_id: None,
            path: String::new(),
            state: State::Incomplete,
            bytes: 40 << 20,
            revision: None,
            revisions: vec![],
            base: Some("Qwen/Qwen3-8B".into()),
            base_source: Some("Qwen/Qwen3-8B".into()),
            kind: Some("LORA".into()),
            rank: Some(16),
            notes: vec!["its weights are not on disk".into()],
        };
        Found {
            models: vec![model],
            adapters: vec![adapter],
            places: vec![Place { path: "/hub".into(), is_hub: true, is_there: true }],
            problems: vec![Problem {
                path: "/x".into(),
                reason: "cannot be read".into(),
                remedy: "Let this user read it.".into(),
            }],
        }
    }

    #[test]
    fn a_table_shows_what_there_is_and_what_is_wrong() {
        let expected = "\
MODEL          SIZE      PARAMETERS  ARCHITECTURE      CONTEXT  DTYPE     QUANTIZED  WEIGHTS   KV CACHE  STATE
Qwen/Qwen3-8B  16.0 GiB  8.19 B      Qwen3ForCausalLM  40960    bfloat16  -          15.0 GiB  5.6 GiB   complete

WEIGHTS, KV CACHE: GPU memory, estimated, for the weights and for one request of CONTEXT tokens. Activations and CUDA graphs take some GiB more.

ADAPTER          SIZE      RANK  BASE           BASE IS HERE  STATE
/models/sql\u{fffd}[2J  40.0 MiB  16    Qwen/Qwen3-8B  yes           incomplete

/models/sql\u{fffd}[2J: its weights are not on disk

problem: /x: cannot be read
    -> Let this user read it.

Looked in the cache of the Hugging Face hub, /hub
1 model, 1 adapter, 16.0 GiB
";
        assert_eq!(table(&found()), expected);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let nothing =
            Found { places: vec![Place { path: "/hub".into(), is_hub: true, is_there: false }], ..Found::default() };
        let expected = "Looked in the cache of the Hugging Face hub, /hub (not there)\n0 models, 0 adapters, 0.0 KiB\n";
        assert_eq!(table(&nothing), expected);
        assert!(table(&Found::default()).contains("neither HF_HOME nor HOME"));
    }

    #[test]
    fn sizes_are_those_people_write() {
        assert_eq!(
            [0, 2048, 5 << 20, 200 << 20, 40 << 30].map(size),
            ["0.0 KiB", "2.0 KiB", "5.0 MiB", "0.2 GiB", "40.0 GiB"]
        );
        assert_eq!(
            [1_024, 751_632_384, 671_026_419_200, 1_026_000_000_000].map(parameters),
            ["1.0 K", "751.6 M", "671.03 B", "1.03 T"]
        );
    }
}
