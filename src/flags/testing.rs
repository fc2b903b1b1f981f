//! What the tests of flags share: the real help, configurations, and a program that prints a given text.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{Config, Engines, Spawn, parse};

/// What `vllm serve --help=all` of 0.32.0 prints.
pub(super) const HELP: &str = include_str!("../../tests/vectors/vllm/help-all-0.32.0.txt");

/// The configuration of a text.
pub(super) fn config(text: &str) -> Config {
    parse(text, &|_| None).unwrap_or_else(|found| panic!("{found}\n{text}"))
}

/// How the first model's engines are started.
pub(super) fn spawn_of(config: &Config) -> &Spawn {
    match &config.models[0].engines {
        Engines::Spawn(spawn) => spawn,
        Engines::Urls(_) => panic!("these engines run already"),
    }
}

/// A folder like a virtual environment: `bin/vllm` is a shell script.
pub(super) struct Venv {
    folder: tempfile::TempDir,
}

impl Venv {
    /// With a `vllm` that counts its calls, then does `script`.
    pub(super) fn new(script: &str) -> Self {
        let venv = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir_all(venv.path("bin")).expect("bin");
        fs::write(venv.path("help.txt"), HELP).expect("the help");
        let root = venv.folder.path().display();
        venv.write(&format!("#!/bin/sh\necho \"$@\" >> {root}/calls\ncd {root}\n{script}\n"));
        venv
    }

    /// With a `vllm` 0.32.0 that prints the real help.
    pub(super) fn real() -> Self {
        let venv = Self::new("cat help.txt");
        venv.installed("0.32.0");
        venv
    }

    /// Replaces the script.
    pub(super) fn write(&self, script: &str) {
        // Never written in place: a script that a child of another test still holds open for writing cannot be run.
        let (next, program) = (self.path("bin/next"), self.program());
        fs::write(&next, script).expect("a script");
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("executable");
        fs::rename(next, program).expect("in place");
    }

    /// Makes it look as if this version were installed.
    pub(super) fn installed(&self, version: &str) {
        let site = self.path("lib/python3.12/site-packages");
        let _ = fs::remove_dir_all(&site);
        fs::create_dir_all(site.join(format!("vllm-{version}.dist-info"))).expect("dist-info");
    }

    /// A path below.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// The program.
    pub(super) fn program(&self) -> PathBuf {
        self.path("bin/vllm")
    }

    /// How often it was called, and with what.
    pub(super) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A configuration of one model that it serves.
    pub(super) fn config(&self, model: &str) -> Config {
        config(&format!("models: {{m: {{source: s, command: [{:?}, serve], {model}}}}}", self.program()))
    }
}

/// The only file in a folder.
pub(super) fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().expect("one")
}
