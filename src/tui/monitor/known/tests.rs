//! What events make known.

use super::super::example::{busy, engine, line, operation, point, pulse, request, snapshot};
use super::*;
use crate::api::{EngineState, OperationState};

fn known() -> (Known, Instant) {
    let start = Instant::now();
    let mut known = Known::new(start);
    assert!(!known.is_known());
    known.connected();
    known.hear(&snapshot());
    (known, start)
}

fn state(known: &Known, id: &str) -> (&'static str, u64) {
    let (engine, since) = known.engine(id).expect("known");
    (engine.state.word(), since.as_secs())
}

#[test]
fn a_snapshot_tells_all_and_ages() {
    let (mut known, start) = known();
    assert_eq!((known.models.len(), known.engines().count(), known.aliases.len()), (3, 5, 2));
    assert_eq!(state(&known, "embed/0"), ("asleep", 192));
    known.now = start + Duration::from_secs(8);
    assert_eq!(state(&known, "embed/0"), ("asleep", 200));
    assert_eq!(known.uptime(), Some(2104.0));
}

#[test]
fn changes_are_taken_in_and_clocks_begin_anew_with_another_state() {
    let (mut known, start) = known();
    known.now = start + Duration::from_secs(10);
    let stopped = Event::Engine { engine: "embed/0".into(), model: "embed".into(), state: EngineState::Stopped };
    known.hear(&stopped);
    assert_eq!(state(&known, "embed/0"), ("stopped", 0));
    known.now = start + Duration::from_secs(15);
    let mut news = pulse(vec![busy("embed/0"), engine("new/0", EngineState::Ready), busy("qwen3-32b/0")], vec![]);
    news.gone_engines = vec!["org/coder/1".to_owned()];
    news.gone_models = vec!["embed".to_owned()];
    known.hear(&Event::Pulse(Box::new(news)));
    assert_eq!(state(&known, "embed/0"), ("ready", 0));
    assert_eq!(state(&known, "qwen3-32b/0"), ("ready", 207), "a pulse does not tell for how long");
    assert!(known.engine("org/coder/1").is_none() && known.engine("new/0").is_some() && known.model("embed").is_none());
    known.hear(&stopped);
    known.hear(&Event::Engine { engine: "nobody/0".into(), model: "nobody".into(), state: EngineState::Ready });
    assert_eq!(state(&known, "embed/0").0, "stopped");
    known.hear(&snapshot());
    assert_eq!(state(&known, "embed/0"), ("asleep", 192), "another snapshot, another gateway");
}

#[test]
fn curves_go_on_with_the_interval_that_is_over() {
    let (mut known, _) = known();
    for number in [39, 40, 41, 41, 20] {
        known.hear(&Event::Pulse(Box::new(pulse(vec![], vec![point(number)]))));
    }
    let history = &known.rates.as_ref().expect("rates").history;
    assert_eq!((history.len(), history.last().map(|point| point.number)), (42, Some(41)));
    for number in 42..2000 {
        known.hear(&Event::Pulse(Box::new(pulse(vec![], vec![point(number)]))));
    }
    assert_eq!(known.rates.as_ref().expect("rates").history.len(), POINTS);
}

#[test]
fn lists_are_bounded_and_nothing_comes_twice() {
    let (mut known, _) = known();
    for number in 0..600 {
        known.hear(&Event::Requests { requests: vec![request(&number.to_string(), 200, None)] });
        known.hear(&Event::Log { lines: vec![line("gateway", None, "x")] });
        known.hear(&Event::Operation(operation(&format!("x{number}"), OperationState::Running)));
    }
    assert_eq!((known.requests.len(), known.own_log.len(), known.operations.len()), (REQUESTS, OWN_LINES, OPERATIONS));
    assert_eq!(known.requests[0].id, "599");
    known.requests_were(&[request("599", 200, None), request("older", 200, None)]);
    assert_eq!(known.requests.iter().filter(|request| request.id == "599").count(), 1);
    known.hear(&Event::Requests { requests: vec![request("older", 200, None), request("newer", 200, None)] });
    assert_eq!(known.requests.iter().filter(|request| request.id == "older").count(), 1);
    assert_eq!(known.requests[0].id, "newer");
    known.hear(&Event::Operation(operation("x599", OperationState::Done)));
    assert_eq!((known.operations.len(), known.operations[0].state), (OPERATIONS, OperationState::Done));
}

#[test]
fn losses_and_silence_are_told() {
    let (mut known, start) = known();
    known.now = start + Duration::from_secs(7);
    assert_eq!(known.silence(), Some(Duration::from_secs(7)));
    assert!(!known.is_deaf());
    known.now = start + Duration::from_secs(21);
    assert!(known.is_deaf());
    known.now = start + Duration::from_secs(7);
    known.lost("refused".to_owned());
    known.now = start + Duration::from_secs(9);
    known.lost("refused again".to_owned());
    let since = start + Duration::from_secs(7);
    assert_eq!(known.connection, Connection::Down { since, why: "refused again".to_owned() });
    assert_eq!(known.silence(), None);
    known.connected();
    assert_eq!((known.connection.clone(), known.silence()), (Connection::Up, None));
    assert!(known.is_known(), "the old figures stay");
}

#[test]
fn lines_of_the_own_log_come_once() {
    let (mut known, _) = known();
    let timed = |text: &str| LogLine { time: Some("2026-11-30T12:00:00Z".into()), ..line("gateway", None, text) };
    known.hear(&Event::Log { lines: vec![timed("c")] });
    known.own_log_was(&[timed("a"), timed("b"), timed("c")]);
    known.hear(&Event::Log { lines: vec![timed("c"), timed("d")] });
    let all: Vec<String> =
        known.own_log.last(known.own_log.end(), 9, |_| true).into_iter().map(|line| line.text.clone()).collect();
    assert_eq!(all, ["a", "b", "c", "d"]);
}
