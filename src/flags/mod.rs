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
#[cfg(test)]
mod tests;

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
    examine(config, options).into_iter().flat_map(|program| program.found).collect()
}

/// What is known of a program that starts vLLM.
#[derive(Clone, Debug)]
pub struct Examined {
    /// As the configuration names it, such as `vllm`.
    pub program: String,
    /// The file that is run for it; `None` where there is none on this machine.
    pub file: Option<PathBuf>,
    /// Whether it runs vLLM somewhere else: in a container, on another machine.
    pub is_elsewhere: bool,
    /// The version of vLLM beside it.
    pub version: Option<String>,
    /// Why its flags are unknown, and what to do; `None`: it told them.
    pub silent: Option<(String, String)>,
    /// What its vLLM would refuse, or that cannot be told.
    pub found: Vec<Diagnostic>,
}

/// Each program of `config` that starts vLLM, with what [`check`] says about it. Blocks; never fails.
#[must_use]
pub fn examine(config: &Config, options: &Options) -> Vec<Examined> {
    programs(config).iter().map(|program| examine_program(program, config, options)).collect()
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

fn examine_program(program: &Program<'_>, config: &Config, options: &Options) -> Examined {
    let file = file_of(program, options).ok();
    let version = file.as_deref().and_then(locate::version);
    let is_elsewhere = runs_elsewhere(program.command).is_some();
    let (found, silent) = match flags_of(program, options) {
        Ok((help, version)) => (judged(program, config, &help, version.as_deref()), None),
        Err((reason, remedy)) => {
            let note = format!("Flags are not checked against vLLM: {reason}.");
            (vec![of_all(program, config, Severity::Note, note, remedy.clone())], Some((reason, remedy)))
        }
    };
    Examined { program: program.name().to_owned(), file, is_elsewhere, version, silent, found }
}

fn judged(program: &Program<'_>, config: &Config, help: &Help, version: Option<&str>) -> Vec<Diagnostic> {
    let age = age(version).map(|(severity, reason)| {
        let remedy = format!("Install vLLM {}.{} or later.", TESTED.0, TESTED.1);
        of_all(program, config, severity, reason, remedy)
    });
    let of_each = program.models.iter().flat_map(|(name, spawn)| {
        let errors = judge::judge(spawn, help).into_iter().map(|error| of_flag(config, name, spawn, error));
        errors.chain(missing(name, spawn, config, help, version)).collect::<Vec<_>>()
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
