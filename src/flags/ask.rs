//! Asks a program for its help, for a limited time, and leaves nothing of it running.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// vLLM's help is 155 KB; more than this is something else.
const LONGEST: u64 = 4 << 20;

/// How much of what it complains about is kept.
const COMPLAINTS: u64 = 64 << 10;

/// What `command` prints when asked for all its flags.
///
/// # Errors
/// Why there is no answer, in words.
pub(super) fn ask(command: &[String], env: &BTreeMap<String, String>, limit: Duration) -> Result<String, String> {
    let (program, words) = command.split_first().ok_or("there is no program")?;
    let mut child = Command::new(program)
        .args(words)
        .arg("--help=all")
        .envs(env)
        // argparse breaks lines at the terminal's width; and nothing here is worth a log line or a statistic.
        .envs([("COLUMNS", "80"), ("VLLM_LOGGING_LEVEL", "ERROR"), ("VLLM_NO_USAGE_STATS", "1"), ("NO_COLOR", "1")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let until = Instant::now() + limit;
    let told = child.stdout.take().map(|pipe| read(pipe, LONGEST));
    let complained = child.stderr.take().map(|pipe| read(pipe, COMPLAINTS));
    let said = told.map_or(Ok(Vec::new()), |told| receive(&told, until));
    let ended = until_ended(&child, until);
    // Whatever it started and left behind goes too; its number is ours until it is reaped below.
    kill(&child);
    let status = child.wait();
    let complaints = || {
        let bytes = complained.and_then(|it| receive(&it, Instant::now() + Duration::from_secs(1)).ok());
        let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
        text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| format!(": {}", line.trim()))
    };
    match (said, status) {
        (Err(_), _) => Err(format!("`{program}` took longer than {} s to print its help", limit.as_secs_f64())),
        _ if !ended => Err(format!("`{program}` did not end within {} s after its help", limit.as_secs_f64())),
        (Ok(_), Ok(status)) if !status.success() => {
            Err(format!("`{program}` failed when asked for its help ({status}){}", complaints().unwrap_or_default()))
        }
        (Ok(bytes), _) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Reads up to `most` bytes in a thread of its own, which drains the rest and ends when the pipe is closed.
fn read(mut pipe: impl Read + Send + 'static, most: u64) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    // Without a thread the channel closes at once.
    let _ = thread::Builder::new().name("flags".into()).spawn(move || {
        let mut bytes = Vec::new();
        // What cannot be read counts as not said.
        let _ = pipe.by_ref().take(most).read_to_end(&mut bytes);
        let _ = send.send(bytes);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    });
    receive
}

fn receive(from: &Receiver<Vec<u8>>, until: Instant) -> Result<Vec<u8>, RecvTimeoutError> {
    from.recv_timeout(until.saturating_duration_since(Instant::now()))
}

/// Whether it ended in time; it is not reaped.
fn until_ended(child: &Child, until: Instant) -> bool {
    let Some(pid) = pid(child) else { return true };
    let (send, receive) = channel();
    let _ = thread::Builder::new().name("flags".into()).spawn(move || {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let _ = send.send(());
    });
    receive.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
}

fn kill(child: &Child) {
    if let Some(pid) = pid(child) {
        // An empty group is what is wanted.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{HELP, Venv};
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn ask_of(venv: &Venv, limit: Duration) -> Result<String, String> {
        ask(&[venv.program().display().to_string(), "serve".into()], &BTreeMap::new(), limit)
    }

    /// The process that wrote its number to `child` was killed; its new parent may not have reaped it yet.
    #[track_caller]
    fn assert_gone(venv: &Venv) {
        let child = fs::read_to_string(venv.path("child")).expect("the child's number");
        let stat = format!("/proc/{}/stat", child.trim());
        let until = Instant::now() + LONG;
        // A killed process is there until the system gets round to it.
        while let Ok(text) = fs::read_to_string(&stat) {
            if text.contains(") Z ") || text.contains(") X ") {
                return;
            }
            assert!(Instant::now() < until, "{text}");
            thread::yield_now();
        }
    }

    #[test]
    fn what_it_prints_is_the_answer() {
        let venv = Venv::real();
        assert_eq!(ask_of(&venv, LONG).as_deref(), Ok(HELP));
        assert_eq!(venv.calls(), ["serve --help=all"]);
    }

    #[test]
    fn what_never_ends_is_killed_with_its_children() {
        // The child tells its number, then both hold the pipe for ever.
        let venv = Venv::new(
            "sh -c 'echo $$ > child; exec sleep 1000' &\nwhile [ ! -s child ]; do :; done\nmkfifo on; read x < on",
        );
        let said = ask_of(&venv, Duration::from_secs(3));
        assert!(said.as_ref().is_err_and(|why| why.contains("longer than 3 s")), "{said:?}");
        assert_gone(&venv);
    }

    #[test]
    fn a_child_left_behind_is_killed_too() {
        let venv = Venv::new(
            "sh -c 'echo $$ > child; exec sleep 1000' > /dev/null 2>&1 &\nwhile [ ! -s child ]; do :; done\ncat help.txt",
        );
        assert_eq!(ask_of(&venv, LONG).as_deref(), Ok(HELP));
        assert_gone(&venv);
    }

    #[test]
    fn failures_are_told_with_their_last_words() {
        let venv = Venv::new("echo first >&2; echo 'ModuleNotFoundError: torch' >&2; echo >&2; exit 3");
        let why = ask_of(&venv, LONG).expect_err("a failure");
        assert!(why.contains("exit status: 3") && why.ends_with(": ModuleNotFoundError: torch"), "{why}");
        let gone = ask(&["/no/such/vllm".to_owned()], &BTreeMap::new(), LONG).expect_err("a failure");
        assert!(gone.contains("`/no/such/vllm` cannot be started"), "{gone}");
    }

    #[test]
    fn a_flood_is_cut() {
        let venv = Venv::new("yes | head -c 6000000; echo > done");
        let text = ask_of(&venv, LONG).expect("an answer");
        assert_eq!(text.len() as u64, LONGEST);
    }
}
