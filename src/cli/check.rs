//! `enginehouse check FILE`: the plan of a configuration, or every fault in it.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::flag_report;
use crate::config;

/// Prints what would run where and succeeds, or prints every fault to standard error and fails.
#[must_use]
pub fn run(file: &Path) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    report(file, &env, &mut io::stdout().lock(), &mut io::stderr().lock())
}

fn report(file: &Path, env: &dyn Fn(&str) -> Option<String>, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    // A reader that went away (`| head`) is no failure of the check.
    match config::load(file, env) {
        Ok(config) => {
            let _ = write!(out, "{}", config::plan(&config));
            if flag_report::print(&config, out, err) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(faults) => {
            let count = faults.0.len();
            let plural = if count == 1 { "fault" } else { "faults" };
            let _ = writeln!(err, "{}: {count} {plural}\n\n{faults}", file.display());
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (ExitCode, String, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("house.yaml");
        std::fs::write(&file, text).expect("a file");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = report(&file, &|_| None, &mut out, &mut err);
        (code, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
    }

    #[test]
    fn a_good_file_prints_its_plan_and_succeeds() {
        let (code, out, err) = check("models: {m: {source: s, command: [enginehouse, sim]}}");
        assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
        assert!(out.contains("enginehouse sim s"), "{out}");
    }

    #[test]
    fn a_bad_file_prints_every_fault_and_fails() {
        let (code, out, err) = check("models: {m: {source: s}}\nlistne: x\nthreads: 0\n");
        assert_eq!((code, out.as_str()), (ExitCode::FAILURE, ""));
        assert!(err.contains("house.yaml: 2 faults") && err.contains("listne, line 2"), "{err}");
    }

    #[test]
    fn a_file_that_is_not_there_is_a_fault() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = report(Path::new("/no/such/house.yaml"), &|_| None, &mut out, &mut err);
        assert_eq!(code, ExitCode::FAILURE);
        assert!(String::from_utf8_lossy(&err).contains("cannot be read"));
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
        assert!(err.contains("fault: m: `swap-space`: vLLM dropped this flag."), "{err}");
        assert!(out.contains("note: m: The version of vLLM cannot be told"), "{out}");
        let (code, ..) = check(&format!("models: {{m: {{{model}, args: {{max-model-len: 4096}}}}}}"));
        assert_eq!(code, ExitCode::SUCCESS);
    }
}
