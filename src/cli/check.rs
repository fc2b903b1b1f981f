//! `enginehouse check FILE`: which engine a configuration would run where, or all its errors.

mod doubts;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::config_arg::ConfigArgs;
use super::output::fail;
use super::{gpus, needs};
use crate::config::{self, Config, Diagnostic, Diagnostics, Engines, Gpus, Layer, Layers, Setting, Severity};
use crate::ids::EngineId;
use crate::inventory::Inventory;
use crate::placement::{self, Assignment, Conflict, Demand};
use crate::{app, flags, supervisor};

/// What the configuration on standard input is called.
const STANDARD_INPUT: &str = "-";

/// What is checked.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// The state directory that the gateway is served with, if `serve` is told one: engines that run from there have their GPUs
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Prints which engine would run where and succeeds, or prints all errors to standard error and fails.
#[must_use]
pub(super) fn run(args: &Args) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let layers = if args.config.is_standard_input() {
        Ok((STANDARD_INPUT.to_owned(), standard_input(args.config.settings(), &mut io::stdin().lock())))
    } else {
        args.config.source(None).map(|source| (source.title(), source.read()))
    };
    let (title, layers) = match layers {
        Ok(found) => found,
        Err(why) => return fail(&why),
    };
    let load = || {
        let config = config::parse_layers(layers.as_ref().map_err(Clone::clone)?, &env)?;
        Ok(Config { state_dir: args.state_dir.clone().or(config.state_dir.clone()), ..config })
    };
    report((&title, &load), &env, &gpus::read, &mut io::stdout().lock(), &mut io::stderr().lock())
}

/// What is on standard input, with these settings on top.
fn standard_input(settings: &[Setting], input: &mut dyn Read) -> Result<Layers, Diagnostics> {
    let text = config::read_from("Standard input", input)?;
    let layer = Layer { path: PathBuf::new(), text: text.into() };
    Ok(Layers::new(vec![layer], settings.into()).with_profiles(app::user_profiles()))
}

fn report(
    (title, load): (&str, &dyn Fn() -> Result<Config, Diagnostics>),
    env: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn() -> Inventory,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let found = match load() {
        Ok(config) => {
            let (text, mut found) = plan(&config, true, env, read);
            // A reader that stopped reading (`| head`) is no failure of the check.
            let _ = write!(out, "{text}");
            found.extend(flags(&config, err));
            found
        }
        Err(found) => found.0,
    };
    let (errors, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.severity == Severity::Error);
    for one in others {
        let _ = if one.severity == Severity::Note { writeln!(out, "\n{one}") } else { writeln!(err, "{one}\n") };
    }
    if errors.is_empty() {
        return ExitCode::SUCCESS;
    }
    let plural = if errors.len() == 1 { "error" } else { "errors" };
    let _ = writeln!(err, "{title}: {} {plural}\n\n{}", errors.len(), Diagnostics(errors));
    ExitCode::FAILURE
}

/// What would run where, and what is to be said of it; vLLM is not asked. `is_filed`: the file has its name, and so has the
/// state directory.
fn plan(
    config: &Config,
    is_filed: bool,
    env: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn() -> Inventory,
) -> (String, Vec<Diagnostic>) {
    let (placed, assigned, mut found) = assignments(config, read);
    let mut out = config::overview(config);
    let starts = || config.models.iter().any(|model| matches!(model.engines, Engines::Spawn(_)));
    if is_filed && config.state_dir.is_none() && starts() {
        let _ = writeln!(out, "\nRecords and engine logs: {}", app::state_dir(config).display());
    }
    for text in [placed, needs::told(config, &assigned, env)].iter().filter(|text| !text.is_empty()) {
        let _ = write!(out, "\n{text}");
    }
    found.extend(config::notes(config));
    found.extend(doubts::doubts(config));
    (out, found)
}

/// The same as one text, for a person who looks at it before it is started.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn told(
    config: &Config,
    is_filed: bool,
    env: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn() -> Inventory,
) -> Result<String, String> {
    let (mut text, found) = plan(config, is_filed, env, read);
    let (errors, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(Diagnostics(errors).to_string());
    }
    for one in others {
        let _ = write!(text, "\n{one}\n");
    }
    Ok(text)
}

/// What the installed vLLM would refuse. It can take a minute, the first time after vLLM was installed: Python has to import
/// it.
fn flags(config: &Config, err: &mut dyn Write) -> Vec<Diagnostic> {
    if io::stderr().is_terminal() {
        let _ = writeln!(err, "Checking flags against the installed vLLM; the first time this takes a while ...");
    }
    flags::check(config, &flags::Options::from_env(&|name| std::env::var_os(name)))
}

/// Which engine gets which GPUs of this machine. Where no driver tells of GPUs (configurations are written on laptops
/// too), only what is wrong on any machine is an error.
fn assignments(config: &Config, read: &dyn Fn() -> Inventory) -> (String, Vec<Assignment>, Vec<Diagnostic>) {
    let mut demands = placement::demands(config);
    let pinned = |demand: &Demand| demand.gpus != Gpus::AsVisible;
    if !demands.iter().any(pinned) {
        return (String::new(), Vec::new(), Vec::new());
    }
    let mut inventory = read();
    // The memory of this gateway's own engines, if they run now, is the memory that they are to have.
    inventory.forget(&supervisor::processes(&app::state_dir(config)));
    let mut text = String::new();
    if !inventory.known {
        let why = inventory.faults.first().map_or("the driver reported none", String::as_str);
        text = format!("GPUs were not checked on this machine: {why}\n");
        demands.retain(|demand| !matches!(demand.gpus, Gpus::Any(_)));
    }
    match placement::place(&inventory, &demands, &[]) {
        Ok(assigned) => {
            if inventory.known {
                text = placement::table(&assigned);
            }
            (text, assigned, Vec::new())
        }
        Err(conflicts) => (text, Vec::new(), conflicts.into_iter().map(|one| misplaced(config, one)).collect()),
    }
}

/// Engines that cannot have their GPUs; told where the first of them has its `gpus`.
fn misplaced(config: &Config, conflict: Conflict) -> Diagnostic {
    let model = conflict.engines.first().map(EngineId::model).unwrap_or_default();
    let settings: [&[&str]; 2] = [&["models", model, "gpus"], &["models", model]];
    config.source_map.diagnostic(Severity::Error, &settings, conflict.reason, conflict.remedy)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn nothing() -> Inventory {
        Inventory { faults: vec!["no driver".into()], ..Inventory::default() }
    }

    fn check(text: &str) -> (ExitCode, String, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, text).expect("a file");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code =
            report(("gateway.yaml", &|| config::load(&file, &|_| None)), &|_| None, &nothing, &mut out, &mut err);
        (code, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
    }

    #[test]
    fn a_good_file_prints_an_overview_and_succeeds() {
        let (code, out, err) = check("models: {m: {source: s, command: [enginehouse, sim]}}");
        assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
        assert!(out.contains("enginehouse sim s"), "{out}");
    }

    #[test]
    fn a_bad_file_prints_everything_that_is_wrong_and_fails() {
        let (code, out, err) = check("models: {m: {source: s}}\nlistne: x\nthreads: 0\n");
        assert_eq!((code, out.as_str()), (ExitCode::FAILURE, ""));
        assert!(err.contains("gateway.yaml: 2 errors") && err.contains("listne, line 2"), "{err}");
    }

    #[test]
    fn a_dash_is_standard_input() {
        let read = |text: &str| {
            standard_input(&[], &mut text.as_bytes()).and_then(|layers| config::parse_layers(&layers, &|_| None))
        };
        assert!(read("models: {m: {source: s}}").is_ok_and(|config| config.models.len() == 1));
        assert!(read("listne: x").is_err_and(|found| found.to_string().contains("listen")));
        assert!(standard_input(&[], &mut &b"\xff"[..]).is_err());
    }

    #[test]
    fn what_may_not_hold_here_is_a_warning_and_no_failure() {
        let (code, _, err) = check("models: {m: {source: /no/such/model, command: [python, serve.py]}}");
        assert_eq!(code, ExitCode::SUCCESS, "{err}");
        assert!(err.starts_with("warning: models.m.source, line 1"), "{err}");
    }

    #[test]
    fn a_file_that_does_not_exist_is_an_error() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let file = Path::new("/no/such/gateway.yaml");
        let code = report(("gateway.yaml", &|| config::load(file, &|_| None)), &|_| None, &nothing, &mut out, &mut err);
        assert_eq!(code, ExitCode::FAILURE);
        assert!(String::from_utf8_lossy(&err).contains("cannot be read"));
    }

    #[test]
    fn without_a_driver_what_holds_on_any_machine_is_checked_and_the_rest_is_said_not_to_be() {
        let model = |name: &str, share: f64| format!("  {name}: {{source: s, gpus: [0, 7], gpu_memory: {share}}}\n");
        let (code, out, err) = check(&format!("models:\n{}  n: {{source: s, gpus: 2}}\n", model("m", 0.9)));
        assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
        assert!(out.contains("\nGPUs were not checked on this machine: no driver\n"), "{out}");
        let (code, out, err) = check("models: {m: {source: s, gpus: [0]}, n: {source: s, gpus: [0]}}");
        assert_eq!(code, ExitCode::FAILURE);
        assert!(out.contains("not checked"), "{out}");
        assert!(err.contains("GPU 0: model m takes 0.92, model n asks 0.92; together 1.84, 0.95 is the most"), "{err}");
        let (_, out, _) = check("models: {m: {source: s}}");
        assert!(!out.contains("GPUs were"), "nobody asked for a GPU: {out}");
    }

    #[test]
    fn flags_that_the_installed_vllm_does_not_know_fail() {
        let folder = tempfile::tempdir().expect("a folder");
        let vllm = folder.path().join("vllm");
        let help = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/vllm/help-all-0.32.0.txt");
        std::fs::write(&vllm, format!("#!/bin/sh\ncat {help}\n")).expect("a script");
        std::fs::set_permissions(&vllm, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
        let model = format!("source: s, command: [{vllm:?}, serve]");
        let (code, out, err) = check(&format!("models: {{m: {{{model}, args: {{swap-space: 4}}}}}}"));
        assert_eq!(code, ExitCode::FAILURE);
        assert!(
            err.contains(
                "models.m.args.swap-space, line 1: 4\n    vLLM dropped the flag `--swap-space`.\n    -> Remove it"
            ),
            "{err}"
        );
        assert!(
            out.contains("note: models.m.command, line 1: a list of 2\n    The version of vLLM cannot be told"),
            "{out}"
        );
        let (code, ..) = check(&format!("models: {{m: {{{model}, args: {{max-model-len: 4096}}}}}}"));
        assert_eq!(code, ExitCode::SUCCESS);
    }
}
