//! Keys, questions and pictures of the monitor.

use std::path::Path;

use super::super::example::{line, request, snapshot};
use super::*;
use crate::api::{Client, OnDemandView, Turn};
use crate::tui::frame::Message;

/// Rewrites the pictures instead of comparing with them.
const WRITE: &str = "ENGINEHOUSE_WRITE_PICTURES";

/// A link that is never used: what is asked is only looked at.
fn nowhere() -> Link {
    Link::new(Client::new(([127, 0, 0, 1], 1).into(), None), || None)
}

fn monitor(owns: bool) -> Monitor {
    let mut monitor = Monitor::new(nowhere(), "The gateway `demo`", owns);
    monitor.zone = TimeZone::UTC;
    assert_eq!(told(&mut monitor, &Input::Opened), "[Work(events)]");
    assert_eq!(hear(&mut monitor, News::Connected), "[]");
    hear(&mut monitor, News::Event(Box::new(snapshot())));
    let old = [
        request("a1", 200, None),
        request("b2", 503, Some("no_engine_ready")),
        request("c3", 404, Some("model_not_found")),
    ];
    hear(&mut monitor, News::Requests(old.to_vec()));
    let lines = [
        "engine process started engine=org/coder/0",
        "engine failed engine=org/coder/0",
        "engine sleeps engine=embed/0",
    ];
    let lines = lines
        .iter()
        .zip([None, Some("error"), Some("warn")])
        .map(|(text, level)| line("gateway", level, text))
        .collect();
    hear(&mut monitor, News::Event(Box::new(Event::Log { lines })));
    monitor
}

fn told(monitor: &mut Monitor, input: &Input) -> String {
    let now = monitor.known.now;
    format!("{:?}", monitor.update(input, now))
}

fn hear(monitor: &mut Monitor, news: News) -> String {
    told(monitor, &Input::Message(Message::new(news)))
}

fn press(monitor: &mut Monitor, keys: &str) -> String {
    let key = |letter| match letter {
        '⏎' => KeyCode::Enter,
        '⎋' => KeyCode::Esc,
        '↓' => KeyCode::Down,
        '⇟' => KeyCode::PageDown,
        letter => KeyCode::Char(letter),
    };
    let press = |letter| told(monitor, &Input::Key(KeyEvent::new(key(letter), KeyModifiers::NONE)));
    keys.chars().map(press).last().unwrap_or_default()
}

fn picture(monitor: &Monitor, size: (u16, u16)) -> String {
    let theme = Theme::new(true, true);
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    monitor.draw(buffer.area, &mut buffer, &theme);
    let line = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..size.1).map(line).collect::<Vec<_>>().join("\n").trim_end().to_owned() + "\n"
}

/// Compares what is shown at both sizes with the pictures in the files.
fn compare(monitor: &Monitor, name: &str) {
    for size in [(80, 22), (200, 58)] {
        let shown = picture(monitor, size);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui/monitor/screen/pictures");
        let file = file.join(format!("{name}-{}x{}.txt", size.0, size.1 + 2));
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&file, &shown).expect("written");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            shown == kept,
            "{} shows:\n{shown}\nIf that is right: {WRITE}=1 cargo test --lib tui::monitor",
            file.display()
        );
    }
}

#[test]
fn the_overview_looks_as_in_the_picture() {
    compare(&monitor(false), "overview");
}

#[test]
fn models_that_are_loaded_on_demand_look_as_in_the_picture() {
    let Event::Snapshot(mut snapshot) = snapshot() else { panic!("no snapshot") };
    let (loaded, rest) = snapshot.models.split_first_mut().expect("models");
    loaded.on_demand = Some(OnDemandView { turn: Turn::Loaded, loads: 3, obstacle: None });
    let why = "GPU 0: other processes hold 42.0 GiB of its 80.0 GiB.".to_owned();
    let unloaded = [(Turn::Next, 2, Some(why)), (Turn::NotLoaded, 0, None)];
    for (model, (turn, waiting, obstacle)) in rest.iter_mut().zip(unloaded) {
        model.on_demand = Some(OnDemandView { turn, loads: 0, obstacle });
        (model.waiting, model.ready, model.replicas, model.ready_replicas) = (waiting, false, 0, 0);
        model.engines.clear();
    }
    snapshot.engines.retain(|engine| engine.model == "qwen3-32b");
    let mut monitor = monitor(false);
    hear(&mut monitor, News::Event(Box::new(Event::Snapshot(snapshot))));
    press(&mut monitor, "↓↓↓");
    compare(&monitor, "on-demand");
    press(&mut monitor, "a");
    assert!(picture(&monitor, (80, 22)).contains("start"), "what is not loaded can be started");
}

#[test]
fn engines_look_as_in_the_pictures() {
    for (id, name) in
        [("qwen3-32b/0", "ready"), ("qwen3-32b/1", "starting"), ("embed/0", "asleep"), ("org/coder/0", "failed")]
    {
        let mut monitor = monitor(false);
        assert_eq!(format!("{:?}", monitor.jump(id)), "[Work(logs)]");
        let number = monitor.following.log_turn().expect("followed");
        for text in
            ["\x1b[1;36m(EngineCore pid=9)\x1b[0;0m INFO loading", "\x1b[2J\x1b]0;title\x07WARN shown without harm"]
        {
            hear(&mut monitor, News::Log(number, line(id, Some("info"), text)));
        }
        hear(&mut monitor, News::Log(number + 1, line("other/0", None, "not wanted")));
        compare(&monitor, &format!("engine-{name}"));
    }
}

#[test]
fn the_other_views_look_as_in_the_pictures() {
    for (at, (name, _)) in Place::NAMED.iter().enumerate().skip(1) {
        let mut monitor = monitor(false);
        press(&mut monitor, &(at + 1).to_string());
        if *name == "logs" {
            let number = monitor.following.log_turn().expect("followed");
            for (from, level, text) in [
                ("gateway", Some("info"), "serving http://127.0.0.1:8000/v1"),
                ("qwen3-32b/0", None, "\x1b[32mINFO\x1b[0m Application startup complete."),
                (
                    "org/coder/0",
                    Some("error"),
                    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 12.00 GiB. GPU 0 has a total capacity of 79.11 GiB",
                ),
            ] {
                hear(&mut monitor, News::Log(number, line(from, level, text)));
            }
        }
        compare(&monitor, name);
    }
    let mut monitor = monitor(false);
    press(&mut monitor, "3↓⏎");
    compare(&monitor, "request");
}

#[test]
fn nothing_is_done_without_an_answer() {
    let mut monitor = monitor(false);
    assert_eq!(press(&mut monitor, "↓x"), "[]");
    assert!(monitor.takes_text(), "a question is open");
    compare(&monitor, "stop");
    assert_eq!(press(&mut monitor, "⏎"), "[]", "the answer that does nothing is selected");
    assert!(!monitor.takes_text());
    assert_eq!(press(&mut monitor, "xy"), "[Work(order)]");
    assert_eq!(press(&mut monitor, "a"), "[]");
    compare(&monitor, "actions");
    assert_eq!(press(&mut monitor, "z"), "[]", "a question follows");
    assert!(picture(&monitor, (80, 22)).contains("Put to sleep: qwen3-32b/0?"));
    assert_eq!(press(&mut monitor, "⎋"), "[]");
    assert_eq!(press(&mut monitor, "w⏎"), "[Work(order)]", "waking does no harm");
    press(&mut monitor, "r");
    assert!(picture(&monitor, (80, 22)).contains("No other engine serves qwen3-32b"), "it is away meanwhile");
    compare(&monitor, "restart");
    press(&mut monitor, "⎋s");
    compare(&monitor, "scale");
    assert!(press(&mut monitor, "x⏎").contains("A number from 1 to 256"));
    monitor.update(&Input::Key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE)), Instant::now());
    assert_eq!(press(&mut monitor, "3⏎"), "[Work(order)]");
    press(&mut monitor, "6");
    assert_eq!(press(&mut monitor, "cy"), "[Work(order)]");
    assert_eq!(press(&mut monitor, "↓c"), r#"[Say(Note, "It is over: there is nothing to cancel.")]"#);
}

#[test]
fn who_has_started_the_gateway_is_told_of_each_failure_once() {
    assert!(monitor(false).question.is_none());
    let mut owner = monitor(true);
    compare(&owner, "failed");
    assert_eq!(press(&mut owner, "⏎"), "[]", "going on is selected");
    hear(&mut owner, News::Event(Box::new(snapshot())));
    assert!(owner.question.is_none(), "once");
    owner.told_failures.clear();
    hear(&mut owner, News::Event(Box::new(snapshot())));
    assert_eq!(press(&mut owner, "l"), "[Work(logs)]");
    assert_eq!(owner.title(), "overview › org/coder/0");
    owner.told_failures.clear();
    hear(&mut owner, News::Event(Box::new(snapshot())));
    assert_eq!(press(&mut owner, "s"), "[]", "it opens by itself: a letter for the view below ends nothing");
    assert!(picture(&owner, (80, 22)).contains("Shut the gateway down?"));
    assert_eq!(press(&mut owner, "y"), "[Work(shut down)]");
}

#[test]
fn who_goes_back_from_an_own_gateway_is_asked_too() {
    let mut owner = monitor(true);
    press(&mut owner, "⏎");
    assert!(owner.back());
    assert!(picture(&owner, (80, 22)).contains("leave it running in the background"));
    assert!(!monitor(false).back());
}

#[test]
fn who_has_started_the_gateway_is_asked_what_becomes_of_it() {
    assert_eq!(format!("{:?}", monitor(false).leave()), "[End(None)]");
    let mut owner = monitor(true);
    press(&mut owner, "⏎");
    assert_eq!(format!("{:?}", owner.leave()), "[]");
    compare(&owner, "leave");
    let left = press(&mut owner, "⏎");
    assert!(left.contains("goes on running"), "leaving it is selected");
    assert!(left.contains("`enginehouse top --name demo`"), "{left}");
    assert_eq!(format!("{:?}", owner.leave()), "[]");
    assert_eq!(press(&mut owner, "s"), "[]", "one key alone ends nothing");
    compare(&owner, "shut-down");
    assert_eq!(press(&mut owner, "y"), "[Work(shut down)]");
    assert!(hear(&mut owner, News::ShutDown).starts_with("[End(Some("));
    assert_eq!(format!("{:?}", owner.leave()), "[]");
    assert!(format!("{:?}", owner.leave()).starts_with("[End(Some("), "asked twice, it is to end");
    hear(&mut owner, News::Lost("refused".to_owned()));
    assert!(format!("{:?}", owner.leave()).starts_with("[End("), "nothing can be asked of a gateway that is away");
}

#[test]
fn a_lost_connection_is_told_and_what_was_known_stays() {
    let mut fresh = Monitor::new(nowhere(), "The gateway `demo`", false);
    assert!(picture(&fresh, (80, 22)).contains("Connecting to The gateway `demo`"));
    hear(&mut fresh, News::Lost("Connection refused".to_owned()));
    assert!(picture(&fresh, (80, 22)).contains("The gateway `demo` does not answer: Connection refused."));
    let mut monitor = monitor(false);
    hear(&mut monitor, News::Lost("Connection refused".to_owned()));
    let shown = picture(&monitor, (80, 22));
    assert!(
        shown.contains("qwen3-32b/0")
            && shown.contains("✗ The connection is lost, what is shown is old (Connection refused)"),
        "{shown}"
    );
    compare(&monitor, "lost");
    let status: String = monitor.status().spans.iter().map(|span| span.content.as_ref()).collect();
    assert_eq!(status, "✗ connection lost, trying again (0s)");
    hear(&mut monitor, News::Connected);
    assert!(!picture(&monitor, (80, 22)).contains("connection is lost"));
}

#[test]
fn only_what_is_shown_is_followed() {
    let mut monitor = monitor(false);
    assert_eq!(press(&mut monitor, "3"), "[Work(requests)]");
    assert_eq!(press(&mut monitor, "⏎"), "[Work(request)]", "requests are followed below it");
    assert_eq!(press(&mut monitor, "2"), "[Work(logs)]");
    assert_eq!(press(&mut monitor, "3"), "[Work(requests)]", "anew");
    monitor.known.now += std::time::Duration::from_secs(30);
    assert_eq!(told(&mut monitor, &Input::Tick), "[Work(events)]", "a connection that is silent is given up");
    assert_eq!(told(&mut monitor, &Input::Tick), "[]", "once");
}

#[test]
fn logs_that_were_refused_come_again() {
    let mut monitor = monitor(false);
    press(&mut monitor, "2");
    let number = monitor.following.log_turn().expect("followed");
    hear(&mut monitor, News::LogLost(number, "the gateway answers 404: no such engine".to_owned()));
    assert!(picture(&monitor, (80, 22)).contains("no such engine"));
    hear(&mut monitor, News::LogFollowed(number));
    assert!(!picture(&monitor, (80, 22)).contains("no such engine"), "also before the first line");
}

#[test]
fn logs_that_come_again_after_a_loss_are_shown_once_with_what_came_meanwhile() {
    let mut monitor = monitor(false);
    press(&mut monitor, "2");
    let number = monitor.following.log_turn().expect("followed");
    let follow = |monitor: &mut Monitor, texts: &[&str]| {
        hear(monitor, News::LogFollowed(number));
        for text in texts {
            hear(monitor, News::Log(number, line("gateway", None, text)));
        }
    };
    follow(&mut monitor, &["first", "second"]);
    follow(&mut monitor, &["first", "second", "third"]);
    let shown = picture(&monitor, (80, 22));
    for text in ["first", "second", "third"] {
        assert_eq!(shown.matches(text).count(), 1, "{text} in {shown}");
    }
}

#[test]
fn some_lines_of_an_engines_log_are_seen_in_the_smallest_window() {
    let mut monitor = monitor(false);
    monitor.jump("org/coder/0");
    let number = monitor.following.log_turn().expect("followed");
    hear(&mut monitor, News::Log(number, line("org/coder/0", None, "the last line")));
    let shown = picture(&monitor, (60, 11));
    assert!(shown.contains("Log: following") && shown.contains("the last line"), "{shown}");
}

#[test]
fn the_text_of_an_alias_is_scrolled_and_begins_anew_for_another_one() {
    let mut monitor = monitor(false);
    monitor.known.aliases[0].changes = (0..40).map(|number| format!("default: option_{number} = 1")).collect();
    press(&mut monitor, "4");
    assert!(picture(&monitor, (80, 22)).contains("lines 1-"));
    press(&mut monitor, "⇟⇟⇟⇟⇟⇟⇟⇟");
    assert!(picture(&monitor, (80, 22)).contains("option_39"));
    press(&mut monitor, "↓");
    monitor.known.aliases[1].changes = monitor.known.aliases[0].changes.clone();
    assert!(picture(&monitor, (80, 22)).contains("lines 1-"));
}

#[test]
fn what_the_filter_hides_is_not_said_to_be_absent() {
    let mut monitor = monitor(false);
    for (key, none) in [("4", "No alias fits the filter."), ("6", "No operation fits the filter.")] {
        press(&mut monitor, key);
        monitor.set_filter("nothing of this name");
        assert!(picture(&monitor, (80, 22)).contains(none), "{none}");
    }
}

#[test]
fn places_filters_and_going_back() {
    let mut monitor = monitor(false);
    let places = monitor.places();
    for place in ["overview", "logs", "operations", "qwen3-32b", "org/coder/1"] {
        assert!(places.iter().any(|known| known == place), "{place} in {places:?}");
    }
    monitor.jump("org/coder");
    assert_eq!(monitor.title(), "overview › org/coder/0");
    assert!(monitor.back() && !monitor.back());
    assert_eq!(told(&mut monitor, &Input::Tick), "[]");
    assert_eq!(monitor.following.log_turn(), None, "its log is not followed any more");
    monitor.set_filter("coder/1");
    let shown = picture(&monitor, (80, 22));
    assert!(
        shown.contains("org/coder/1") && !shown.contains("org/coder/0  ") && !shown.contains("embed/0 "),
        "{shown}"
    );
    monitor.set_filter("");
    assert_eq!(press(&mut monitor, "⏎"), "[]");
    assert!(!picture(&monitor, (80, 22)).contains("qwen3-32b/1 "), "folded");
    assert_eq!(press(&mut monitor, "↓⏎"), "[Work(logs)]", "a model with one engine leads to it");
    assert_eq!(monitor.title(), "overview › embed/0");
    press(&mut monitor, "9");
    assert_eq!(monitor.title(), "overview › embed/0", "there is no ninth view");
}
