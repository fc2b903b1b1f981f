//! `enginehouse top` in a terminal, against a gateway with simulated engines.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::driver::{Terminal, is_there};
use crate::support::deployment::{Deployment, model};
use crate::support::large::{SERVERS, large};
use crate::support::load::Load;
use crate::support::{BINARY, Gateway, Sim, processes};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 60);

/// UTF-8 whatever the locale of the tests is.
const UNICODE: (&str, &str) = ("LC_ALL", "C.UTF-8");

/// Two engines of one model, and another model, all simulated.
fn two_models() -> String {
    format!(
        "models:\n{}{}aliases:\n  qwen-instant: {{ model: qwen, overrides: {{ temperature: 0 }} }}\n",
        model("qwen", "replicas: 1"),
        model("embed", "replicas: 1")
    )
}

fn top(size: (u16, u16), gateway: &Gateway, env: &[(&str, &str)]) -> Terminal {
    let admin = gateway.admin.to_string();
    Terminal::run(size, &["top", "--admin", &admin], env)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_opens_at_both_sizes_and_after_a_change_of_size() {
    if !is_there() {
        return;
    }
    let (_deployment, gateway) = Deployment::open(&two_models());
    gateway.all_ready().await;
    gateway.ask("qwen-instant").await;
    for size in [SMALL, LARGE] {
        let terminal = top(size, &gateway, &[UNICODE]);
        terminal.wait("two engines that are ready", |screen| screen.matches("● ready").count() == 2);
        for (key, title, text) in [
            ("2", "› logs", "engine is ready"),
            ("3", "› requests", "qwen-instant"),
            ("4", "› aliases", "qwen-instant"),
            ("5", "› gpus", "GPU"),
            ("6", "› operations", "STATE"),
            ("1", "› overview", "Log of the gateway"),
        ] {
            terminal.press(&[key]);
            terminal.wait(title, |screen| screen.contains(title) && screen.contains(text));
        }
        terminal.press(&["3"]);
        terminal.shows("› requests");
        terminal.press(&["Enter"]);
        terminal.wait("the request", |screen| screen.contains("› request ") && screen.contains("OUTCOME"));
        terminal.enter(":qwen/0");
        terminal.press(&["Enter"]);
        terminal.wait("the engine with its log", |screen| {
            screen.contains("› qwen/0") && screen.contains("Application startup complete")
        });
        terminal.press(&["Escape"]);
        terminal.shows("Log of the gateway");
        terminal.enter("/embed");
        // The gateway's log below names all engines; the table has two blanks behind them.
        terminal.wait("only what fits", |screen| screen.contains("embed/0  ") && !screen.contains("qwen/0  "));
        terminal.press(&["Escape"]);
        terminal.shows("qwen/0  ");
        terminal.press(&["?"]);
        terminal.shows("Help: overview");
        terminal.press(&["Escape"]);
        let other = if size == SMALL { LARGE } else { SMALL };
        terminal.resize(other);
        terminal.wait("the other size", |screen| {
            screen
                .lines()
                .next()
                .is_some_and(|line| line.starts_with(" enginehouse") && line.chars().count() > usize::from(other.0) - 4)
        });
        terminal.resize((50, 10));
        terminal.shows("At least 60x15");
        terminal.resize(SMALL);
        terminal.shows("● ready");
        terminal.press(&["C-c"]);
        assert_eq!(terminal.ended().0, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_stopped_and_started_by_keys_and_only_after_an_answer() {
    if !is_there() {
        return;
    }
    let (_deployment, gateway) = Deployment::open(&two_models());
    gateway.all_ready().await;
    let terminal = top(SMALL, &gateway, &[UNICODE]);
    terminal.wait("two engines that are ready", |screen| screen.matches("● ready").count() == 2);
    terminal.enter(":qwen/0");
    terminal.press(&["Enter"]);
    terminal.shows("Application startup complete");
    terminal.press(&["x"]);
    terminal
        .wait("a question", |screen| screen.contains("Stop qwen/0?") && screen.contains("No other engine serves qwen"));
    terminal.press(&["Enter"]);
    terminal.wait("no question", |screen| !screen.contains("Stop qwen/0?"));
    assert_eq!(gateway.engine("qwen/0").await["state"], "ready", "Enter alone does nothing");
    terminal.press(&["x"]);
    terminal.shows("Stop qwen/0?");
    terminal.press(&["y"]);
    terminal.shows("○ stopped");
    assert_eq!(gateway.engine("qwen/0").await["state"], "stopped");
    terminal.press(&["t", "Enter"]);
    terminal.shows("● ready");
    terminal.press(&["6"]);
    terminal.wait("what was done", |screen| screen.matches("✓ done").count() == 2);
    terminal.press(&["q", "q"]);
    assert_eq!(terminal.ended().0, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_shows_how_far_it_is_and_a_failure_its_reason_and_log() {
    if !is_there() {
        return;
    }
    let faults = |faults: &str| format!("restart: off, env: {{ ENGINEHOUSE_SIM_FAULTS: \"{faults}\" }}");
    let models = [model("slow", &faults("ready-after=8s")), model("broken", &faults("oom=100ms"))];
    let (_deployment, gateway) = Deployment::open(&format!("models:\n{}", models.concat()));
    let terminal = top(SMALL, &gateway, &[UNICODE]);
    terminal.wait("a phase and how much of it is done", |screen| {
        screen.lines().any(|line| line.contains("slow/0") && line.contains("◐") && line.contains('%'))
    });
    terminal.enter(":slow");
    terminal.press(&["Enter"]);
    terminal.wait("a bar", |screen| screen.contains("› slow/0") && screen.contains("█") && screen.contains(" % ("));
    terminal.shows("● ready");
    terminal.enter(":broken");
    terminal.press(&["Enter"]);
    terminal.wait("why it failed, its log, and what can be done", |screen| {
        ["✗ failed", "out of memory", "t starts it again", "Traceback"].iter().all(|text| screen.contains(text))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_without_colours_and_without_unicode_get_neither() {
    if !is_there() {
        return;
    }
    let (_deployment, gateway) = Deployment::open(&two_models());
    gateway.all_ready().await;
    let plain = top(SMALL, &gateway, &[("NO_COLOR", "1"), ("LC_ALL", "C")]);
    let screen = plain.wait("two engines that are ready", |screen| screen.matches("* ready").count() == 2);
    assert!(screen.is_ascii(), "{screen}");
    let coloured = plain.coloured();
    let has_colour =
        |text: &str| text.contains("\x1b[38;5;") || (30..=37).any(|colour| text.contains(&format!("\x1b[{colour}m")));
    assert!(!has_colour(&coloured), "{coloured:?}");
    let rich = top(SMALL, &gateway, &[UNICODE]);
    rich.wait("two engines that are ready", |screen| screen.matches("● ready").count() == 2);
    assert!(has_colour(&rich.coloured()), "the other one shows what colours look like here");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_given_back_after_a_signal() {
    if !is_there() {
        return;
    }
    let (_deployment, gateway) = Deployment::open(&two_models());
    for signal in [Signal::TERM, Signal::HUP] {
        let terminal = top(SMALL, &gateway, &[UNICODE]);
        terminal.shows("qwen/0");
        processes::signal(terminal.program().expect("it runs").pid, signal);
        assert_eq!(terminal.ended().0, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn top_survives_the_restart_of_the_gateway() {
    if !is_there() {
        return;
    }
    let (deployment, mut gateway) = Deployment::open(&two_models());
    gateway.all_ready().await;
    let state = deployment.state().display().to_string();
    let terminal = Terminal::run(SMALL, &["top", "--state-dir", &state], &[UNICODE]);
    terminal.wait("two engines that are ready", |screen| screen.matches("● ready").count() == 2);
    gateway.stop().await;
    let screen = terminal.shows("connection lost, trying again");
    assert!(screen.contains("qwen/0"), "what was known stays:\n{screen}");
    // At another address, and with another token.
    let gateway = deployment.gateway();
    gateway.all_ready().await;
    terminal.wait("the engines of the new one", |screen| {
        screen.matches("● ready").count() == 2 && !screen.contains("connection lost")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_one_picture_is_printed() {
    let (_deployment, gateway) = Deployment::open(&two_models());
    gateway.all_ready().await;
    let admin = gateway.admin.to_string();
    let run = |args: &[&str]| {
        let output = Command::new(BINARY)
            .arg("top")
            .args(args)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .output()
            .expect("run");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        (output.status.code(), text)
    };
    let (code, text) = run(&["--once", "--admin", &admin]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 models, 2 engines: ● 2 ready") && text.matches("● ready").count() == 2, "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
    assert_eq!(run(&["--admin", &admin]).0, Some(0), "standard output is no terminal");
    let (code, text) = run(&["--admin", "127.0.0.1:9"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("no gateway answers at"), "{text}");
}

/// Seconds of processor time that a process has used.
fn used(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    // utime and stime, in ticks of a hundredth of a second.
    (11..13).map(|field| fields[field].parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

/// Measured: it takes long, and needs a machine that does nothing else.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for 20 seconds on a quiet machine"]
async fn top_takes_less_than_two_hundredths_of_a_core_with_64_engines() {
    assert!(is_there());
    const TIME: Duration = Duration::from_secs(20);
    let servers: Vec<Sim> = (0..SERVERS).map(|_| Sim::start(&[])).collect();
    let gateway = Gateway::ready(&large(&servers)).await;
    let load = Load::start(gateway.address, "model-3", 8);
    load.answered(50).await;
    for size in [SMALL, LARGE] {
        let terminal = top(size, &gateway, &[UNICODE]);
        terminal.shows("64 engines: ● 64 ready");
        let pid = terminal.program().expect("it runs").pid;
        let (before, since) = (used(pid), Instant::now());
        tokio::time::sleep(TIME).await;
        let share = (used(pid) - before) / since.elapsed().as_secs_f64();
        println!("{size:?}: {:.2} % of a core", share * 100.0);
        assert!(share < 0.02, "{size:?}: {:.2} % of a core", share * 100.0);
    }
    let (tally, failures) = load.stop().await;
    println!("{} answers meanwhile", tally.whole.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(failures, Vec::<String>::new());
}
