//! The flags of the installed vLLM: the arguments of a configuration are checked against them before an engine starts.
//!
//! [`check`] tells the story: where the program is (`locate`) → what it said the last time (`cache`) or says now (`ask`)
//! → its flags (`help`) → what does not fit (`judge`). It blocks for as long as Python takes to import vLLM.

mod ask;
mod cache;
mod help;
mod judge;
mod locate;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::cache::Key;
use self::help::Help;
use self::judge::FlagError;
use crate::config::{Config, Diagnostic, Engines, SHUTDOWN_TIMEOUT, Severity, Spawn, flag_name, is_template, is_vllm};

/// The vLLM whose flags and behaviour this was written for.
const TESTED: locate::Version = (0, 32);

/// Importing vLLM takes 10 to 30 s, several times that on a busy machine with cold disks.
const LIMIT: Duration = Duration::from_secs(120);

/// How to ask.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where answers are kept; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// Where programs are looked for, as in `PATH`.
    pub path: Option<OsString>,
    /// How long a program may take to answer; `None`: none is asked, only what was kept is used.
    pub limit: Option<Duration>,
}

impl Options {
    /// As the environment says: answers are kept under `$XDG_CACHE_HOME/enginehouse` or `~/.cache/enginehouse`.
    #[must_use]
    pub fn from_env(env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        // The XDG specification has relative paths ignored.
        let folder = |name: &str| env(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
        let caches = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
        Self { cache: caches.map(|caches| caches.join("enginehouse")), path: env("PATH"), limit: Some(LIMIT) }
    }
}

/// Everything that the vLLM of each model would refuse, or that cannot be told. Blocks; never fails.
#[must_use]
pub fn check(config: &Config, options: &Options) -> Vec<Diagnostic> {
    programs(config).iter().flat_map(|program| check_program(program, config, options)).collect()
}

/// Whether the vLLM that `spawn` starts knows `flag`: as it said when it was asked last, else by its version. `false` where
/// neither can be told, as for one that runs in a container. Blocks for some file accesses; nothing is started.
#[must_use]
pub fn knows(spawn: &Spawn, flag: &str, options: &Options) -> bool {
    let program = Program { command: &spawn.command, models: vec![("", spawn)] };
    let options = Options { limit: None, ..options.clone() };
    match flags_of(&program, &options) {
        Ok((help, _)) => help.find(flag).is_some(),
        Err(_) => file_of(&program, &options)
            .ok()
            .and_then(|file| locate::version(&file))
            .and_then(|version| locate::numbers(&version))
            .is_some_and(|version| version >= TESTED),
    }
}

/// Models whose engines are started by the same command.
struct Program<'a> {
    command: &'a [String],
    models: Vec<(&'a str, &'a Spawn)>,
}

impl Program<'_> {
    fn name(&self) -> &str {
        self.command.first().map_or("vllm", String::as_str)
    }

    /// What the program is, its first model's environment says as well as any other's.
    fn env(&self) -> BTreeMap<String, String> {
        self.models.first().map(|(_, spawn)| spawn.env.clone()).unwrap_or_default()
    }
}

/// The programs that are vLLM, with their models in file order.
fn programs(config: &Config) -> Vec<Program<'_>> {
    let mut programs: Vec<Program<'_>> = Vec::new();
    for model in &config.models {
        let Engines::Spawn(spawn) = &model.engines else { continue };
        if !is_vllm(&spawn.command) || is_template(&spawn.command) {
            continue;
        }
        let entry = (&*model.name, spawn);
        match programs.iter_mut().find(|program| program.command == spawn.command) {
            Some(program) => program.models.push(entry),
            None => programs.push(Program { command: &spawn.command, models: vec![entry] }),
        }
    }
    programs
}

fn check_program(program: &Program<'_>, config: &Config, options: &Options) -> Vec<Diagnostic> {
    let (help, version) = match flags_of(program, options) {
        Ok(known) => known,
        Err((reason, remedy)) => {
            let reason = format!("Flags are not checked against vLLM: {reason}.");
            return vec![of_all(program, config, Severity::Note, reason, remedy)];
        }
    };
    let age = age(version.as_deref()).map(|(severity, reason)| {
        let remedy = format!("Install vLLM {}.{} or later.", TESTED.0, TESTED.1);
        of_all(program, config, severity, reason, remedy)
    });
    let of_each = program.models.iter().flat_map(|(name, spawn)| {
        let errors = judge::judge(spawn, &help).into_iter().map(|error| of_flag(config, name, spawn, error));
        errors.chain(missing(name, spawn, config, &help, version.as_deref())).collect::<Vec<_>>()
    });
    age.into_iter().chain(of_each).collect()
}

/// What is to be said about all models of a program.
fn of_all(program: &Program<'_>, config: &Config, severity: Severity, reason: String, remedy: String) -> Diagnostic {
    if let [(name, _)] = program.models[..] {
        let settings: [&[&str]; 2] = [&["models", name, "command"], &["models", name]];
        return config.source_map.diagnostic(severity, &settings, reason, remedy);
    }
    let names = program.models.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    config.source_map.diagnostic(severity, &[&["models"]], format!("Models {names}: {reason}"), remedy)
}

/// What is to be said about a flag, which stands in the model or in its profile.
fn of_flag(config: &Config, model: &str, spawn: &Spawn, error: FlagError) -> Diagnostic {
    let profile = spawn.profile.as_deref().unwrap_or_default();
    let settings: [&[&str]; 3] = [
        &["models", model, "args", &error.written],
        &["profiles", profile, "args", &error.written],
        &["models", model, "profile"],
    ];
    let found = config.source_map.diagnostic(Severity::Error, &settings, error.reason, error.remedy);
    if found.path.ends_with(".profile") {
        let reason = format!("Its flag `{}`: {}", error.written, found.reason);
        return Diagnostic { reason, ..found };
    }
    found
}

/// Programs that run others somewhere else: asking them could fetch an image or wait for a queue.
const ELSEWHERE: &[&str] =
    &["docker", "podman", "nerdctl", "apptainer", "singularity", "enroot", "kubectl", "ssh", "srun", "sudo"];

/// The program of `command`, if it runs the engine somewhere else: in a container, on another machine.
#[must_use]
pub fn runs_elsewhere(command: &[String]) -> Option<&str> {
    let program = command.first()?;
    let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program);
    Some(name).filter(|name| ELSEWHERE.contains(name))
}

/// The file that is run for a program.
fn file_of(of: &Program<'_>, options: &Options) -> Result<PathBuf, (String, String)> {
    if let Some(name) = runs_elsewhere(of.command) {
        let remedy = "Compare them with `vllm serve --help=all` there.";
        return Err((format!("`{name}` runs it somewhere else"), remedy.into()));
    }
    let program = of.name();
    let path = of.env().get("PATH").map(OsString::from).or_else(|| options.path.clone());
    locate::locate(program, path.as_deref()).ok_or_else(|| {
        (
            format!("`{program}` is not installed here"),
            "Install it, or check the file where the engines will run.".into(),
        )
    })
}

/// The flags of a program, and the version of vLLM.
fn flags_of(of: &Program<'_>, options: &Options) -> Result<(Help, Option<String>), (String, String)> {
    let (program, env, command) = (of.name(), of.env(), of.command);
    let file = file_of(of, options)?;
    let version = locate::version(&file);
    let words = command.get(1..).unwrap_or_default();
    let key = Key::of(&file, words, version.clone());
    let kept = options.cache.as_deref().zip(key.as_ref()).and_then(|(folder, key)| cache::get(folder, key));
    if let Some(help) = kept.and_then(|text| Help::parse(&text)) {
        return Ok((help, version));
    }
    let mut asked = vec![file.to_string_lossy().into_owned()];
    asked.extend_from_slice(words);
    let by_hand = || format!("See what `{} --help=all` says.", asked.join(" "));
    let limit = options
        .limit
        .ok_or_else(|| (format!("`{program}` was not asked yet"), "`enginehouse check` asks it.".to_owned()))?;
    let text = ask::ask(&asked, &env, limit).map_err(|why| (why, by_hand()))?;
    let help = Help::parse(&text).ok_or_else(|| (format!("`{program}` prints no help of `vllm serve`"), by_hand()))?;
    if let Some((folder, key)) = options.cache.as_deref().zip(key.as_ref()) {
        cache::put(folder, key, &text);
    }
    Ok((help, version))
}

/// What is to be said about a version.
fn age(version: Option<&str>) -> Option<(Severity, String)> {
    let (major, minor) = TESTED;
    // A build out of a bare checkout calls itself 0.1.dev1, whatever it is.
    let numbers = version.filter(|text| !text.starts_with("0.1.dev")).and_then(locate::numbers);
    match numbers {
        Some(found) if found < TESTED => Some((
            Severity::Warning,
            format!(
                "vLLM {} is older than {major}.{minor}, the oldest that Enginehouse is tested with: draining at a stop \
                 (--shutdown-timeout), sleep and changing adapters may not work as described.",
                version.unwrap_or_default()
            ),
        )),
        Some(_) => None,
        None => {
            let text = format!("The version of vLLM cannot be told; Enginehouse is tested with {major}.{minor}.");
            Some((Severity::Note, text))
        }
    }
}

/// Flags that Enginehouse gives by itself and the installed vLLM does not have.
fn missing(model: &str, spawn: &Spawn, config: &Config, help: &Help, version: Option<&str>) -> Vec<Diagnostic> {
    let called = version.map_or_else(|| "vLLM".to_owned(), |version| format!("vLLM {version}"));
    let gone = relied_on(spawn).into_iter().filter(|(flag, _)| help.find(flag).is_none());
    let is_given = spawn.args.keys().any(|name| flag_name(name) == SHUTDOWN_TIMEOUT);
    let is_cut = !config.timeouts.drain.is_zero() && !is_given && help.find(SHUTDOWN_TIMEOUT).is_none();
    let cut = is_cut.then(|| {
        let reason = format!(
            "The installed {called} has no `--{SHUTDOWN_TIMEOUT}`: requests in flight are cut when an engine stops."
        );
        let remedy = format!("Install vLLM {}.{} or later.", TESTED.0, TESTED.1);
        config.source_map.diagnostic(Severity::Warning, &[&["models", model]], reason, remedy)
    });
    let gone = gone.map(|(flag, why)| {
        let reason = format!("The installed {called} has no `--{flag}`, which is given {why}.");
        let remedy = format!("Install vLLM {}.{} or later.", TESTED.0, TESTED.1);
        config.source_map.diagnostic(Severity::Error, &[&["models", model]], reason, remedy)
    });
    gone.chain(cut).collect()
}

/// Flags that Enginehouse gives by itself, and why.
fn relied_on(spawn: &Spawn) -> Vec<(&'static str, &'static str)> {
    let mut flags = vec![("served-model-name", "so that engines know their name")];
    if spawn.sleep_mode {
        flags.push(("enable-sleep-mode", "because of `sleep_mode`"));
    }
    if spawn.takes_lora {
        flags.extend([("enable-lora", "because of `lora`"), ("lora-modules", "because of `lora`")]);
    }
    flags
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            found.iter().map(|(severity, _)| *severity).collect::<Vec<_>>(),
            [Severity::Warning, Severity::Warning]
        );
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
}
