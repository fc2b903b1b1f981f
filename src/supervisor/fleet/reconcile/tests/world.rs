//! A world of pure data, in which engines do what they may do, and what must hold in it at every step.

use super::*;

/// A world of one GPU, in which engines do what they may do.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) models: Vec<FakeModel>,
    pub(super) replicas: Vec<FakeReplica>,
    pub(super) capacity: usize,
    pub(super) is_clearing: bool,
}

#[derive(Clone, Debug)]
pub(super) struct FakeModel {
    pub(super) wanted: Option<DesiredModel>,
    pub(super) version: usize,
    pub(super) name_version: usize,
    pub(super) size: usize,
    /// Versions whose engines never get ready.
    pub(super) broken: BTreeSet<usize>,
    /// Engines that serve and were taken away by a roll, and are not back yet.
    pub(super) taken: usize,
}

#[derive(Clone, Debug)]
pub(super) struct FakeReplica {
    pub(super) model: usize,
    pub(super) version: usize,
    pub(super) name_version: usize,
    pub(super) tuning: usize,
    pub(super) holds: usize,
    pub(super) seen: ActualReplica,
}

/// What a world may do next.
#[derive(Clone, Debug)]
pub(super) enum Change {
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
    /// The engines of a model are to be there, to sleep, or to end.
    Residency(usize, Residency),
    Version {
        model: usize,
        is_broken: bool,
        is_renamed: bool,
    },
    Roll(usize),
    Clear,
}

pub(super) fn name(model: usize) -> Name {
    format!("m{model}").into()
}

impl World {
    pub(super) fn used(&self) -> usize {
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
            Action::Rest(which) => {
                let replica = self.find(&which);
                assert!(replica.seen.is_ready(), "only what serves can sleep");
                replica.seen.stage = Stage::FallingAsleep;
            }
            Action::Wake(which) => {
                let replica = self.find(&which);
                assert_eq!(replica.seen.stage, Stage::Asleep);
                replica.seen.stage = Stage::Starting;
            }
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

    pub(super) fn apply(&mut self, change: &Change) {
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
                if stopped.is_some() {
                    wanted.residency = Residency::Kept;
                }
                // One that was taken away need not come back where fewer are wanted.
                self.models[model].taken = 0;
            }
            Change::Forget(model) => self.models[model].wanted = None,
            Change::Residency(model, residency) => {
                // What is stopped is not loaded on demand, and what gives its GPUs back is nobody's loss.
                self.models[model].taken = 0;
                if let Some(wanted) = self.models[model].wanted.as_mut().filter(|wanted| wanted.stopped.is_empty()) {
                    wanted.residency = residency;
                }
            }
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
            Stage::FallingAsleep if replica.seen.cannot_sleep => Stage::Ready,
            Stage::FallingAsleep => Stage::Asleep,
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
    pub(super) fn settle(&mut self) {
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
