//! How engines are replaced.

use super::*;

#[test]
fn one_of_two_is_replaced_in_its_place_and_the_other_when_that_has_arrived() {
    let both = vec![old(0, Stage::Ready), old(1, Stage::Ready)];
    assert_eq!(decide(wanted("m", 2), both.clone(), true), [Action::BeginRoll("m".into(), 2)]);
    assert_eq!(decide(rolling(2), both, true), replaced(0));
    let leaving = ActualReplica { is_leaving: true, ..old(0, Stage::Stopping) };
    assert_eq!(decide(rolling(2), vec![leaving, old(1, Stage::Ready)], true), [], "one at a time");
    assert_eq!(decide(rolling(2), vec![old(1, Stage::Ready)], true), [Action::Create(which(0))]);
    assert_eq!(decide(rolling(2), vec![replica(0, Stage::Starting), old(1, Stage::Ready)], true), []);
    assert_eq!(decide(rolling(2), vec![replica(0, Stage::Ready), old(1, Stage::Ready)], true), replaced(1));
    let new = vec![replica(0, Stage::Ready), replica(1, Stage::Ready)];
    assert_eq!(decide(rolling(2), new, true), [Action::FinishRoll("m".into())]);
}

#[test]
fn the_only_one_is_replaced_by_a_further_one_where_there_is_room() {
    assert_eq!(decide(rolling(1), vec![old(0, Stage::Ready)], true), [Action::Create(which(1))]);
    assert_eq!(decide(rolling(1), vec![old(0, Stage::Ready), replica(1, Stage::Starting)], true), []);
    assert_eq!(decide(rolling(1), vec![old(0, Stage::Ready), replica(1, Stage::Ready)], true), replaced(0));
    assert_eq!(decide(rolling(1), vec![old(0, Stage::Ready)], false), replaced(0), "it is away for a while");
}

#[test]
fn a_new_engine_that_fails_ends_the_roll_and_a_further_one_ends_with_it() {
    let in_place = vec![replica(0, Stage::Failed), old(1, Stage::Ready)];
    assert_eq!(decide(rolling(2), in_place.clone(), true), [Action::FailRoll(which(0))]);
    let failed = |replicas| DesiredModel { roll: RollPhase::Failed, ..wanted("m", replicas) };
    assert_eq!(decide(failed(2), in_place, true), [], "the other one stays as it is");
    let further = vec![old(0, Stage::Ready), replica(1, Stage::Failed)];
    assert_eq!(decide(rolling(1), further.clone(), true), [Action::FailRoll(which(1))]);
    assert_eq!(decide(failed(1), further, true), [Action::Remove(which(1), StopReason::Stop)]);
}

#[test]
fn what_serves_nobody_is_replaced_first_and_all_of_it() {
    let all = vec![old(0, Stage::Ready), old(1, Stage::Failed), old(2, Stage::Stopped), old(3, Stage::Unhealthy)];
    let first = [replaced(1), replaced(2)].concat();
    assert_eq!(decide(rolling(4), all, true), first);
    let left = vec![old(0, Stage::Ready), replica(1, Stage::Ready), replica(2, Stage::Ready), old(3, Stage::Unhealthy)];
    assert_eq!(decide(rolling(4), left, true), replaced(3));
}

#[test]
fn engines_that_know_another_name_go_together() {
    let misnamed = |number| ActualReplica { is_misnamed: true, ..old(number, Stage::Ready) };
    let actions = decide(rolling(2), vec![misnamed(0), misnamed(1)], true);
    assert_eq!(actions, [replaced(0), replaced(1)].concat());
    let leaving = |number| ActualReplica { is_leaving: true, ..misnamed(number) };
    assert_eq!(decide(rolling(2), vec![leaving(0)], true), [], "nobody serves beside them");
}

#[test]
fn only_what_serves_stands_in_for_what_a_roll_takes_away() {
    // The further engine was stopped while it loaded, or put to sleep: the old one goes on.
    for (stage, stopped) in [(Stage::Stopped, vec![1]), (Stage::Asleep, vec![])] {
        let stopped = DesiredModel { stopped: stopped.into_iter().collect(), ..rolling(1) };
        let replicas = vec![old(0, Stage::Ready), replica(1, stage)];
        assert_eq!(decide(stopped, replicas, true), [Action::FailRoll(which(1))], "{stage:?}");
    }
    // Numbers that were stopped once are no numbers for it.
    let model = DesiredModel { stopped: [1].into(), ..rolling(1) };
    assert_eq!(decide(model, vec![old(0, Stage::Ready)], true), [Action::Create(which(2))]);
}
