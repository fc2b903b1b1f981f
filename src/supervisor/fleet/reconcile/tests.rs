//! Fleets in a world of pure data: what is decided, and what holds whatever happens.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn replica(number: usize, stage: Stage) -> ActualReplica {
    ActualReplica {
        number,
        stage,
        is_settled: !matches!(stage, Stage::Idle | Stage::Starting),
        is_outdated: false,
        is_misnamed: false,
        is_untuned: false,
        is_leaving: false,
        placement: Placement::Settled,
        waits_for: None,
    }
}

fn old(number: usize, stage: Stage) -> ActualReplica {
    ActualReplica { is_outdated: true, ..replica(number, stage) }
}

fn wanted(name: &str, replicas: usize) -> DesiredModel {
    DesiredModel {
        name: name.into(),
        replicas,
        start_order: None,
        stopped: BTreeSet::new(),
        is_stopped: false,
        roll: RollPhase::None,
        is_held: false,
    }
}

fn rolling(replicas: usize) -> DesiredModel {
    DesiredModel { roll: RollPhase::Rolling, ..wanted("m", replicas) }
}

fn decide(model: DesiredModel, replicas: Vec<ActualReplica>, room: bool) -> Vec<Action> {
    let actual = Actual { models: [(model.name.clone(), replicas)].into(), ..Actual::default() };
    reconcile(&Desired { models: vec![model] }, &actual, &|_| room)
}

fn which(number: usize) -> Which {
    ("m".into(), number)
}

fn replaced(number: usize) -> Vec<Action> {
    vec![Action::Remove(which(number), StopReason::Restart)]
}

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

/// A world of one GPU, in which engines do what they may do.
#[derive(Clone, Debug)]
struct World {
    models: Vec<FakeModel>,
    replicas: Vec<FakeReplica>,
    capacity: usize,
    is_clearing: bool,
}

#[derive(Clone, Debug)]
struct FakeModel {
    wanted: Option<DesiredModel>,
    version: usize,
    name_version: usize,
    size: usize,
    /// Versions whose engines never get ready.
    broken: BTreeSet<usize>,
    /// Engines that serve and were taken away by a roll, and are not back yet.
    taken: usize,
}

#[derive(Clone, Debug)]
struct FakeReplica {
    model: usize,
    version: usize,
    name_version: usize,
    tuning: usize,
    holds: usize,
    seen: ActualReplica,
}

/// What a world may do next.
#[derive(Clone, Debug)]
enum Change {
    /// The engine at this place goes on with its life.
    Live(usize),
    /// The engine at this place fails or gets unhealthy.
    Hurt(usize, bool),
    Want {
        model: usize,
        replicas: usize,
        stopped: Option<usize>,
    },
    Forget(usize),
    Version {
        model: usize,
        is_broken: bool,
        is_renamed: bool,
    },
    Roll(usize),
    Clear,
}

fn name(model: usize) -> Name {
    format!("m{model}").into()
}

impl World {
    fn used(&self) -> usize {
        self.replicas.iter().map(|replica| replica.holds).sum()
    }

    fn reconcile(&self) -> Vec<Action> {
        let models = self.models.iter().filter_map(|model| model.wanted.clone()).collect();
        let mut actual = Actual { is_clearing: self.is_clearing, ..Actual::default() };
        for replica in &self.replicas {
            let model = &self.models[replica.model];
            let seen = ActualReplica {
                is_outdated: replica.version != model.version || replica.name_version != model.name_version,
                is_misnamed: replica.name_version != model.name_version,
                ..replica.seen.clone()
            };
            actual.models.entry(name(replica.model)).or_default().push(seen);
        }
        let room = |wanted: &Name| {
            let size = (0..self.models.len()).find(|model| name(*model) == *wanted).map(|at| self.models[at].size);
            self.used() + size.unwrap_or(0) <= self.capacity
        };
        reconcile(&Desired { models }, &actual, &room)
    }

    fn find(&mut self, (model, number): &Which) -> &mut FakeReplica {
        let found = self.replicas.iter_mut().find(|it| name(it.model) == *model && it.seen.number == *number);
        found.expect("an action is for an engine that there is")
    }

    fn model(&mut self, wanted: &Name) -> &mut FakeModel {
        let at = (0..self.models.len()).find(|model| name(*model) == *wanted).expect("a model");
        &mut self.models[at]
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Create((model, number)) => {
                let at = (0..self.models.len()).find(|at| name(*at) == model).expect("a model");
                let exists = self.replicas.iter().any(|it| it.model == at && it.seen.number == number);
                assert!(!exists, "a number is given once");
                let FakeModel { version, name_version, size, .. } = self.models[at];
                let placement = if size > 0 { Placement::Wanted } else { Placement::Settled };
                let seen = ActualReplica { placement, ..replica(number, Stage::Idle) };
                self.replicas.push(FakeReplica { model: at, version, name_version, tuning: 0, holds: 0, seen });
            }
            Action::Place(all) => {
                for which in all {
                    let size = self.model(&which.0).size;
                    let fits = self.used() + size <= self.capacity;
                    let replica = self.find(&which);
                    assert_eq!(replica.seen.placement, Placement::Wanted);
                    replica.seen.placement = Placement::Settled;
                    replica.holds = if fits { size } else { 0 };
                }
            }
            Action::Wait(which, order) => self.find(&which).seen.waits_for = Some(order),
            Action::Start(which) => {
                let size = self.model(&which.0).size;
                let fits = self.used() + size <= self.capacity;
                let replica = self.find(&which);
                assert!(matches!(replica.seen.stage, Stage::Idle | Stage::Stopped));
                // It looks for GPUs itself where none were found for it.
                let has = replica.holds == size || fits;
                replica.holds = if has { size } else { 0 };
                replica.seen.stage = if has { Stage::Starting } else { Stage::Failed };
                replica.seen.is_settled |= !has;
            }
            Action::Stop(which) => self.find(&which).seen.stage = Stage::Stopping,
            Action::ForgetStop((model, number)) => {
                let forgotten = self.wanted(&model).stopped.remove(&number);
                assert!(forgotten, "it was not stopped");
            }
            Action::Remove(which, reason) => self.remove(&which, reason),
            Action::Retune(which) => {
                let replica = self.find(&which);
                (replica.tuning, replica.seen.is_untuned) = (replica.tuning + 1, false);
            }
            Action::BeginRoll(model, _) => self.wanted(&model).roll = RollPhase::Rolling,
            Action::FailRoll((model, _)) => self.wanted(&model).roll = RollPhase::Failed,
            Action::FinishRoll(model) => self.wanted(&model).roll = RollPhase::None,
        }
    }

    fn wanted(&mut self, model: &Name) -> &mut DesiredModel {
        self.model(model).wanted.as_mut().expect("it is wanted")
    }

    /// What a removal must never do is told here.
    fn remove(&mut self, which: &Which, reason: StopReason) {
        let at = self.find(which).model;
        let (room, size) = (self.capacity - self.used(), self.models[at].size);
        let present: Vec<_> = self.replicas.iter().filter(|it| it.model == at && !it.seen.is_leaving).collect();
        let (ready, count) = (present.iter().filter(|it| it.seen.is_ready()).count(), present.len());
        let replica = self.find(which);
        assert!(!replica.seen.is_leaving, "nothing is removed twice");
        replica.seen.is_leaving = true;
        let (was_ready, name_version) = (replica.seen.is_ready(), replica.name_version);
        let model = &mut self.models[at];
        if reason == StopReason::Restart && was_ready && name_version == model.name_version {
            let wanted = model.wanted.as_ref().expect("only wanted models roll");
            assert_eq!(wanted.roll, RollPhase::Rolling, "a roll that failed takes nothing away");
            let is_covered = ready > 1 || size > room || count > wanted.replicas;
            assert!(is_covered, "the last one goes only where there is no room for another");
            // One more than is wanted is nobody's loss.
            model.taken += usize::from(count <= wanted.replicas);
            assert!(model.taken <= 1, "one at a time");
        }
    }

    fn apply(&mut self, change: &Change) {
        match *change {
            Change::Live(at) => self.live(at),
            Change::Hurt(at, fails) => {
                let count = self.replicas.len().max(1);
                if let Some(replica) = self.replicas.get_mut(at % count)
                    && replica.seen.is_ready()
                {
                    replica.seen.stage = if fails { Stage::Failed } else { Stage::Unhealthy };
                }
            }
            Change::Want { model, replicas, stopped } => {
                let name = name(model);
                let wanted = self.models[model].wanted.get_or_insert_with(|| wanted(&name, replicas));
                (wanted.replicas, wanted.stopped) = (replicas, stopped.into_iter().collect());
                // One that was taken away need not come back where fewer are wanted.
                self.models[model].taken = 0;
            }
            Change::Forget(model) => self.models[model].wanted = None,
            Change::Version { model, is_broken, is_renamed } => {
                let model = &mut self.models[model];
                (model.version, model.taken) = (model.version + 1, 0);
                model.name_version += usize::from(is_renamed);
                if is_broken {
                    model.broken.insert(model.version);
                }
                if let Some(wanted) = model.wanted.as_mut().filter(|wanted| wanted.roll == RollPhase::Failed) {
                    wanted.roll = RollPhase::None;
                }
            }
            Change::Roll(model) => {
                self.apply(&Change::Version { model, is_broken: false, is_renamed: false });
            }
            Change::Clear => self.is_clearing = false,
        }
    }

    /// One engine does what it would do sooner or later.
    fn live(&mut self, at: usize) {
        let count = self.replicas.len().max(1);
        let Some(replica) = self.replicas.get_mut(at % count) else { return };
        let model = &mut self.models[replica.model];
        if replica.seen.is_leaving {
            self.replicas.remove(at % count);
            return;
        }
        let is_broken = model.broken.contains(&replica.version);
        let before = replica.seen.stage;
        replica.seen.stage = match before {
            Stage::Starting | Stage::Unhealthy if is_broken => Stage::Failed,
            Stage::Starting | Stage::Unhealthy => Stage::Ready,
            Stage::Stopping => Stage::Stopped,
            // It is started again by itself, if it got GPUs.
            Stage::Failed if !is_broken && replica.holds == model.size => Stage::Starting,
            other => other,
        };
        if replica.seen.stage == Stage::Stopped {
            replica.holds = 0;
        }
        // One that an operator has stopped has arrived when it is down: so many serve as are to.
        let is_stopped = model.wanted.as_ref().is_some_and(|it| it.stopped.contains(&replica.seen.number));
        let has_arrived = replica.seen.is_ready() || is_stopped && replica.seen.stage == Stage::Stopped;
        if before != replica.seen.stage && has_arrived && replica.version == model.version {
            model.taken = 0;
        }
        replica.seen.is_settled |= !matches!(replica.seen.stage, Stage::Idle | Stage::Starting | Stage::Stopping);
    }

    /// Decides and performs until nothing is to be done.
    fn settle(&mut self) {
        for _ in 0..200 {
            let actions = self.reconcile();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.perform(action);
                assert!(self.used() <= self.capacity, "more is used than there is: {self:?}");
            }
        }
        panic!("it never comes to an end: {:?} in {self:?}", self.reconcile());
    }
}

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
        2 => (model(), prop::bool::weighted(0.3), prop::bool::weighted(0.2))
            .prop_map(|(model, is_broken, is_renamed)| Change::Version { model, is_broken, is_renamed }),
        1 => model().prop_map(Change::Roll),
        1 => Just(Change::Clear),
    ]
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
            prop_assert_eq!(replicas.len(), wanted.replicas, "{:?}", world);
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
