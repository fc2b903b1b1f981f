//! Takes a configuration: what it wants is what should run from now on, and what an earlier gateway left is found again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::actor::{Fleet, Home};
use super::actual::Placement;
use super::model::ManagedModel;
use super::turns::Turn;
use crate::engines::Engine;
use crate::supervisor::engine::factory::Blueprint;
use crate::supervisor::launch::spec::StartedWith;
use crate::supervisor::lifecycle::terms::Stage;
use crate::supervisor::process::reaper;
use crate::supervisor::startup::{Claimed, Found, FoundEngine, Prepared, Unfit, clear};
use crate::supervisor::store::lock::LockKeeper;
use crate::supervisor::store::orders_file::OrdersWriter;

impl Fleet {
    /// Runs what `prepared` says from now on. Nothing can fail any more. Returns the engines that were taken over.
    pub(super) fn apply(&mut self, prepared: Prepared) -> Vec<Arc<Engine>> {
        let Prepared { specs, reserved, claimed, found, ports } = prepared;
        if let Some(claimed) = claimed {
            self.move_in(claimed);
        }
        self.reserved = reserved;
        self.spare_ports.extend(ports);
        self.retry_now();
        let configured: BTreeMap<&str, usize> =
            specs.iter().map(|spec| (&*spec.model.name, spec.spawn.replicas)).collect();
        self.orders.settle(&configured);
        let mut before = std::mem::take(&mut self.models);
        for spec in specs {
            let Some(pool) = self.parts.registry.pool(&spec.model.name) else {
                tracing::error!(model = %spec.model.name, "requests do not know a model whose engines are to run: it is left out");
                continue;
            };
            let known = before.iter().position(|model| *model.name() == spec.model.name);
            self.models.push(match known.map(|at| before.remove(at)) {
                Some(mut model) => {
                    model.take(spec, pool);
                    model
                }
                None => ManagedModel::new(spec, pool),
            });
        }
        before.iter_mut().for_each(|model| model.set_wanted(false));
        self.models.append(&mut before);
        let adopted = self.take_over(found);
        self.settle();
        // This very change has taken those that it needs; others may have the rest.
        self.spare_ports.clear();
        adopted
    }

    /// The state directory is ours from now on.
    fn move_in(&mut self, claimed: Claimed) {
        let Claimed { lock, state_dir, launcher, orders } = claimed;
        let orphans = tokio::spawn(async {
            if let Err(error) = reaper::run().await {
                tracing::warn!(%error, "orphans of engines are reaped at the end only");
            }
        });
        self.orders = orders.clone();
        self.home = Some(Home {
            launcher,
            orders: OrdersWriter::start(state_dir, orders),
            orphans,
            lock: LockKeeper::start(lock),
        });
    }

    /// Takes over engines that an earlier gateway left, and ends those that are not wanted.
    fn take_over(&mut self, found: Found) -> Vec<Arc<Engine>> {
        let Some(launcher) = self.home.as_ref().map(|home| home.launcher.clone()) else { return vec![] };
        let (mut unfit, mut adopted) = (found.unfit, vec![]);
        for engine in found.fit {
            match self.adopt(engine) {
                Ok(engine) => adopted.push(engine),
                Err(left) => unfit.push(left),
            }
        }
        if !unfit.is_empty() {
            let (monitor, shutdown) = (self.parts.factory.monitor.clone(), self.parts.shutdown.clone());
            self.clearing = Some(tokio::spawn(async move { clear(&launcher, &monitor, unfit, &shutdown).await }));
        }
        adopted
    }

    /// Takes over an engine that runs.
    fn adopt(&mut self, found: FoundEngine) -> Result<Arc<Engine>, Unfit> {
        let FoundEngine { record, leader, port } = found;
        let launcher = self.home.as_ref().map(|home| home.launcher.clone());
        let model = self.models.iter_mut().find(|model| model.is_wanted && **model.name() == *record.model);
        let (Some(model), Some(launcher)) = (model, launcher) else {
            return Err((record, "the configuration has no such model any more".into()));
        };
        let (spec, number) = (model.spec.clone(), record.replica);
        let (started_with, asleep) = (StartedWith::from(&*record), record.asleep);
        if started_with.fingerprint == spec.fingerprint() {
            spec.learn_adapters(&record);
        }
        let start_took = record.start_seconds;
        let job = launcher.attach(record, leader, port, spec.rotation)?;
        let gpus = Some(started_with.gpus.clone()).filter(|gpus| !gpus.is_empty());
        let leader = job.pid().unwrap_or_default();
        let grant = self.parts.factory.allocator.adopt(&spec.demand(number), gpus, leader);
        model.name_pool();
        let blueprint =
            Blueprint { spec, replica: number, grant: Some(grant), pool: model.pool.clone(), found: Some(asleep) };
        let made = self.parts.factory.make(blueprint, job);
        if let Some(took) = start_took.and_then(|took| Duration::try_from_secs_f64(took).ok()) {
            made.handle.engine.process.set_start_took(took);
        }
        let engine = made.handle.engine.clone();
        model.add(number, made, (started_with, Placement::Settled), &mut self.engines);
        if let Some(replica) = model.replica(number) {
            replica.set_stage(if asleep.is_some() { Stage::Asleep } else { Stage::Starting });
        }
        let turn = model.on_demand.turn;
        if model.is_on_demand() && turn != Turn::In {
            model.on_demand.set_turn(if asleep.is_some() { Turn::Resting } else { Turn::In }, Instant::now());
        }
        Ok(engine)
    }
}
