//! A terminal of tmux: started, typed into, looked at, resized, and ended with the test.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::BINARY;
use crate::support::processes::{self, Stat};

/// Longest wait for something that should be on the screen at once, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the shell of a terminal says once the program in it has ended.
pub const ENDED: &str = "ended with";

/// A terminal with one program in it.
pub struct Terminal {
    socket: String,
    /// What the terminal was set to before and after the program.
    folder: TempDir,
}

/// Whether there is a tmux; says why tests are skipped when not. `ENGINEHOUSE_TERMINAL=1` makes a missing one a failure.
pub fn is_there() -> bool {
    let found = Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    let needed = std::env::var("ENGINEHOUSE_TERMINAL").is_ok_and(|value| value == "1");
    assert!(found || !needed, "tmux is not installed: apt-get install tmux");
    if !found {
        eprintln!("SKIPPED: tmux is not installed. Remedy: apt-get install tmux");
    }
    found
}

impl Terminal {
    /// A terminal of this many columns and lines that runs the program with `args` and these variables.
    pub fn run(size: (u16, u16), args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::run_words(size, &[&[BINARY], args].concat(), env)
    }

    /// The same with another program in front of it, or another program.
    pub fn run_words(size: (u16, u16), words: &[&str], env: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = format!("enginehouse-test-{}-{number}", std::process::id());
        let folder = tempfile::tempdir().expect("temporary folder");
        let line =
            |words: &mut dyn Iterator<Item = String>| words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ");
        let variables = line(&mut env.iter().map(|(name, value)| format!("{name}={value}")));
        let program = line(&mut words.iter().map(|word| (*word).to_owned()));
        let before = folder.path().join("before");
        // It is there when it is whole.
        let after = quoted(&folder.path().join("after").display().to_string());
        // `cat` keeps the screen as the program left it.
        let script = format!(
            "stty -a > {}; echo the shell; env -u NO_COLOR -u ENGINEHOUSE_ASCII -u RUST_LOG {variables} {program}; echo {ENDED} $?; \
             stty -a > {after}.new; mv {after}.new {after}; exec cat",
            quoted(&before.display().to_string()),
        );
        let terminal = Self { socket, folder };
        let (columns, lines) = (size.0.to_string(), size.1.to_string());
        let begun = terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &lines, "-s", "t", "sh", "-c", &script]);
        assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
        terminal
    }

    fn tmux(&self, args: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.socket, "-f", "/dev/null"]).args(args);
        command.env("LC_ALL", "C.UTF-8").env_remove("TMUX").output().expect("tmux")
    }

    /// What it shows now.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-t", "t"]).stdout).into_owned()
    }

    /// The same with the sequences that set colours.
    pub fn coloured(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-e", "-p", "-t", "t"]).stdout).into_owned()
    }

    /// Waits until it shows something that is `wanted`; what it shows then.
    pub fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(since.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}; the screen shows:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it shows `text`.
    pub fn shows(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Presses keys, by tmux's names of them.
    pub fn press(&self, keys: &[&str]) {
        let mut args = vec!["send-keys", "-t", "t"];
        args.extend(keys);
        assert!(self.tmux(&args).status.success(), "{keys:?}");
    }

    /// Types a text.
    pub fn enter(&self, text: &str) {
        assert!(self.tmux(&["send-keys", "-t", "t", "-l", text]).status.success(), "{text}");
    }

    /// Makes the window another size.
    pub fn resize(&self, size: (u16, u16)) {
        let (columns, lines) = (size.0.to_string(), size.1.to_string());
        assert!(self.tmux(&["resize-window", "-t", "t", "-x", &columns, "-y", &lines]).status.success(), "{size:?}");
    }

    /// The program's process.
    pub fn program(&self) -> Option<Stat> {
        let shell = String::from_utf8_lossy(&self.tmux(&["display-message", "-p", "-t", "t", "#{pane_pid}"]).stdout)
            .into_owned();
        let shell: u32 = shell.trim().parse().ok()?;
        processes::everybody().into_iter().find(|stat| stat.parent == shell && stat.name == "enginehouse")
    }

    /// Waits until the program has ended; its exit code, and what is on the screen then. The terminal is to be as it was.
    pub fn ended(&self) -> (String, String) {
        let screen = self.shows(ENDED);
        assert!(screen.contains("the shell"), "the screen from before is not there again:\n{screen}");
        let code = screen.split(ENDED).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
        let since = Instant::now();
        while !self.after().exists() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Behind the first line, which has the size.
        let set = |file: PathBuf| {
            let text = std::fs::read_to_string(file).expect("settings of the terminal");
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(set(self.folder.path().join("before")), set(self.after()), "settings of the terminal");
        let flags =
            self.tmux(&["display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"]);
        assert_eq!(String::from_utf8_lossy(&flags.stdout).trim(), "0 1 0", "alternate screen, cursor, mouse");
        (code.to_owned(), screen)
    }

    fn after(&self) -> PathBuf {
        self.folder.path().join("after")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the terminal shows ---\n{}", self.screen());
        }
        self.tmux(&["kill-server"]);
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
