//! `enginehouse doctor` through the real binary: a driver, a vLLM and ports as they are, and as they are not wanted.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::machine::{DRIVER, Machine, card};

/// What `vllm serve --help=all` of 0.32.0 prints.
const HELP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/vllm/help-all-0.32.0.txt");

/// A machine with a home of its own, and a vLLM on its PATH.
struct Patient {
    machine: Machine,
}

impl Patient {
    /// With this scenario of the driver, and a `vllm` 0.32.0 that does what `script` says.
    fn new(scenario: &str, script: &str) -> Self {
        let patient = Self { machine: Machine::new(scenario) };
        let program = patient.path("venv/bin/vllm");
        fs::create_dir_all(patient.path("venv/bin")).expect("made");
        fs::create_dir_all(patient.path("venv/lib/python3.12/site-packages/vllm-0.32.0.dist-info")).expect("made");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
        patient
    }

    /// With two cards and a vLLM that tells its flags.
    fn well() -> Self {
        Self::new(&format!("{DRIVER}{}{}", card(0), card(1)), &format!("exec /bin/cat {HELP}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.machine.folder.path().join(name)
    }

    /// A configuration, as a file.
    fn file(&self, text: &str) -> String {
        let file = self.path("gateway.yaml");
        fs::write(&file, text).expect("written");
        file.display().to_string()
    }

    fn doctor(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enginehouse"));
        command.arg("doctor").args(args).env_clear().env("HOME", self.path("home")).env("PATH", self.path("venv/bin"));
        command.env("HF_TOKEN", "hf_secret").env("ENGINEHOUSE_NVML", &self.machine.library);
        command.output().expect("the binary runs")
    }

    /// The checks, and the exit code.
    fn checks(&self, args: &[&str]) -> (Vec<Value>, Option<i32>) {
        let output = self.doctor(&[args, &["--json"]].concat());
        let checks = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (checks, output.status.code())
    }
}

/// The problems, as `name: found -> remedy`.
fn problems(checks: &[Value]) -> Vec<String> {
    let bad = checks.iter().filter(|check| check["status"] == "problem");
    let text = |check: &Value, key: &str| check[key].as_str().expect("text").to_owned();
    bad.map(|check| format!("{}: {} -> {}", text(check, "name"), text(check, "found"), text(check, "remedy"))).collect()
}

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {checks:#?}"))
}

/// A configuration of a gateway on ports of the system's choice.
fn configuration(model: &str) -> String {
    format!("listen: 127.0.0.1:0\nadmin: {{listen: 127.0.0.1:0}}\nmodels: {{m: {{source: org/m, {model}}}}}\n")
}

#[test]
fn a_machine_that_is_well_has_no_problem() {
    let patient = Patient::well();
    let file = patient.file(&configuration("gpus: [0, 1], args: {max-model-len: 4096}"));
    let (checks, code) = patient.checks(&[&file]);
    assert_eq!((problems(&checks), code), (vec![], Some(0)));
    for (name, found) in [
        ("configuration", "is valid: 1 model, 0 aliases."),
        ("driver", "NVIDIA's driver 580.95.05 answers; CUDA 13.0."),
        ("gpus", "2 × NVIDIA H100 80GB."),
        ("vllm", "venv/bin/vllm: vLLM 0.32.0."),
        ("flags", "vLLM knows all flags"),
        ("ports", "(`listen`) is free."),
        ("state_dir", "is not there yet, and can be made."),
        ("left_over_engines", "No engine runs without its gateway."),
        ("hub_cache", "To be downloaded: org/m."),
        ("hub_token", "There is a token for the Hugging Face hub, in HF_TOKEN."),
    ] {
        let told = check(&checks, name)["found"].as_str().expect("text");
        assert!(told.contains(found), "{name}: {told}");
    }
    let text = patient.doctor(&[&file]);
    let text = String::from_utf8(text.stdout).expect("UTF-8");
    assert!(text.starts_with("ok       configuration      "), "{text}");
    assert!(!text.contains("hf_secret") && !text.contains("PROBLEM"), "{text}");
    assert!(!patient.path("home").exists() || !patient.path("home/.local").exists(), "nothing is made");
}

#[test]
fn without_a_driver_engines_with_gpus_have_a_problem_and_others_have_none() {
    let patient = Patient::new("driver init=9\n", &format!("exec /bin/cat {HELP}"));
    let (checks, code) = patient.checks(&[&patient.file(&configuration("gpus: 1"))]);
    let found = problems(&checks);
    assert_eq!((found.len(), code), (1, Some(1)), "{found:?}");
    assert!(found[0].starts_with("driver: No GPU is known") && found[0].contains("not loaded"), "{found:?}");
    let (checks, code) = patient.checks(&[&patient.file(&configuration("command: [enginehouse, sim]"))]);
    assert_eq!((check(&checks, "driver")["status"].as_str(), code), (Some("ok"), Some(0)));
    let (checks, code) = patient.checks(&[]);
    assert_eq!((check(&checks, "driver")["status"].as_str(), code), (Some("warning"), Some(0)), "{checks:#?}");
}

#[test]
fn who_has_a_port_is_named() {
    let patient = Patient::well();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let text = configuration("command: [enginehouse, sim]").replacen("127.0.0.1:0", &address.to_string(), 1);
    let output = patient.doctor(&[&patient.file(&text)]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    let who = format!("PROBLEM  ports              {address} (`listen`) is taken: ");
    assert!(told.contains(&who) && told.contains(&format!("(pid {}) listens there.", std::process::id())), "{told}");
    assert!(told.contains("-> Stop it, or set `listen` to another address."), "{told}");
    assert!(told.contains("\n1 problem, "), "{told}");
}

#[test]
fn a_vllm_that_cannot_start_and_flags_that_it_does_not_know_are_told() {
    let broken = Patient::new(
        &format!("{DRIVER}{}", card(0)),
        "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1",
    );
    let (checks, code) = broken.checks(&[&broken.file(&configuration("gpus: [0]"))]);
    let found = problems(&checks);
    assert_eq!((found.len(), code), (1, Some(1)), "{found:?}");
    assert!(found[0].starts_with("vllm: ") && found[0].contains("No module named 'torch'"), "{found:?}");
    let patient = Patient::well();
    let (checks, code) = patient.checks(&[&patient.file(&configuration("gpus: [0], args: {swap-space: 4}"))]);
    let found = problems(&checks);
    assert_eq!((found.len(), code), (1, Some(1)), "{found:?}");
    assert!(found[0].starts_with("flags: models.m.args.swap-space, line 3: vLLM dropped the flag"), "{found:?}");
    let missing = configuration("gpus: [0], command: [/no/such/vllm, serve]");
    let (checks, _) = patient.checks(&[&patient.file(&missing)]);
    assert!(problems(&checks)[0].starts_with("vllm: There is no program `/no/such/vllm`"), "{checks:#?}");
}

#[test]
fn a_configuration_with_errors_does_not_keep_the_machine_from_being_checked() {
    let patient = Patient::well();
    let (checks, code) = patient.checks(&[&patient.file("models: {m: {source: s}}\nlistne: x\n")]);
    let found = problems(&checks);
    assert_eq!(code, Some(1));
    assert!(found[0].starts_with("configuration: ") && found[0].contains("listne"), "{found:?}");
    assert_eq!(check(&checks, "gpus")["status"], "ok");
    let (checks, _) = patient.checks(&["/no/such/gateway.yaml"]);
    assert!(problems(&checks)[0].contains("cannot be read"), "{checks:#?}");
}
