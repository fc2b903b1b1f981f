//! A machine with GPUs as tests need them: the stand-in for NVIDIA's library, built and given a scenario.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub const GIB: u64 = 1 << 30;

/// A machine whose driver answers from a scenario. The folder, and all in it, goes with it.
pub struct Machine {
    pub folder: TempDir,
    /// The driver's library, for `ENGINEHOUSE_NVML`.
    pub library: PathBuf,
}

impl Machine {
    /// Builds the stand-in and gives it `scenario`, in the words of `tests/nvml/stand_in.c`.
    pub fn new(scenario: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("libnvidia-ml.so.1");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml/stand_in.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library).arg(source);
        let built = compiler.output().expect("a C compiler, which the build needs too");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let machine = Self { folder, library };
        machine.becomes(scenario);
        machine
    }

    /// Has `command` run on this machine.
    #[allow(dead_code, reason = "not every suite needs it")]
    pub fn prepare(&self, command: &mut Command) {
        command.env("ENGINEHOUSE_NVML", &self.library).env_remove("NVML_SCENARIO").env_remove("CUDA_VISIBLE_DEVICES");
    }

    /// From now on another scenario holds; at no time half of one.
    pub fn becomes(&self, scenario: &str) {
        let [new, file] = ["new", "scenario"].map(|name| self.folder.path().join(name));
        std::fs::write(&new, scenario).and_then(|()| std::fs::rename(new, file)).expect("a scenario");
    }
}

/// A child that does nothing until it is ended.
pub struct Idler(pub Child);

impl Idler {
    pub fn new() -> Self {
        Self(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat runs"))
    }

    pub fn end(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it ends");
    }
}

impl Drop for Idler {
    fn drop(&mut self) {
        self.end();
    }
}

/// A card that tells everything.
#[allow(dead_code, reason = "not every suite needs it")]
pub fn card(index: u64) -> String {
    let (total, used, free) = (80 * GIB, 10 * GIB, 69 * GIB);
    format!(
        "gpu uuid=GPU-{index} name=NVIDIA_H100_80GB total={total} used={used} free={free} util=9{index} temp=6{index} \
         milliwatts=512500 mig=0\n"
    )
}

/// A driver that answers.
pub const DRIVER: &str = "driver version=580.95.05 cuda=13000\n";
