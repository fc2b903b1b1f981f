//! The home screen and the wizard in a terminal: from nothing to a gateway with two models, and what is left when it is given up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::driver::{Terminal, is_there};
use crate::support::machine::{DRIVER, GIB, Machine};
use crate::support::{BINARY, processes};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 60);

/// Key presses that lead from nothing to a gateway with two models, without the letters of names.
const MOST_KEYS: usize = 20;

const MARK: &str = "ENGINEHOUSE_TEST_HOME";

/// A home of a user with two shortcuts, for engines that are simulated. All that was started with it ends with it.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().expect("temporary folder") };
        let shortcuts = home.configurations().join("shortcuts");
        fs::create_dir_all(&shortcuts).expect("made");
        for (name, more) in [
            ("bold", ""),
            ("calm", "env: { ENGINEHOUSE_SIM_FAULTS: \"ready-after=3s\" }\nstart_timeout: 2m # it is small\n"),
        ] {
            let text = format!("source: org/{name}\ncommand: [enginehouse, sim]\n{more}");
            fs::write(shortcuts.join(format!("{name}.yaml")), text).expect("written");
        }
        home
    }

    fn configurations(&self) -> PathBuf {
        self.folder.path().join("config/enginehouse")
    }

    fn env(&self) -> Vec<(String, String)> {
        let path = |below: &str| self.folder.path().join(below).display().to_string();
        let pairs = [
            ("HOME", path("")),
            ("XDG_CONFIG_HOME", path("config")),
            ("XDG_STATE_HOME", path("state")),
            ("XDG_CACHE_HOME", path("cache")),
            ("HF_HOME", path("hub")),
            ("LC_ALL", "C.UTF-8".to_owned()),
            (MARK, path("")),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    fn terminal(&self, size: (u16, u16), args: &[&str], more: &[(&str, &str)]) -> Terminal {
        let env = self.env();
        let mut all: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend(more);
        Terminal::run(size, args, &all)
    }

    /// Runs a command without a terminal: its exit code, and what it printed.
    fn command(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(BINARY).args(args).envs(self.env()).stdin(Stdio::null()).output().expect("run");
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("text"))
    }

    fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.folder.path().join("").display());
        let ours = |stat: &processes::Stat| stat.state != 'Z' && processes::has_env(stat.pid, &mark);
        processes::everybody().into_iter().filter(ours).map(|stat| stat.pid).collect()
    }

    /// Waits until nothing that was started runs any more.
    fn is_quiet(&self) {
        let since = std::time::Instant::now();
        while !self.processes().is_empty() {
            assert!(since.elapsed().as_secs() < 60, "these run still: {:?}", self.processes());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.processes() {
            processes::kill(pid);
        }
    }
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
}

/// Keys that are counted.
struct Keys<'t>(&'t Terminal, usize);

impl Keys<'_> {
    fn press(&mut self, key: &str, then: &str) -> String {
        self.0.press(&[key]);
        self.1 += 1;
        self.0.shows(then)
    }
}

#[test]
fn two_models_are_configured_started_left_attached_to_and_shut_down() {
    if !is_there() {
        return;
    }
    let home = Home::new();
    let terminal = home.terminal(SMALL, &[], &[]);
    terminal.shows("What do you want to do?");
    terminal.shows("No gateway runs on this machine.");
    let mut keys = Keys(&terminal, 0);
    keys.press("n", "Port for clients");
    // The port is typed as a name is: any free one, whatever else the machine runs.
    terminal.enter("0");
    keys.press("Enter", "where does it come from?");
    terminal.shows("bold");
    keys.press("Enter", "its names, engines and profile");
    add_gpus(&mut keys);
    keys.press("a", "Model 2");
    keys.press("Down", "calm");
    keys.press("Enter", "org/calm · its names");
    add_gpus(&mut keys);
    keys.press("Enter", "save and start");
    terminal.shows("What would run where");
    terminal.shows("org/calm");
    terminal.enter("pair");
    keys.press("Enter", "› overview");
    let count = keys.1;
    assert!(count < MOST_KEYS, "{count} keys");
    println!("{count} key presses");
    terminal.wait("one that is ready while the other still loads", |screen| {
        screen.contains("● ready") && screen.lines().any(|line| line.contains("calm/0") && line.contains('%'))
    });
    terminal.wait("two engines that are ready", |screen| screen.matches("● ready").count() == 2);
    let text = fs::read_to_string(home.configurations().join("pair.yaml")).expect("saved");
    assert!(text.contains("# Each model by the name that clients use.") && text.contains("  calm:\n"), "{text}");
    // All that a shortcut says is there, its comments, too.
    assert!(text.contains("    start_timeout: 2m # it is small\n"), "{text}");
    // It is left, and goes on.
    terminal.press(&["q"]);
    terminal.shows("leave it running in the background");
    terminal.press(&["Enter"]);
    let (code, screen) = terminal.ended();
    assert_eq!(code, "0");
    assert!(screen.contains("goes on running"), "{screen}");
    // Another one attaches to it, and shuts it down.
    let again = home.terminal(LARGE, &[], &[]);
    again.shows("1 gateway runs on this machine: pair-");
    // Who starts it again is shown the one that runs.
    again.press(&["s"]);
    again.shows("✓ valid");
    again.press(&["Enter"]);
    again.shows("It ran already, and was not started again");
    again.press(&["q"]);
    again.shows("✓ valid");
    again.press(&["q"]);
    again.shows("What do you want to do?");
    again.press(&["a"]);
    again.shows("bold, calm");
    again.press(&["Enter"]);
    again.wait("two engines that are ready", |screen| screen.matches("● ready").count() == 2);
    again.press(&["C-x"]);
    again.shows("Shut the gateway down?");
    again.press(&["y"]);
    assert_eq!(again.ended().0, "0");
    home.is_quiet();
}

/// Passes the page of GPUs, where there are some.
fn add_gpus(keys: &mut Keys<'_>) {
    keys.0.press(&["Enter"]);
    keys.1 += 1;
    let screen =
        keys.0.wait("GPUs, or the list", |screen| screen.contains("its GPUs") || screen.contains("Add another"));
    if screen.contains("its GPUs") {
        keys.press("Enter", "Add another");
    }
}

#[test]
fn a_saved_configuration_is_started_and_a_failure_of_its_engine_is_told_and_all_is_stopped() {
    if !is_there() {
        return;
    }
    let home = Home::new();
    let text = "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\nmodels:\n  broken:\n    source: org/broken\n    command: [enginehouse, sim]\n    \
                restart: off\n    env: { ENGINEHOUSE_SIM_FAULTS: \"oom=100ms\" }\n";
    fs::write(home.configurations().join("bad.yaml"), text).expect("written");
    let terminal = home.terminal(SMALL, &[], &[("NO_COLOR", "1"), ("ENGINEHOUSE_ASCII", "1")]);
    terminal.shows("What do you want to do?");
    terminal.press(&["s"]);
    let screen = terminal.shows("v valid");
    assert!(screen.is_ascii() && screen.contains("org/broken"), "{screen}");
    terminal.press(&["Enter"]);
    terminal.wait("the failure", |screen| {
        ["broken/0 has failed", "out of memory", "stop all", "go on without it"]
            .iter()
            .all(|text| screen.contains(text))
    });
    terminal.press(&["s"]);
    // One key alone ends nothing.
    terminal.shows("Shut the gateway down?");
    terminal.press(&["y"]);
    assert_eq!(terminal.ended().0, "0");
    home.is_quiet();
}

#[test]
fn a_model_with_two_engines_is_configured_and_started_without_saving_and_one_key_stops_nothing() {
    if !is_there() {
        return;
    }
    let home = Home::new();
    let terminal = home.terminal(SMALL, &["new"], &[]);
    terminal.shows("127.0.0.1");
    terminal.enter("0");
    let mut keys = Keys(&terminal, 0);
    keys.press("Enter", "bold");
    keys.press("Enter", "its names, engines and profile");
    terminal.press(&["Down", "Down"]);
    terminal.shows("How many engines of it run at the same time");
    terminal.enter("2");
    add_gpus(&mut keys);
    keys.press("Enter", "2 started");
    terminal.press(&["Tab", "Tab", "Enter"]);
    terminal.wait("two engines that are ready", |screen| screen.matches("● ready").count() == 2);
    assert!(!home.configurations().join("bold.yaml").exists(), "it was not saved");
    keys.press("q", "leave it running in the background");
    keys.press("s", "Shut the gateway down?");
    terminal.press(&["n"]);
    terminal.wait("no question", |screen| !screen.contains("Shut the gateway down?"));
    keys.press("q", "leave it running in the background");
    keys.press("s", "Shut the gateway down?");
    terminal.press(&["y"]);
    assert_eq!(terminal.ended().0, "0");
    home.is_quiet();
}

#[test]
fn ctrl_c_leaves_every_page_with_nothing_written_and_the_terminal_as_it_was() {
    if !is_there() {
        return;
    }
    let home = Home::new();
    let before = files(home.folder.path());
    // What each key leads to; where there are GPUs, they are asked for before the list.
    let pages: [&[&str]; 5] =
        [&["127.0.0.1"], &["bold"], &["its names"], &["its GPUs", "Add another"], &["save and start", "Add another"]];
    for (last, size) in [SMALL, LARGE, SMALL, LARGE, SMALL].into_iter().enumerate() {
        let terminal = home.terminal(size, &["new"], &[]);
        for (at, page) in pages.iter().enumerate().take(last + 1) {
            if at > 0 {
                terminal.press(&["Enter"]);
            }
            terminal.wait(page[0], |screen| page.iter().any(|text| screen.contains(text)));
        }
        terminal.press(&["C-c"]);
        if last > 1 {
            terminal.shows("is not saved");
            terminal.press(&["C-c"]);
        }
        assert_eq!(terminal.ended().0, "0", "page {last}");
        assert_eq!(files(home.folder.path()), before, "page {last}");
    }
    assert!(home.processes().is_empty());
}

#[test]
fn a_saved_configuration_is_changed_step_by_step_and_keeps_its_comments() {
    if !is_there() {
        return;
    }
    let home = Home::new();
    let file = home.configurations().join("mine.yaml");
    let text = "# Mine\nlisten: 127.0.0.1:0 # ours\nadmin:\n  listen: 127.0.0.1:0\nmodels:\n  # The first\n  one:\n    source: org/one # weights\n    \
                command: [enginehouse, sim]\n";
    fs::write(&file, text).expect("written");
    let terminal = home.terminal(LARGE, &[], &[]);
    terminal.shows("What do you want to do?");
    terminal.press(&["e"]);
    terminal.shows("mine.yaml");
    terminal.press(&["Enter"]);
    terminal.shows("Model one");
    let mut keys = Keys(&terminal, 0);
    keys.press("a", "bold");
    keys.press("Enter", "its names, engines and profile");
    add_gpus(&mut keys);
    keys.press("Enter", "What would run where");
    terminal.wait("both models", |screen| screen.contains("sim org/one") && screen.contains("sim org/bold"));
    terminal.press(&["Tab", "Enter"]);
    terminal.shows("Saved. Start it: enginehouse serve mine");
    let now = fs::read_to_string(&file).expect("there");
    assert!(now.starts_with(text) && now.contains("  bold:\n    source: org/bold\n"), "{now}");
    // What is deleted is gone after an answer, and only then.
    terminal.press(&["d"]);
    terminal.shows("Delete the configuration mine?");
    terminal.press(&["Enter"]);
    terminal.wait("no question", |screen| !screen.contains("Delete the configuration"));
    assert!(file.exists());
    terminal.press(&["d", "y"]);
    terminal.shows("mine was deleted.");
    assert!(!file.exists());
    terminal.press(&["q", "q"]);
    assert_eq!(terminal.ended().0, "0");
}

#[test]
fn gpus_are_chosen_from_what_the_driver_tells_now_and_two_models_share_one() {
    if !is_there() {
        return;
    }
    let card = |index: u64, used: u64, degrees: u64| {
        let (total, used, free) = (80 * GIB, used * GIB, (80 - used) * GIB);
        format!(
            "gpu uuid=GPU-{index}000 name=NVIDIA_H100 total={total} used={used} free={free} util=5 temp={degrees}\n"
        )
    };
    let scenario = |degrees| format!("{DRIVER}{}{}", card(0, 1, degrees), card(1, 42, 70));
    let machine = Machine::new(&scenario(36));
    let home = Home::new();
    let library = machine.library.display().to_string();
    let terminal = home.terminal(SMALL, &["new"], &[("ENGINEHOUSE_NVML", &library)]);
    terminal.shows("127.0.0.1");
    terminal.enter("0");
    let mut keys = Keys(&terminal, 0);
    keys.press("Enter", "bold");
    keys.press("Enter", "its names, engines and profile");
    keys.press("Enter", "36 °C");
    machine.becomes(&scenario(55));
    terminal.wait("what the driver tells now", |screen| screen.contains("55 °C") && screen.contains("[ ]  0"));
    // Nothing is proposed for a command that is not vLLM's: what it takes is not known.
    keys.0.shows("How much memory bold takes is not known");
    // Automatic choice takes what has room for vLLM's default, and tells which that is now.
    keys.press("a", "(x)  0");
    keys.press("Right", "gets 2 GPUs when it starts");
    keys.press("Enter", "needs 2 GPUs of one kind");
    keys.press("Left", "gets 1 GPU when it starts");
    keys.press("a", "[ ]  0");
    keys.press("Space", "[x]  0");
    keys.press("+", "bold takes a share of 0.50");
    keys.press("Down", "▸[–]  1");
    keys.0.shows("others 42.0 GiB");
    keys.press("Space", "GPU 1: other processes hold 42.0 GiB");
    keys.press("Enter", "Add another");
    keys.press("a", "Model 2");
    keys.press("Down", "calm");
    keys.press("Enter", "org/calm · its names");
    keys.press("Enter", "bold 0.50");
    keys.press("+", "calm takes a share of 0.50");
    keys.press("Space", "bold takes 0.50, and 0.50 more is over 0.95");
    keys.0.wait("one sentence about turns", |screen| {
        screen.split_whitespace().collect::<Vec<_>>().join(" ").contains("T has all on this GPU take turns.")
    });
    keys.press("=", "2 models of GPU 0: a share of 0.47 for each.");
    keys.press("T", "2 models of GPU 0 take turns");
    keys.press("Enter", "Add another");
    keys.press("Enter", "What would run where");
    terminal.wait("both on one GPU", |screen| screen.matches("0 at 0.47").count() == 2);
    terminal.wait("both in turns", |screen| screen.matches("1 on demand").count() == 2);
    terminal.press(&["C-c"]);
    terminal.shows("is not saved");
    terminal.press(&["y"]);
    assert_eq!(terminal.ended().0, "0");
    assert!(!home.configurations().join("bold.yaml").exists());
}

#[test]
fn without_a_terminal_there_is_the_help_and_the_wizard_says_what_to_do() {
    let home = Home::new();
    let (code, text) = home.command(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("Usage: enginehouse"), "{text}");
    let (code, text) = home.command(&["new"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("conf/reference.yaml"), "{text}");
}
