//! `enginehouse check FILE`: which engine a configuration would run where, or all its errors.

mod doubts;
mod findings;
mod plan;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use self::findings::{Checked, Findings};
use self::plan::Plan;
use super::config_arg::ConfigArgs;
use super::gpus;
use crate::config::{self, Config, Diagnostic, Diagnostics, Layer, Layers, Setting, Severity};
use crate::inventory::Inventory;
use crate::{app, flags};

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
    /// Print JSON: `valid`, `errors`, `warnings` and `notes` (each with `path`, `line`, `message`, `hint`), and the `plan`: what
    /// would run where
    #[arg(long)]
    json: bool,
}

/// Prints which engine would run where and succeeds, or prints all errors to standard error and fails. JSON has both.
#[must_use]
pub(super) fn run(args: &Args) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let layers = if args.config.is_standard_input() {
        Ok((STANDARD_INPUT.to_owned(), standard_input(args.config.settings(), &mut io::stdin().lock())))
    } else {
        args.config.source(None).map(|source| (source.title(), source.read()))
    };
    let (out, err) = (&mut io::stdout().lock(), &mut io::stderr().lock());
    let (title, layers) = match layers {
        Ok(found) => found,
        Err(why) if args.json => (args.config.words(), Err(Diagnostics::file(why, ""))),
        Err(why) => {
            let _ = writeln!(err, "{why}");
            return ExitCode::FAILURE;
        }
    };
    let load = || {
        let config = config::parse_layers(layers.as_ref().map_err(Clone::clone)?, &env)?;
        Ok(Config { state_dir: args.state_dir.clone().or(config.state_dir.clone()), ..config })
    };
    report((&title, &load), args.json, (&env, &gpus::read), out, err)
}

/// What is on standard input, with these settings on top.
fn standard_input(settings: &[Setting], input: &mut dyn Read) -> Result<Layers, Diagnostics> {
    let text = config::read_from("Standard input", input)?;
    let layer = Layer { path: PathBuf::new(), text: text.into() };
    Ok(Layers::new(vec![layer], settings.into()).with_profiles(app::user_profiles()))
}

/// What the machine tells: its environment and its GPUs.
type Machine<'a> = (&'a dyn Fn(&str) -> Option<String>, &'a dyn Fn() -> Inventory);

fn report(
    (title, load): (&str, &dyn Fn() -> Result<Config, Diagnostics>),
    json: bool,
    machine: Machine<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let (plan, found) = match load() {
        Ok(config) => {
            let (plan, mut found) = judged(&config, true, machine);
            if !json {
                // Before vLLM is asked. A reader that stopped reading (`| head`) is no failure of the check.
                let _ = write!(out, "{plan}");
            }
            found.extend(flags(&config, err));
            (Some(plan), Findings::of(found))
        }
        Err(found) => (None, Findings::of(found.0)),
    };
    if json {
        let checked = Checked::new(title, plan.as_ref(), &found);
        let _ = writeln!(out, "{}", serde_json::to_string_pretty(&checked).unwrap_or_default());
    } else {
        tell(title, &found, out, err);
    }
    if found.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Notes on standard output; what may be wrong, or is, on standard error.
fn tell(title: &str, found: &Findings, out: &mut dyn Write, err: &mut dyn Write) {
    for one in &found.others {
        let _ = if one.severity == Severity::Note { writeln!(out, "\n{one}") } else { writeln!(err, "{one}\n") };
    }
    let count = found.errors.len();
    if count > 0 {
        let plural = if count == 1 { "error" } else { "errors" };
        let _ = writeln!(err, "{title}: {count} {plural}\n\n{}", Diagnostics(found.errors.clone()));
    }
}

/// What would run where, and all that is to be said of it without asking vLLM.
fn judged(config: &Config, is_filed: bool, (env, read): Machine<'_>) -> (Plan, Vec<Diagnostic>) {
    let (plan, mut found) = Plan::of(config, is_filed, env, read);
    found.extend(config::notes(config));
    found.extend(doubts::doubts(config));
    (plan, found)
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
    let (plan, found) = judged(config, is_filed, (env, read));
    let (mut text, found) = (plan.to_string(), Findings::of(found));
    if !found.errors.is_empty() {
        return Err(Diagnostics(found.errors).to_string());
    }
    for one in found.others {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn nothing() -> Inventory {
        Inventory { faults: vec!["no driver".into()], ..Inventory::default() }
    }

    fn check(text: &str) -> (ExitCode, String, String) {
        said(text, false)
    }

    fn said(text: &str, json: bool) -> (ExitCode, String, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, text).expect("a file");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let load = || config::load(&file, &|_| None);
        let code = report(("gateway.yaml", &load), json, (&|_| None, &nothing), &mut out, &mut err);
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
    fn json_has_what_would_run_and_all_that_is_wrong() {
        let json = |text: &str| {
            let (code, out, err) = said(text, true);
            assert_eq!(err, "");
            (code, serde_json::from_str::<serde_json::Value>(&out).expect("nothing but JSON"))
        };
        let (code, told) = json("models: {m: {source: /no/such, command: [python, serve.py], gpus: [0, 1]}}");
        assert_eq!(
            (code, &told["valid"], &told["plan"]["models"][0]["model"]),
            (ExitCode::SUCCESS, &true.into(), &"m".into())
        );
        assert_eq!(told["plan"]["placement"]["not_checked"], "no driver");
        assert_eq!(told["plan"]["placement"]["engines"][0]["gpus"][1]["visible"], "1", "{told:#}");
        assert_eq!(
            (&told["warnings"][0]["path"], &told["errors"]),
            (&"models.m.source".into(), &serde_json::json!([]))
        );
        let (code, told) = json("models: {m: {source: s}}\nlistne: x\n");
        assert_eq!((code, &told["valid"], &told["plan"]), (ExitCode::FAILURE, &false.into(), &().into()));
        let error = &told["errors"][0];
        assert_eq!((&error["path"], &error["line"]), (&"listne".into(), &2.into()));
        assert!(error["message"].is_string() && error["hint"].is_string(), "{told:#}");
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
        let load = || config::load(file, &|_| None);
        let code = report(("gateway.yaml", &load), false, (&|_| None, &nothing), &mut out, &mut err);
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
