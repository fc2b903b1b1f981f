//! The engines of one model that we run, and what is done with several of them: start, scale, replace, give adapters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::lora;
use super::launch::spec::Adapters;
use super::lifecycle::orders::Goal;
use super::store::record::Record;
use super::yard::{Line, Member, Yard};
use crate::config::{Model, Spawn};
use crate::engines::{EngineState, Pool};
use crate::ids::Name;
use crate::placement::{self, Demand};

/// The engines of one model.
pub(super) struct Crew {
    /// The model.
    pub(super) model: Arc<Model>,
    /// How its engines are started.
    pub(super) spawn: Arc<Spawn>,
    /// Where the proxy finds them.
    pub(super) pool: Arc<Pool>,
    /// LoRA adapters that each engine has.
    pub(super) adapters: Adapters,
    members: Mutex<Vec<Member>>,
    /// Held by who changes several engines.
    busy: tokio::sync::Mutex<()>,
}

/// Why several engines were not changed, or not all of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrewError {
    /// Somebody else does.
    #[error("`{0}` is being changed by another request; try again when that is done")]
    Busy(Name),
    /// It makes no sense as things are; says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// An engine did not do as it should; says which and why.
    #[error("{0}")]
    Failed(String),
}

impl Crew {
    /// A model without engines so far.
    pub(super) fn new(model: Model, spawn: Spawn, pool: Arc<Pool>) -> Self {
        let adapters = Adapters::new(arc_swap::ArcSwap::from_pointee(spawn.lora.clone()));
        let (model, spawn, busy) = (Arc::new(model), Arc::new(spawn), tokio::sync::Mutex::new(()));
        Self { model, spawn, pool, adapters, members: Mutex::default(), busy }
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in `member`, and shows it to the proxy.
    pub(super) fn add(&self, member: Member) {
        let mut members = self.members();
        members.push(member);
        members.sort_by_key(|member| member.replica);
        self.show(&members);
    }

    fn show(&self, members: &[Member]) {
        self.pool.set_engines(members.iter().map(|member| member.engine.clone()).collect());
    }

    /// The ways to all actors, in replica order.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.members().iter().map(Member::line).collect()
    }

    /// Empties the crew: whoever ends all waits for their tasks.
    pub(super) fn disband(&self) -> Vec<Member> {
        std::mem::take(&mut *self.members())
    }

    /// Notes the adapters of an engine that was taken over: some were added or removed since it was configured.
    pub(super) fn learn_adapters(&self, record: &Record) {
        let mut adapters = self.adapters.load().as_ref().clone();
        adapters.extend(record.lora_added.iter().map(|(name, path)| (name.as_str().into(), path.clone())));
        record.lora_removed.iter().for_each(|name| _ = adapters.remove(name.as_str()));
        self.adapters.store(Arc::new(adapters));
    }

    /// Makes it `count` engines: further ones are started, those with the highest numbers end. Returns when the further
    /// ones are ready and the others gone.
    pub(super) async fn scale(&self, yard: &Arc<Yard>, count: usize) -> Result<(), CrewError> {
        let _busy = self.busy.try_lock().map_err(|_| CrewError::Busy(self.model.name.clone()))?;
        let now = self.members().len();
        if count > now {
            let lines = self.grow(yard, count - now).await?;
            let started = futures::future::join_all(lines.iter().map(|line| line.order(Goal::Start))).await;
            return all_done(&lines, started);
        }
        let lines = self.lines().split_off(count);
        futures::future::join_all(lines.iter().map(|line| self.dismiss(yard, line))).await;
        Ok(())
    }

    /// `count` further engines, not started yet; all or none.
    async fn grow(&self, yard: &Arc<Yard>, count: usize) -> Result<Vec<Line>, CrewError> {
        let taken: Vec<usize> = self.members().iter().map(|member| member.replica).collect();
        let replicas: Vec<usize> = (0..).filter(|number| !taken.contains(number)).take(count).collect();
        let demands: Vec<Demand> =
            replicas.iter().map(|replica| placement::demand(&self.model, &self.spawn, *replica)).collect();
        let _placing = yard.placing.lock().await;
        let placed = yard.place(&demands).await.map_err(CrewError::Refused)?;
        let ports = replicas.iter().map(|_| yard.port()).collect::<Result<Vec<_>, _>>();
        let ports = ports.map_err(|error| CrewError::Refused(error.to_string()))?;
        let mut lines = Vec::new();
        for ((replica, gpus), port) in replicas.into_iter().zip(placed).zip(ports) {
            let member = yard.make(self, replica, gpus, port);
            lines.push(member.line());
            self.add(member);
        }
        Ok(lines)
    }

    /// Ends an engine for good.
    async fn dismiss(&self, yard: &Arc<Yard>, line: &Line) {
        // Refused only when it ends anyway.
        let _ = line.order(Goal::Dismiss).await;
        let mut members = self.members();
        members.retain(|member| member.engine.id != line.engine.id);
        self.show(&members);
        yard.forget(&line.engine.id);
    }

    /// Replaces all engines one after the other, each by one that was started anew, so that others take the requests
    /// meanwhile. A single engine is helped out by a further one where there is room.
    pub(super) async fn roll(&self, yard: &Arc<Yard>) -> Result<(), CrewError> {
        let _busy = self.busy.try_lock().map_err(|_| CrewError::Busy(self.model.name.clone()))?;
        let mut lines = self.lines();
        // Those that take no requests first: nobody misses them.
        lines.sort_by_key(|line| line.engine.is_ready());
        let help = match lines.as_slice() {
            [only] if only.engine.is_ready() => self.help(yard).await,
            _ => None,
        };
        let mut result = Ok(());
        for line in &lines {
            if matches!(*line.engine.state(), EngineState::Stopped) {
                continue;
            }
            if let Err(why) = line.order(Goal::Restart).await {
                let id = &line.engine.id;
                result =
                    Err(CrewError::Failed(format!("{id} did not come back: {why} The others were left as they were.")));
                break;
            }
        }
        if let Some(help) = help {
            self.dismiss(yard, &help).await;
        }
        result
    }

    /// A further engine that is ready, if there can be one.
    async fn help(&self, yard: &Arc<Yard>) -> Option<Line> {
        let line = match self.grow(yard, 1).await.map(|mut lines| lines.pop()) {
            Ok(line) => line?,
            Err(error) => {
                tracing::warn!(model = %self.model.name, %error, "no room for a second engine: requests have to wait while the only one restarts");
                return None;
            }
        };
        match line.order(Goal::Start).await {
            Ok(()) => Some(line),
            Err(why) => {
                tracing::warn!(model = %self.model.name, %why, "a second engine did not start: requests have to wait while the only one restarts");
                self.dismiss(yard, &line).await;
                None
            }
        }
    }

    /// Whether the configuration says that the adapter `name` belongs to this model: aliases may rely on it.
    pub(super) fn configures_adapter(&self, name: &str) -> bool {
        self.spawn.lora.contains_key(name) || self.spawn.lora_later.contains(name)
    }

    /// Gives all engines the adapter `name` from `path`, now and whenever they start.
    pub(super) async fn add_adapter(&self, yard: &Arc<Yard>, name: &Name, path: &str) -> Result<(), CrewError> {
        let _busy = self.busy.try_lock().map_err(|_| CrewError::Busy(self.model.name.clone()))?;
        if !self.spawn.takes_lora {
            return Err(CrewError::Refused(format!(
                "engines of `{}` were started without LoRA; write `lora: {{}}` there and restart it",
                self.model.name
            )));
        }
        let lines = self.loaded("take an adapter")?;
        let loaded = lines.iter().map(|line| lora::load(&yard.client, &line.engine, name, path));
        let results = futures::future::join_all(loaded).await;
        if let Err(error) = all_done(&lines, results.clone()) {
            // All or none: a name that works on some engines only is worse than none.
            let done = lines.iter().zip(&results).filter(|(_, result)| result.is_ok());
            let undone = done.map(|(line, _)| lora::unload(&yard.client, &line.engine, name));
            futures::future::join_all(undone).await;
            return Err(error);
        }
        self.change_adapters(|adapters| _ = adapters.insert(name.clone(), path.to_owned())).await;
        Ok(())
    }

    /// Takes the adapter `name` from all engines, now and whenever they start; or from none, when one of them does not
    /// forget it. `renamed` is called whenever the names that can be asked for have changed.
    pub(super) async fn remove_adapter(
        &self,
        yard: &Arc<Yard>,
        name: &Name,
        renamed: impl Fn(),
    ) -> Result<(), CrewError> {
        let _busy = self.busy.try_lock().map_err(|_| CrewError::Busy(self.model.name.clone()))?;
        let lines = self.loaded("lose an adapter")?;
        let Some(path) = self.adapters.load().get(name).cloned() else { return Ok(()) };
        // First nobody asks for it any more.
        self.change_adapters(|adapters| _ = adapters.remove(name)).await;
        renamed();
        let unloaded = lines.iter().map(|line| lora::unload(&yard.client, &line.engine, name));
        let results = futures::future::join_all(unloaded).await;
        let Err(error) = all_done(&lines, results.clone()) else { return Ok(()) };
        // A name that is forgotten here and served there could be neither asked for nor removed: those that lost it get it
        // back, and the operator may try again.
        let lost: Vec<Line> =
            lines.into_iter().zip(results).filter_map(|(line, result)| result.is_ok().then_some(line)).collect();
        let loaded = lost.iter().map(|line| lora::load(&yard.client, &line.engine, name, &path));
        let back = all_done(&lost, futures::future::join_all(loaded).await);
        self.change_adapters(|adapters| _ = adapters.insert(name.clone(), path.clone())).await;
        renamed();
        let kept = match back {
            Ok(()) => format!("`{name}` is served as before; remove it again when that is mended"),
            Err(why) => format!("`{name}` is kept, but not everywhere ({why}); restart those, then remove it again"),
        };
        Err(CrewError::Failed(format!("{error}. {kept}.")))
    }

    /// The engines that run. An engine that is on its way would miss a change: then none is made.
    fn loaded(&self, what: &str) -> Result<Vec<Line>, CrewError> {
        let mut lines = self.lines();
        lines.retain(|line| !matches!(*line.engine.state(), EngineState::Stopped | EngineState::Failed(_)));
        match lines.iter().find(|line| !line.engine.is_ready()) {
            Some(line) => Err(CrewError::Refused(format!(
                "{} is {} and cannot {what}; try again when it is ready",
                line.engine.id,
                line.engine.state().word()
            ))),
            None => Ok(lines),
        }
    }

    async fn change_adapters(&self, change: impl FnOnce(&mut BTreeMap<Name, String>)) {
        let mut adapters = self.adapters.load().as_ref().clone();
        change(&mut adapters);
        self.adapters.store(Arc::new(adapters));
        self.pool.set_adapters(self.adapters.load().keys().cloned().collect());
        for line in self.lines() {
            // Written down for the next supervisor. Refused only when the engine ends.
            let _ = line.order(Goal::Note).await;
        }
    }
}

/// One error for all that went wrong.
fn all_done(lines: &[Line], results: Vec<Result<(), impl std::fmt::Display>>) -> Result<(), CrewError> {
    let wrong =
        lines.iter().zip(results).filter_map(|(line, result)| Some(format!("{}: {}", line.engine.id, result.err()?)));
    let wrong: Vec<String> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(CrewError::Failed(wrong.join("; "))) }
}
