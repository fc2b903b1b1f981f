//! Scripts of `tests/clients`, run by a Python that has the packages they need.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The longest a script may take; against a real vLLM on a busy machine it takes half a minute.
const LONGEST: Duration = Duration::from_secs(180);

/// A Python.
pub struct Python(PathBuf);

/// A Python that can import `package`: `ENGINEHOUSE_PYTHON`, or what `.ci/run` made, or the system's. Prints why the test
/// is skipped when there is none.
pub fn with(package: &str) -> Option<Python> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = root.join("target/clients/bin/python");
    let python = match std::env::var_os("ENGINEHOUSE_PYTHON") {
        Some(path) if !path.is_empty() => root.join(path),
        _ if made.exists() => made,
        _ => "python3".into(),
    };
    at(python, package)
}

/// This Python, if it can import `package`; prints why not.
pub fn at(python: PathBuf, package: &str) -> Option<Python> {
    let tried = std::process::Command::new(&python).args(["-c", &format!("import {package}")]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return Some(Python(python)),
        Ok(output) => {
            String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it said nothing at all").to_owned()
        }
        Err(error) => error.to_string(),
    };
    eprintln!(
        "SKIPPED: {} cannot `import {package}` ({why}). Remedy: python3 -m venv target/clients && \
         target/clients/bin/pip install openai anthropic starlette python-multipart",
        python.display()
    );
    None
}

impl Python {
    /// Runs a script of `tests/clients`, prints what it says, and panics when it fails. Returns its last line.
    pub async fn run(&self, script: &str, args: &[impl AsRef<OsStr>]) -> String {
        let out = self.output(script, args).await;
        println!("{out}");
        out.lines().last().unwrap_or_default().to_owned()
    }

    /// Runs a script of `tests/clients` that answers in lines, and panics when it fails.
    pub async fn lines(&self, script: &str, args: &[impl AsRef<OsStr>]) -> Vec<String> {
        self.output(script, args).await.lines().map(str::to_owned).collect()
    }

    async fn output(&self, script: &str, args: &[impl AsRef<OsStr>]) -> String {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
        let mut command = Command::new(&self.0);
        // -B: no __pycache__ among the sources.
        command.arg("-B").arg(file).args(args).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(LONGEST, command.output()).await;
        let output = output.unwrap_or_else(|_| panic!("{script} took longer than {LONGEST:?}")).expect("Python ran");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (said(&output.stdout), said(&output.stderr));
        assert!(output.status.success(), "{script} failed ({}):\n{out}{err}", output.status);
        eprint!("{err}");
        out
    }
}
