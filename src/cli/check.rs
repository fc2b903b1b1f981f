//! `enginehouse check FILE`: which engine a configuration would run where, or all its errors.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::{flag_report, gpus, needs};
use crate::config::{self, Config, Gpus};
use crate::inventory::Inventory;
use crate::placement::{self, Assignment, Demand};
use crate::{app, supervisor};

/// Prints which engine would run where and succeeds, or prints all errors to standard error and fails.
#[must_use]
pub fn run(file: &Path) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    report(file, &env, &gpus::read, &mut io::stdout().lock(), &mut io::stderr().lock())
}

/// What is printed below the overview about the GPUs.
#[derive(Debug, Default)]
struct Section {
    /// For people; may be empty.
    text: String,
    /// What keeps it from running, a reason and a remedy each.
    errors: Vec<String>,
}

fn report(
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn() -> Inventory,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let mut flags_fit = true;
    let errors = match config::load(file, env) {
        Ok(config) => {
            // A reader that stopped reading (`| head`) is no failure of the check.
            let _ = write!(out, "{}", config::overview(&config));
            let (section, assigned) = assignments(&config, read);
            for text in [section.text, needs::told(&config, &assigned, env)].iter().filter(|text| !text.is_empty()) {
                let _ = write!(out, "\n{text}");
            }
            flags_fit = flag_report::print(&config, out, err);
            section.errors
        }
        Err(found) => found.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    if errors.is_empty() {
        return if flags_fit { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let plural = if errors.len() == 1 { "error" } else { "errors" };
    let _ = writeln!(err, "{}: {} {plural}\n\n{}", file.display(), errors.len(), errors.join("\n\n"));
    ExitCode::FAILURE
}

/// Which engine gets which GPUs of this machine. Where no driver tells of GPUs (configurations are written on laptops
/// too), only what is wrong on any machine is an error.
fn assignments(config: &Config, read: &dyn Fn() -> Inventory) -> (Section, Vec<Assignment>) {
    let mut demands = placement::demands(config);
    let pinned = |demand: &Demand| demand.gpus != Gpus::AsVisible;
    if !demands.iter().any(pinned) {
        return (Section::default(), Vec::new());
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
            (Section { text, errors: Vec::new() }, assigned)
        }
        Err(conflicts) => (Section { text, errors: conflicts.iter().map(ToString::to_string).collect() }, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Inventory {
        Inventory { faults: vec!["no driver".into()], ..Inventory::default() }
    }

    fn check(text: &str) -> (ExitCode, String, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, text).expect("a file");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = report(&file, &|_| None, &nothing, &mut out, &mut err);
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
    fn a_file_that_does_not_exist_is_an_error() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = report(Path::new("/no/such/gateway.yaml"), &|_| None, &nothing, &mut out, &mut err);
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
        assert!(err.contains("error: m: `swap-space`: vLLM dropped this flag."), "{err}");
        assert!(out.contains("note: m: The version of vLLM cannot be told"), "{out}");
        let (code, ..) = check(&format!("models: {{m: {{{model}, args: {{max-model-len: 4096}}}}}}"));
        assert_eq!(code, ExitCode::SUCCESS);
    }
}
