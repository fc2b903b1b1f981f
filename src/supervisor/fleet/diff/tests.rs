//! Plans of small changes: what they do to engines, and why.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::config::{Config, Engines, Model, Spawn};
use crate::secret::Secret;
use crate::supervisor::store::orders::Orders;
use crate::supervisor::testing::{model, spawn};

fn spawned(name: &str, change: impl FnOnce(&mut Model, &mut Spawn)) -> Model {
    let (mut model, mut spawn) = (model(name), spawn(&["vllm", "serve"]));
    change(&mut model, &mut spawn);
    Model { engines: Engines::Spawn(spawn), ..model }
}

fn specs(models: Vec<Model>) -> Vec<LaunchSpec> {
    LaunchSpec::of_all(&Config { models, ..Config::for_test() }, Path::new("/e"))
}

/// A fleet of these models, each with so many engines, all ready.
fn running(models: Vec<Model>, engines: usize) -> FleetView {
    let shown = |spec: LaunchSpec| {
        let view = ModelView {
            wanted_replicas: spec.spawn.replicas,
            spec: spec.into(),
            present: (0..engines).collect(),
            ready: engines,
            asleep: 0,
            roll: None,
            last_demand: None,
            start_took: Some(Duration::from_secs(40)),
            turn: None,
            loads: 0,
        };
        (view.spec.model.name.clone(), view)
    };
    FleetView { is_claimed: true, orders: Orders::default(), models: specs(models).into_iter().map(shown).collect() }
}

fn same(_: &mut Model, _: &mut Spawn) {}

/// What `change` does to one model with so many engines.
fn changed(engines: usize, room: bool, change: impl FnOnce(&mut Model, &mut Spawn)) -> Option<EngineChange> {
    let after = specs(vec![spawned("m", change)]);
    plan(&running(vec![spawned("m", same)], engines), &after, &|_, _| room).pop()
}

#[test]
fn models_come_and_go_and_what_is_the_same_is_left_out() {
    let view = running(vec![spawned("a", same), spawned("b", same)], 1);
    let plan = plan(&view, &specs(vec![spawned("b", same), spawned("c", |_, spawn| spawn.replicas = 2)]), &|_, _| true);
    let told: Vec<_> = plan.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["a: removed", "c: added (2 replicas)"]);
}

#[test]
fn an_argument_rolls_and_says_whether_anybody_serves_meanwhile() {
    let longer = |_: &mut Model, spawn: &mut Spawn| drop(spawn.args.insert("max-model-len".into(), json!(8192)));
    for (engines, room, told) in [
        (2, false, "m: rolled (1 replica)\n  args.max-model-len: not set -> 8192"),
        (1, true, "m: rolled (1 replica)\n  args.max-model-len: not set -> 8192"),
        (1, false, "m: rolled (1 replica); it cannot be served for about 40s\n  args.max-model-len: not set -> 8192"),
    ] {
        assert_eq!(changed(engines, room, longer).expect("a change").to_string(), told);
    }
    let renamed = changed(2, true, |model, _| model.served_name = Some("x".into())).expect("a change");
    assert!(renamed.action == EngineAction::Rolled && renamed.away.is_some(), "{renamed}");
    assert_eq!(renamed.reasons, ["served_name: not set -> x"]);
}

#[test]
fn engines_that_sleep_are_told_to_be_replaced_when_they_are_awake() {
    let mut view = running(vec![spawned("m", same)], 2);
    let known = view.models.values_mut().next().expect("a model");
    (known.ready, known.asleep) = (1, 1);
    let after = |change: fn(&mut Model, &mut Spawn)| specs(vec![spawned("m", change)]);
    let told = |change| plan(&view, &after(change), &|_, _| true).pop().expect("a change").summary();
    let rolled = told(|_, spawn| drop(spawn.args.insert("seed".into(), json!(1))));
    assert_eq!(rolled, "m: rolled (1 replica); 1 sleeps and is replaced when it is woken");
    assert_eq!(told(|_, spawn| spawn.start_order = Some(3)), "m: updated (1 replica)");
}

#[test]
fn what_engines_need_not_be_started_anew_for_is_told_them() {
    let retuned = changed(1, false, |model, spawn| {
        model.health = None;
        spawn.start_timeout = Duration::from_secs(90);
        spawn.start_order = Some(3);
    });
    let retuned = retuned.expect("a change");
    assert_eq!((retuned.action, retuned.away), (EngineAction::Updated, None));
    assert_eq!(
        retuned.reasons,
        [
            "health: /health every 1h within 10s, 2 failures, 1 successes -> off",
            "start_order: not set -> 3",
            "start_timeout: 1m -> 1m 30s"
        ]
    );
    let scaled = changed(1, false, |_, spawn| spawn.replicas = 3).expect("a change");
    assert_eq!(scaled.to_string(), "m: scaled (3 replicas)\n  replicas: 1 -> 3");
    assert_eq!(changed(1, false, same), None);
    let balanced = |model: &mut Model, _: &mut Spawn| model.balance = crate::config::Balance::Random;
    assert_eq!(changed(1, false, balanced), None, "engines know nothing of it");
}

#[test]
fn secrets_are_not_shown() {
    let change = changed(1, true, |model, spawn| {
        model.api_key = Some(Secret::new("sk-1"));
        spawn.env.insert("HF_TOKEN".into(), "hf-1".into());
    });
    let told = change.expect("a change").to_string();
    assert_eq!(told, "m: rolled (1 replica)\n  env.HF_TOKEN: added\n  api_key: changed");
}

#[test]
fn an_order_that_the_file_does_not_overtake_counts() {
    let mut view = running(vec![spawned("m", same)], 2);
    view.orders.scale("m", 2, 1);
    let known = view.models.values_mut().next().expect("a model");
    known.wanted_replicas = 2;
    assert_eq!(plan(&view, &specs(vec![spawned("m", same)]), &|_, _| true), vec![]);
    let three = specs(vec![spawned("m", |_, spawn| spawn.replicas = 3)]);
    assert_eq!(plan(&view, &three, &|_, _| true)[0].replicas, 3);
}
