//! A configuration's flags against programs that answer as vLLM does, or do not.

use std::fs;

use super::testing::{Venv, config, only_file, spawn_of};
use super::*;

struct Bench {
    folder: tempfile::TempDir,
    limit: Option<Duration>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), limit: Some(Duration::from_secs(60)) }
    }

    fn check(&self, config: &Config) -> Vec<(Severity, String)> {
        let options = Options { cache: Some(self.folder.path().join("c")), path: None, limit: self.limit };
        let text = |one: &Diagnostic| format!("{}: {}", one.place(), one.message());
        check(config, &options).iter().map(|one| (one.severity, text(one))).collect()
    }
}

#[track_caller]
fn assert_only(found: &[(Severity, String)], severity: Severity, part: &str) {
    assert!(found.len() == 1 && found[0].0 == severity && found[0].1.contains(part), "{part:?}: {found:?}");
}

#[test]
fn a_program_is_asked_once_until_it_changes() {
    let (venv, bench) = (Venv::real(), Bench::new());
    let good = venv.config("args: {max-model-len: 8192}, sleep_mode: true, lora: {}");
    let bad = venv.config("args: {max-modle-len: 8192}");
    assert_eq!(bench.check(&good), []);
    let expected =
        "models.m.args.max-modle-len, line 1: vLLM has no flag `--max-modle-len`. Did you mean `max-model-len`?";
    assert_eq!(bench.check(&bad), [(Severity::Error, expected.to_owned())]);
    assert_eq!(venv.calls(), ["serve --help=all"]);
    venv.installed("0.33.0");
    assert_eq!(bench.check(&good), []);
    assert_eq!(venv.calls().len(), 2);
    fs::write(only_file(&bench.folder.path().join("c")), "garbage").expect("a file");
    assert_eq!(bench.check(&good), []);
    assert_eq!(bench.check(&good), []);
    assert_eq!(venv.calls().len(), 3, "a broken answer is asked for again and replaced");
}

#[test]
fn models_of_one_command_ask_once_and_are_told_apart() {
    let (venv, bench) = (Venv::real(), Bench::new());
    let program = venv.program();
    let config = config(&format!(
        "models:\n  a: {{source: s, command: [{program:?}, serve], profile: own}}\n  \
         b: {{source: s, command: [{program:?}, serve], args: {{swap-space: 4}}}}\n  \
         c: {{source: s, command: [enginehouse, sim], args: {{x: 1}}}}\n  d: {{urls: ['http://h:1']}}\n  \
         e: {{source: s, command: [docker, run, vllm/vllm-openai], args: {{x: 1}}}}\n\
         profiles:\n  own:\n    args: {{dtype: int}}\n"
    ));
    let found = bench.check(&config);
    let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
    assert!(texts[0].starts_with("profiles.own.args.dtype, line 9: `--dtype` cannot be `int`."), "{texts:?}");
    assert!(
        texts[1].starts_with("models.b.args.swap-space, line 3: vLLM dropped the flag `--swap-space`."),
        "{texts:?}"
    );
    let elsewhere = "models.e.command, line 6: Flags are not checked against vLLM: `docker` runs it \
                     somewhere else. Compare them with `vllm serve --help=all` there.";
    assert_eq!(texts[2..], [elsewhere]);
    assert_eq!(venv.calls().len(), 1);
}

#[test]
fn what_cannot_be_asked_is_a_note() {
    let bench = Bench::new();
    let gone = config("models: {m: {source: s}}");
    assert_only(&bench.check(&gone), Severity::Note, "`vllm` is not installed here");
    let garbage = Venv::new("echo hello");
    assert_only(&bench.check(&garbage.config("")), Severity::Note, "prints no help of `vllm serve`");
    assert_only(&bench.check(&garbage.config("")), Severity::Note, "prints no help");
    assert_eq!(garbage.calls().len(), 2, "nothing is kept of it");
    let broken = Venv::new("echo 'ImportError: libcuda' >&2; exit 1");
    assert_only(&bench.check(&broken.config("")), Severity::Note, "ImportError: libcuda");
    let slow = Venv::new("mkfifo on; read x < on");
    let bench = Bench { limit: Some(Duration::from_millis(200)), ..bench };
    assert_only(&bench.check(&slow.config("")), Severity::Note, "longer than 0.2 s");
}

#[test]
fn without_a_limit_only_what_was_asked_before_is_used() {
    let (venv, bench) = (Venv::real(), Bench::new());
    let bad = venv.config("args: {swap-space: 4}");
    let bench = Bench { limit: None, ..bench };
    assert_only(&bench.check(&bad), Severity::Note, "was not asked yet");
    let bench = Bench { limit: Some(Duration::from_secs(60)), ..bench };
    assert_only(&bench.check(&bad), Severity::Error, "vLLM dropped the flag");
    let bench = Bench { limit: None, ..bench };
    assert_only(&bench.check(&bad), Severity::Error, "vLLM dropped the flag");
    assert_eq!(venv.calls().len(), 1);
}

#[test]
fn an_old_vllm_is_told_with_what_it_lacks() {
    let (venv, bench) = (Venv::new("grep -v shutdown-timeout help.txt"), Bench::new());
    venv.installed("0.9.1");
    let found = bench.check(&venv.config(""));
    assert_eq!(found.iter().map(|(severity, _)| *severity).collect::<Vec<_>>(), [Severity::Warning, Severity::Warning]);
    assert!(found[0].1.contains("vLLM 0.9.1 is older than 0.32"), "{found:?}");
    assert!(found[1].1.contains("The installed vLLM 0.9.1 has no `--shutdown-timeout`"), "{found:?}");
    let found = bench.check(&venv.config("args: { shutdown_timeout: false }"));
    assert_only(&found, Severity::Warning, "vLLM 0.9.1 is older than 0.32");
    let severity = |version| age(version).map(|(severity, _)| severity);
    assert_eq!((severity(Some("0.32.0+cpu")), severity(Some("1.0"))), (None, None));
    for unknown in [None, Some("dev"), Some("0.1.dev1+gabc")] {
        assert_eq!(severity(unknown), Some(Severity::Note), "{unknown:?}");
    }
}

#[test]
fn a_flag_is_known_by_what_vllm_said_or_else_by_its_version() {
    let (venv, bench) = (Venv::new("grep -v shutdown-timeout help.txt"), Bench::new());
    let config = venv.config("");
    let options = Options { cache: Some(bench.folder.path().join("c")), path: None, limit: bench.limit };
    let knows = |config: &Config| knows(spawn_of(config), SHUTDOWN_TIMEOUT, &options);
    venv.installed("0.31.2");
    assert!(!knows(&config), "too old");
    venv.installed("0.32.0");
    assert!(knows(&config), "new enough");
    assert!(venv.calls().is_empty(), "nothing was started");
    bench.check(&config);
    assert!(!knows(&config), "it said that it has none");
    let elsewhere = testing::config("models: {m: {source: s, command: [docker, run, vllm/vllm-openai]}}");
    assert!(!knows(&elsewhere));
    let nowhere = testing::config("models: {m: {source: s, command: [/no/vllm, serve]}}");
    assert!(!knows(&nowhere));
}

#[test]
fn answers_are_kept_where_the_system_says() {
    let of = |set: &[(&str, &str)]| {
        let value = |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).into());
        Options::from_env(&value).cache
    };
    assert_eq!(of(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), Some("/c/enginehouse".into()));
    assert_eq!(of(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")]), Some("/h/.cache/enginehouse".into()));
    assert_eq!(of(&[]), None);
}
