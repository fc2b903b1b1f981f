//! What holds whatever happens.

use proptest::prelude::*;

use super::world::{Change, FakeModel, FakeReplica, World, name};
use super::*;

fn model() -> impl Strategy<Value = FakeModel> {
    (prop::option::of((1..4usize, prop::option::of(0..3u32))), 0..3usize).prop_map(|(wanted_now, size)| FakeModel {
        wanted: wanted_now.map(|(replicas, start_order)| DesiredModel { start_order, ..wanted("", replicas) }),
        version: 0,
        name_version: 0,
        size,
        broken: BTreeSet::new(),
        taken: 0,
    })
}

fn change(models: usize) -> impl Strategy<Value = Change> {
    let model = || 0..models;
    prop_oneof![
        12 => (0..100usize).prop_map(Change::Live),
        2 => (0..100usize, any::<bool>()).prop_map(|(at, fails)| Change::Hurt(at, fails)),
        2 => (model(), 1..4usize, prop::option::of(0..3usize))
            .prop_map(|(model, replicas, stopped)| Change::Want { model, replicas, stopped }),
        1 => model().prop_map(Change::Forget),
        2 => (model(), residency()).prop_map(|(model, residency)| Change::Residency(model, residency)),
        2 => (model(), prop::bool::weighted(0.3), prop::bool::weighted(0.2))
            .prop_map(|(model, is_broken, is_renamed)| Change::Version { model, is_broken, is_renamed }),
        1 => model().prop_map(Change::Roll),
        1 => Just(Change::Clear),
    ]
}

fn residency() -> impl Strategy<Value = Residency> {
    prop_oneof![Just(Residency::Kept), Just(Residency::Loaded), Just(Residency::Asleep), Just(Residency::None)]
}

/// Engines that an earlier gateway may have left: of any version, in any stage.
fn left(models: usize) -> impl Strategy<Value = FakeReplica> {
    let stage = prop_oneof![Just(Stage::Starting), Just(Stage::Ready), Just(Stage::Asleep), Just(Stage::Unhealthy)];
    (0..models, 0..4usize, 0..2usize, stage).prop_map(|(model, number, version, stage)| FakeReplica {
        model,
        version,
        name_version: 0,
        tuning: 0,
        holds: 0,
        seen: replica(number, stage),
    })
}

proptest! {
    /// From any beginning, whatever happens meanwhile: nothing is over-committed, a roll takes away one serving engine at a
    /// time and never the last one needlessly, one that failed takes away none; and in the end there is what is wanted.
    #[test]
    fn every_fleet_becomes_what_is_wanted_and_keeps_the_rules(
        models in prop::collection::vec(model(), 3),
        left in prop::collection::vec(left(3), 0..6),
        capacity in 0..8usize,
        is_clearing: bool,
        changes in prop::collection::vec(change(3), 0..60),
    ) {
        let mut world = World { models, replicas: vec![], capacity, is_clearing };
        for (at, model) in world.models.iter_mut().enumerate() {
            if let Some(wanted) = &mut model.wanted {
                wanted.name = name(at);
            }
        }
        for mut replica in left {
            let taken = world.replicas.iter().any(|it| it.model == replica.model && it.seen.number == replica.seen.number);
            replica.holds = world.models[replica.model].size;
            if !taken && world.used() + replica.holds <= capacity {
                world.replicas.push(replica);
            }
        }
        for change in &changes {
            world.settle();
            world.apply(change);
        }
        world.apply(&Change::Clear);
        for round in 0..400 {
            world.settle();
            world.apply(&Change::Live(round));
        }
        world.settle();
        for (at, model) in world.models.iter().enumerate() {
            let replicas: Vec<_> = world.replicas.iter().filter(|it| it.model == at).collect();
            let Some(wanted) = &model.wanted else {
                prop_assert!(replicas.is_empty(), "{at} is not wanted: {replicas:?}");
                continue;
            };
            match wanted.residency {
                Residency::None => prop_assert!(replicas.is_empty(), "{world:?}"),
                Residency::Asleep => {
                    prop_assert!(replicas.iter().all(|replica| replica.seen.stage == Stage::Asleep), "{world:?}");
                }
                Residency::Kept | Residency::Loaded => {
                    prop_assert_eq!(replicas.len(), wanted.replicas, "{:?}", world);
                }
            }
            if matches!(wanted.residency, Residency::None | Residency::Asleep) {
                continue;
            }
            prop_assert!(wanted.roll != RollPhase::Rolling, "a roll ends: {world:?}");
            for replica in replicas {
                prop_assert!(!replica.seen.is_leaving);
                let as_wanted = replica.version == model.version || wanted.roll == RollPhase::Failed;
                prop_assert!(as_wanted && replica.name_version == model.name_version, "{world:?}");
                let stage = replica.seen.stage;
                let arrived = if wanted.stopped.contains(&replica.seen.number) {
                    stage == Stage::Stopped
                } else {
                    // What is broken or finds no room stays down.
                    matches!(stage, Stage::Ready | Stage::Asleep | Stage::Failed)
                };
                prop_assert!(arrived, "{replica:?} in {world:?}");
            }
        }
    }
}
