//! Which engines are made, start, stop and go, when none is replaced.

use std::collections::BTreeMap;

use super::*;

#[test]
fn what_is_missing_is_made_and_what_is_too_much_ends() {
    assert_eq!(decide(wanted("m", 2), vec![], false), [Action::Create(which(0)), Action::Create(which(1))]);
    let ready = |number| replica(number, Stage::Ready);
    assert_eq!(decide(wanted("m", 2), vec![ready(1)], false), [Action::Create(which(0))], "the lowest number first");
    let stop = |number| vec![Action::Remove(which(number), StopReason::Stop)];
    assert_eq!(decide(wanted("m", 1), vec![ready(0), ready(1)], false), stop(1), "the highest number first");
    let failed = replica(0, Stage::Failed);
    assert_eq!(decide(wanted("m", 1), vec![failed, ready(1)], false), stop(0), "but what serves stays");
    let nothing = Desired::default();
    let actual = Actual { models: [("m".into(), vec![ready(0)])].into(), ..Actual::default() };
    assert_eq!(reconcile(&nothing, &actual, &|_| true), [Action::Remove(which(0), StopReason::Removed)]);
    let needed = Actual { serving_on: ["m".into()].into(), ..actual };
    assert_eq!(reconcile(&nothing, &needed, &|_| true), [], "external engines are not ready yet");
}

#[test]
fn engines_start_in_their_order_and_a_failure_does_not_hold_the_others_up() {
    let order = |name: &str, order| DesiredModel { start_order: Some(order), ..wanted(name, 1) };
    let desired = Desired { models: vec![wanted("last", 1), order("second", 2), order("first", 1)] };
    let state = |first: Stage, second: Stage| Actual {
        models: BTreeMap::from([
            ("first".into(), vec![replica(0, first)]),
            ("second".into(), vec![replica(0, second)]),
            ("last".into(), vec![replica(0, Stage::Idle)]),
        ]),
        ..Actual::default()
    };
    let at = |name: &str| -> Which { (name.into(), 0) };
    let actions = reconcile(&desired, &state(Stage::Idle, Stage::Idle), &|_| true);
    assert_eq!(actions, [Action::Wait(at("last"), 1), Action::Wait(at("second"), 1), Action::Start(at("first"))]);
    let actions = reconcile(&desired, &state(Stage::Failed, Stage::Idle), &|_| true);
    assert_eq!(actions, [Action::Wait(at("last"), 2), Action::Start(at("second"))]);
    let actions = reconcile(&desired, &state(Stage::Failed, Stage::Ready), &|_| true);
    assert_eq!(actions, [Action::Start(at("last"))]);
    let clearing = Actual { is_clearing: true, ..state(Stage::Idle, Stage::Idle) };
    assert_eq!(reconcile(&desired, &clearing, &|_| true), [], "what was left may still hold what they need");
}

#[test]
fn gpus_are_found_for_all_that_want_some_at_once_before_they_start() {
    let idle = |number, placement| ActualReplica { placement, ..replica(number, Stage::Idle) };
    let replicas = vec![idle(0, Placement::Wanted), idle(1, Placement::Wanted), idle(2, Placement::Pending)];
    assert_eq!(decide(wanted("m", 3), replicas, true), [Action::Place(vec![which(0), which(1)])]);
}

#[test]
fn a_stop_outlasts_a_replacement_and_keeps_its_number() {
    let stopped = || DesiredModel { stopped: [1].into(), ..wanted("m", 2) };
    assert_eq!(decide(stopped(), vec![replica(2, Stage::Ready)], true), [Action::Create(which(1))]);
    let idle = vec![replica(1, Stage::Idle), replica(2, Stage::Ready)];
    assert_eq!(decide(stopped(), idle, true), [Action::Stop(which(1))]);
    assert_eq!(decide(stopped(), vec![replica(1, Stage::Stopped), replica(2, Stage::Ready)], true), []);
    let started = vec![replica(1, Stage::Stopped), replica(2, Stage::Ready)];
    assert_eq!(decide(wanted("m", 2), started, true), [Action::Start(which(1))]);
}

#[test]
fn a_stop_is_forgotten_with_its_engine_and_stops_no_other() {
    let model = |replicas| DesiredModel { stopped: [0].into(), ..wanted("m", replicas) };
    assert_eq!(decide(model(1), vec![replica(1, Stage::Ready)], true), [Action::ForgetStop(which(0))]);
    // One of two was stopped, and now there is to be one: that one runs. All were stopped: it does not.
    let one = |is_stopped| DesiredModel { stopped: [1].into(), is_stopped, ..wanted("m", 1) };
    assert_eq!(decide(one(false), vec![], true), [Action::Create(which(0))]);
    assert_eq!(decide(one(true), vec![], true), [Action::Create(which(1))]);
}

#[test]
fn a_model_that_comes_back_does_not_wait_for_its_old_engines_where_there_is_room() {
    let leaving = || vec![ActualReplica { is_leaving: true, ..replica(0, Stage::Stopping) }];
    assert_eq!(decide(wanted("m", 2), leaving(), true), [Action::Create(which(1))]);
    assert_eq!(decide(wanted("m", 2), leaving(), false), []);
    let beside = [leaving(), vec![replica(1, Stage::Starting)]].concat();
    assert_eq!(decide(wanted("m", 2), beside, true), [], "one at a time");
}
