//! A process that we have nothing to do with, whatever its name.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::processes;

/// A process that we have nothing to do with.
pub struct ForeignProcess(Child);

impl ForeignProcess {
    /// One with this name, which leads a group of its own.
    pub fn named(name: &str) -> Self {
        let mut command = Command::new("sleep");
        command.arg0(name).arg("infinity").process_group(0).stdin(Stdio::null());
        Self(command.spawn().expect("started"))
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Fails when a signal has reached it: it neither ends nor stops by itself.
    pub fn assert_untouched(&mut self) {
        assert_eq!(self.0.try_wait().expect("wait"), None, "the foreign process ended");
        assert_eq!(processes::stat(self.pid()).expect("there").state, 'S', "the foreign process was stopped");
    }
}

impl Drop for ForeignProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
