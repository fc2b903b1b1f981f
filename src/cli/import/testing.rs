//! Files for tests of imports: written ones, those of tests/imported, and arbitrary ones.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Map, Value};

use super::input::File;
use super::report::Outcome;
use super::yaml;

/// Any tree of YAML.
pub(super) fn any_value(text: &'static str) -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text, inner), 0..4).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// Files with these texts.
pub(super) fn files(texts: &[(&str, &str)]) -> Vec<File> {
    let tree = |name: &str, text: &str| File { name: name.to_owned(), tree: yaml::read(text).expect("YAML") };
    texts.iter().map(|(name, text)| tree(name, text)).collect()
}

/// What an import printed.
pub(super) struct Printed {
    /// Its exit code.
    pub(super) code: ExitCode,
    /// The configuration.
    pub(super) out: String,
    /// The same as a tree.
    pub(super) config: Value,
    /// The report.
    pub(super) err: String,
}

/// What `import` prints of files with these texts.
pub(super) fn printed(
    import: fn(Vec<File>, &mut dyn Write, &mut dyn Write) -> ExitCode,
    texts: &[(&str, &str)],
) -> Printed {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = import(files(texts), &mut out, &mut err);
    let (out, err) = (String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"));
    let config = Value::Object(yaml::read(&out).expect("YAML"));
    Printed { code, out, config, err }
}

/// The files of a folder of tests/imported, with their names.
pub(super) fn imported(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imported").join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(path).expect("a file"));
    let mut all: Vec<_> = entries.map(read).collect();
    all.sort();
    all
}

/// Fails where `printed` would not pass `enginehouse check` with all variables set.
pub(super) fn passes(printed: &Printed) {
    assert_eq!(printed.code, ExitCode::SUCCESS, "{}{}", printed.err, printed.out);
    let set = |name: &str| {
        let value = if name.ends_with("_BASE") { "http://10.0.0.3:8000/v1" } else { name };
        Some(value.to_owned())
    };
    let parsed = crate::config::parse(&printed.out, &set);
    assert!(parsed.is_ok(), "{}\n{}", parsed.err().map(|found| found.to_string()).unwrap_or_default(), printed.out);
}

/// Trees with these keys, with anything in them.
pub(super) fn shaped(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let text = "(\\$\\{[A-Za-z._]{0,5}\\}|os\\.environ/A|http://h|127\\.0\\.0\\.1|/v1|:80|\\*|a|m|vllm serve \
        |--port |=|,|'|sk-0123456789|\\PC){0,4}";
    let key = prop_oneof![6 => prop::sample::select(keys).prop_map(str::to_owned), 1 => text.prop_map(String::from)];
    let leaf = any_value(text);
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((key.clone(), inner), 0..8).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// Fails where the text of `outcome` says something else than it does, or what it prints is no YAML.
pub(super) fn says_the_same(outcome: &Outcome) -> Result<(), TestCaseError> {
    let text = outcome.document.text();
    prop_assert_eq!(yaml::read(&text).map(Value::Object), Ok(outcome.document.value()), "{}", text);
    Ok(())
}
