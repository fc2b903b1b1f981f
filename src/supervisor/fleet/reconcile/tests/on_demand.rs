//! Models that are loaded on demand.

use super::*;

fn resident(residency: Residency, replicas: usize) -> DesiredModel {
    DesiredModel { residency, ..wanted("m", replicas) }
}

fn unloaded(number: usize) -> Action {
    Action::Remove(which(number), StopReason::Unload)
}

#[test]
fn one_that_is_not_loaded_has_no_engines_and_needs_none() {
    assert_eq!(decide(resident(Residency::None, 2), vec![], true), []);
    let engines = vec![replica(0, Stage::Ready), replica(1, Stage::Asleep)];
    assert_eq!(decide(resident(Residency::None, 2), engines, true), [unloaded(0), unloaded(1)]);
    let leaving = vec![ActualReplica { is_leaving: true, ..replica(0, Stage::Ready) }];
    assert_eq!(decide(resident(Residency::None, 2), leaving, true), []);
}

#[test]
fn engines_that_serve_sleep_and_all_others_end() {
    let engines = vec![
        replica(0, Stage::Ready),
        replica(1, Stage::Starting),
        replica(2, Stage::FallingAsleep),
        replica(3, Stage::Asleep),
        ActualReplica { cannot_sleep: true, ..replica(4, Stage::Ready) },
    ];
    let expected = [Action::Rest(which(0)), unloaded(1), unloaded(4)];
    assert_eq!(decide(resident(Residency::Asleep, 5), engines, true), expected);
}

#[test]
fn engines_that_sleep_are_woken_only_where_requests_load_them() {
    let asleep = vec![replica(0, Stage::Asleep)];
    assert_eq!(decide(resident(Residency::Loaded, 1), asleep.clone(), true), [Action::Wake(which(0))]);
    assert_eq!(decide(resident(Residency::Kept, 1), asleep, true), []);
    let falling = vec![replica(0, Stage::FallingAsleep)];
    assert_eq!(decide(resident(Residency::Loaded, 1), falling, true), [], "it cannot be woken yet");
}

#[test]
fn what_was_stopped_is_not_forgotten_while_it_is_not_loaded() {
    let stopped = DesiredModel { stopped: [1].into(), ..resident(Residency::None, 2) };
    assert_eq!(decide(stopped, vec![], true), []);
}
