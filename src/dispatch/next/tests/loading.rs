//! Requests for models that are loaded on demand.

use super::*;

#[test]
fn a_model_that_is_loaded_on_demand_is_waited_for_unless_another_one_can_answer() {
    let now = Instant::now();
    let until = now + Duration::from_secs(60);
    let rules = Rules { load_until: Some(until), ..RULES };
    let ask = |world: &World, rules: &Rules<'_>| next(rules, &History::default(), world, now);
    let mut world = World { loads: vec![0], ..World::of(&[0, 0]) };
    let wait = Decision::Wait { what: WaitFor::Engine, until };
    assert_eq!(ask(&world, &rules), wait);
    assert_eq!(ask(&world, &RULES), Decision::Refuse, "nobody waits for a copy");
    assert_eq!(ask(&world, &Rules { load_until: Some(now), ..RULES }), Decision::Refuse, "long enough");
    world.loads.clear();
    assert_eq!(ask(&world, &rules), Decision::Refuse, "it failed for good, or is not loaded on demand");
    let fallback = World { loads: vec![0], ..World::of(&[0, 1]) };
    assert!(matches!(ask(&fallback, &rules), Decision::Send(Send { leg: 1, .. })));
    let loading = World { loads: vec![1], ..World::of(&[0, 0]) };
    assert_eq!(ask(&loading, &rules), wait, "also where only a later one is");
}

#[test]
fn what_was_tried_already_is_not_waited_for() {
    let now = Instant::now();
    let rules = Rules { load_until: Some(now + Duration::from_secs(60)), ..RULES };
    let world = World { loads: vec![0], ..World::of(&[1]) };
    let mut history = History::default();
    history.note(attempt(1, Outcome::Died { began: false }));
    assert_eq!(next(&rules, &history, &world, now), Decision::Refuse);
}
