//! State directories on small disks of their own, and how they fill up.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use super::Gateway;
use super::deployment::Deployment;

/// A gateway of `deployment`, run where `deployment.state()` is a file system of its own: a small one in memory, mounted with
/// `options` and prepared by `script`. `None`, and a word of it, when the system does not let us mount.
pub fn on_a_disk_of_its_own(deployment: &Deployment, options: &str, script: &str) -> Option<Command> {
    let may =
        |flags: &str| Command::new("unshare").args([flags, "true"]).output().is_ok_and(|out| out.status.success());
    let Some(flags) = ["-m", "-rm"].into_iter().find(|flags| may(flags)) else {
        eprintln!("skipped: mounting is not permitted here");
        return None;
    };
    std::fs::create_dir_all(deployment.state()).expect("made");
    let gateway = deployment.command();
    let whole = format!(
        "mount -t tmpfs -o size=256k tmpfs \"$STATE\" && {script} mount -o remount,{options} \"$STATE\" && exec \"$0\" \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c", &whole]).arg(gateway.get_program()).args(gateway.get_args());
    command.env("STATE", deployment.state());
    deployment.prepare(&mut command);
    Some(command)
}

/// A gateway of `deployment`, run where the state directory is the disk that the process `pid` has there.
pub fn on_the_disk_of(deployment: &Deployment, pid: u32) -> Command {
    let gateway = deployment.command();
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid.to_string(), "--mount"]);
    let namespace = |whose: &str| std::fs::read_link(format!("/proc/{whose}/ns/user")).ok();
    if namespace("self") != namespace(&pid.to_string()) {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.arg(gateway.get_program()).args(gateway.get_args());
    deployment.prepare(&mut command);
    command
}

/// The file that fills the disk of such a gateway, as the gateway sees it.
pub fn filler(deployment: &Deployment, gateway: &Gateway) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", gateway.pid(), deployment.state().display())).join("filler")
}

/// Fills the disk of such a gateway to its last byte.
pub fn fill(deployment: &Deployment, gateway: &Gateway) {
    let mut filler =
        std::fs::OpenOptions::new().append(true).create(true).open(filler(deployment, gateway)).expect("opened");
    while filler.write_all(&[0]).is_ok() {}
}
