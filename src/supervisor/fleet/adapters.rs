//! LoRA adapters that come and go while engines run: on all engines of a model, or on none.

use std::sync::Arc;

use futures::future::join_all;

use super::actor::Fleet;
use super::commands::busy;
use super::desired::RollPhase;
use super::model::{Change, ManagedModel};
use super::request::{Reply, answer};
use super::work::{AdapterChange, Finished};
use crate::api::AdapterView;
use crate::engines::{Engine, EngineClient, EngineState};
use crate::ids::Name;
use crate::supervisor::engine::handle::Message;
use crate::supervisor::engine::lora;
use crate::supervisor::terms::ControlError;

impl Fleet {
    pub(super) fn add_adapter(&mut self, model: &str, adapter: AdapterView, reply: Reply) {
        let AdapterView { name, path } = adapter;
        let at = match self.may_add(model, &name, &path) {
            Ok(at) => at,
            Err(error) => return answer(reply, Err(error)),
        };
        let model = &mut self.models[at];
        let engines = match loaded(model, "take an adapter") {
            Ok(engines) => engines,
            Err(error) => return answer(reply, Err(error)),
        };
        let (change, adapter) = (Change::new("an adapter is being added"), Name::from(name.as_str()));
        (model.change, model.new_adapter) = (Some(change.clone()), Some(adapter.clone()));
        let (model, client) = (model.name().clone(), self.parts.factory.client.clone());
        // Engines that start meanwhile have it from the beginning.
        self.set_adapter(at, &adapter, Some(path.clone()));
        self.work.spawn(async move {
            let result = load(&client, &engines, &adapter, &path).await;
            Finished::Adapter(AdapterChange { model, change, adapter, path, is_added: true, result, reply })
        });
    }

    /// The place of the model, if the adapter makes sense there.
    fn may_add(&self, model: &str, name: &str, path: &str) -> Result<usize, ControlError> {
        let at = self.model_at(model)?;
        let refused = |why: String| Err(ControlError::Refused(why));
        let fits = !name.trim().is_empty() && name.len() <= 256 && !name.chars().any(char::is_control);
        if !fits || path.trim().is_empty() || path.contains('\0') {
            return refused("an adapter needs a short visible name and a path".into());
        }
        let is_adapter = |model: &ManagedModel| model.spec.adapters.load().contains_key(name);
        if self.reserved.iter().any(|taken| &**taken == name) || self.models.iter().any(is_adapter) {
            return refused(format!("the name `{name}` is taken; choose another"));
        }
        // Aliases may rely on an adapter of the configuration, and so on its model.
        let configures = |other: &&ManagedModel| {
            other.is_wanted && (other.spec.spawn.lora.contains_key(name) || other.spec.spawn.lora_later.contains(name))
        };
        if let Some(other) = self.models.iter().filter(configures).find(|other| **other.name() != *model) {
            return refused(format!("`{name}` is an adapter of `{}`; add it there", other.name()));
        }
        if !self.models[at].spec.spawn.takes_lora {
            let why =
                format!("engines of `{model}` were started without LoRA; write `lora: {{}}` there and restart it");
            return refused(why);
        }
        Ok(at)
    }

    pub(super) fn remove_adapter(&mut self, model: &str, name: &str, reply: Reply) {
        let found = self.model_at(model).and_then(|at| {
            let path = self.models[at].spec.adapters.load().get(name).cloned();
            let unknown = || ControlError::Unknown(format!("`{model}` has no adapter `{name}`."));
            Ok((at, path.ok_or_else(unknown)?, loaded(&self.models[at], "lose an adapter")?))
        });
        let (at, path, engines) = match found {
            Ok(found) => found,
            Err(error) => return answer(reply, Err(error)),
        };
        let change = Change::new("an adapter is being removed");
        self.models[at].change = Some(change.clone());
        let (model, adapter, client) =
            (self.models[at].name().clone(), Name::from(name), self.parts.factory.client.clone());
        // First nobody can ask for it any more.
        self.set_adapter(at, &adapter, None);
        self.work.spawn(async move {
            let result = unload(&client, &engines, &adapter, &path).await;
            Finished::Adapter(AdapterChange { model, change, adapter, path, is_added: false, result, reply })
        });
    }

    /// Engines were told of an adapter: it is noted, or as it was before.
    pub(super) fn adapter_changed(&mut self, change: AdapterChange) {
        let AdapterChange { model, change, adapter, path, is_added, result, reply } = change;
        self.models.iter_mut().for_each(|model| model.end_change(&change));
        // A model that a reload took away meanwhile may come back.
        let Some(at) = self.models.iter().position(|it| *it.name() == model) else {
            let gone = format!("`{model}` was taken away by a reload.");
            return answer(reply, Err(ControlError::Unknown(gone)));
        };
        if result.is_err() {
            // As it was before.
            self.set_adapter(at, &adapter, Some(path).filter(|_| !is_added));
        }
        // The names first: whoever is answered may ask for it at once.
        self.settle();
        answer(reply, result.map(|()| vec![]).map_err(ControlError::Failed));
    }

    /// Notes where an adapter is loaded from, or that it is not any more, for engines that start from now on.
    fn set_adapter(&mut self, at: usize, adapter: &Name, path: Option<String>) {
        let model = &self.models[at];
        let mut adapters = model.spec.adapters.load().as_ref().clone();
        match path {
            Some(path) => _ = adapters.insert(adapter.clone(), path),
            None => _ = adapters.remove(adapter),
        }
        model.spec.adapters.store(Arc::new(adapters));
        // Written down for the next gateway.
        model.replicas.iter().for_each(|replica| replica.handle.tell(Message::NoteAdapters));
    }
}

/// The engines of `model` that run, if all of them can be told of an adapter. One that is on its way would miss the change:
/// then none is made.
fn loaded(model: &ManagedModel, what: &str) -> Result<Vec<Arc<Engine>>, ControlError> {
    if let Some(change) = &model.change {
        return Err(busy(model.name(), change.what));
    }
    match (model.outdated(), model.roll.phase()) {
        (0, _) => {}
        (_, RollPhase::Failed) => {
            let why = "the replacement of its engines failed, and they differ; correct that and reload, or roll it";
            return Err(ControlError::Refused(format!("`{}` cannot {what}: {why}", model.name())));
        }
        _ => return Err(busy(model.name(), "its engines are being replaced")),
    }
    let mut engines: Vec<_> = model.replicas.iter().map(|replica| replica.handle.engine.clone()).collect();
    engines.retain(|engine| !matches!(*engine.state(), EngineState::Stopped | EngineState::Failed(_)));
    match engines.iter().find(|engine| !engine.is_ready()) {
        Some(engine) => Err(ControlError::Refused(format!(
            "{} is {} and cannot {what}; try again when it is ready",
            engine.id,
            engine.state().word()
        ))),
        None => Ok(engines),
    }
}

/// Has all engines load the adapter. All or none: a name that works on some engines only is worse than none.
async fn load(client: &EngineClient, engines: &[Arc<Engine>], name: &str, path: &str) -> Result<(), String> {
    let results = join_all(engines.iter().map(|engine| lora::load(client, engine, name, path))).await;
    let wrong = all_of(engines, &results);
    if wrong.is_err() {
        let done = engines.iter().zip(&results).filter(|(_, result)| result.is_ok());
        join_all(done.map(|(engine, _)| lora::unload(client, engine, name))).await;
    }
    wrong
}

/// Has all engines forget the adapter. A name that is forgotten here and served there could be neither asked for nor
/// removed: engines that forgot it get it back where others did not, and the operator may try again.
async fn unload(client: &EngineClient, engines: &[Arc<Engine>], name: &str, path: &str) -> Result<(), String> {
    let results = join_all(engines.iter().map(|engine| lora::unload(client, engine, name))).await;
    let Err(wrong) = all_of(engines, &results) else { return Ok(()) };
    let lost = engines.iter().zip(&results).filter(|(_, result)| result.is_ok());
    let lost: Vec<Arc<Engine>> = lost.map(|(engine, _)| engine.clone()).collect();
    let back = join_all(lost.iter().map(|engine| lora::load(client, engine, name, path))).await;
    let kept = match all_of(&lost, &back) {
        Ok(()) => format!("`{name}` is served as before; remove it again when that is corrected"),
        Err(why) => format!("`{name}` is kept, but not everywhere ({why}); restart those, then remove it again"),
    };
    Err(format!("{wrong}. {kept}."))
}

/// One error for all that went wrong.
fn all_of(engines: &[Arc<Engine>], results: &[Result<(), String>]) -> Result<(), String> {
    let wrong = engines.iter().zip(results).filter_map(|(engine, result)| {
        let why = result.as_ref().err()?;
        Some(format!("{}: {why}", engine.id))
    });
    let wrong: Vec<String> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}
