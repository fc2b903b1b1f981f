//! What operators can have engines do.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::crew::{Crew, CrewError};
use super::lifecycle::orders::{Goal, NotDone};
use super::yard::Yard;
use crate::config::Config;
use crate::ids::Name;

/// The operators' side of the supervisor.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    yard: Arc<Yard>,
    crews: Vec<Arc<Crew>>,
    /// Names that mean something else than an adapter.
    reserved: Vec<Name>,
    /// Called after the names that can be served changed.
    on_names: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// What one engine is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run; earlier crashes are forgotten.
    Start,
    /// Finish what it has and end; it stays so.
    Stop,
    /// Finish what it has, end, and start again; earlier crashes are forgotten.
    Restart,
    /// Finish what it has and give its GPU memory back, at level 1 (weights stay in host memory) or 2 (they are dropped).
    Sleep(u8),
    /// Take its GPU memory again.
    Wake,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// Several engines could not be changed.
    #[error(transparent)]
    Crew(#[from] CrewError),
    /// An engine refuses as things are; says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// The engine did not do it; says why.
    #[error("{0}")]
    Engine(String),
}

impl Control {
    pub(super) fn new(config: &Config, yard: Arc<Yard>, crews: Vec<Arc<Crew>>) -> Self {
        let models = config.models.iter().map(|model| model.name.clone());
        let reserved = models.chain(config.aliases.iter().map(|alias| alias.name.clone())).collect();
        Self(Arc::new(Inner { yard, crews, reserved, on_names: OnceLock::new() }))
    }

    /// Has `call` called after the names that can be served changed. Only the first caller is heard.
    pub fn on_names(&self, call: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.on_names.set(Box::new(call));
    }

    /// Has the engine called `id` (`model/0`) do `command`, and waits until it is done.
    ///
    /// # Errors
    /// When there is no such engine of ours, or it does not do it.
    pub async fn engine(&self, id: &str, command: Command) -> Result<(), ControlError> {
        let lines = self.0.crews.iter().flat_map(|crew| crew.lines());
        let Some(line) = lines.into_iter().find(|line| line.engine.id.as_str() == id) else {
            return Err(ControlError::Unknown(format!("There is no engine `{id}` that is run here.")));
        };
        line.order(goal(command)?).await.map_err(|why| match why {
            NotDone::Refused(_) => ControlError::Refused(format!("{id}: {why}")),
            NotDone::Failed(_) => ControlError::Engine(format!("{id}: {why}")),
        })
    }

    /// Has all engines of `model` do `command`, and waits until all have.
    ///
    /// # Errors
    /// When there is no such model of ours, or an engine does not do it.
    pub async fn model(&self, model: &str, command: Command) -> Result<(), ControlError> {
        let (lines, goal) = (self.crew(model)?.lines(), goal(command)?);
        let done = futures::future::join_all(lines.iter().map(|line| line.order(goal))).await;
        let tried = done.iter().any(|result| !matches!(result, Err(NotDone::Refused(_))));
        let wrong: Vec<String> = lines
            .iter()
            .zip(done)
            .filter_map(|(line, result)| Some(format!("{}: {}", line.engine.id, result.err()?)))
            .collect();
        match wrong.as_slice() {
            [] => Ok(()),
            wrong if tried => Err(ControlError::Engine(wrong.join("; "))),
            wrong => Err(ControlError::Refused(wrong.join("; "))),
        }
    }

    /// Makes it `count` engines of `model`, and waits until they are ready or gone. Lasts until this process ends.
    ///
    /// # Errors
    /// When there is no such model of ours, no room, or an engine does not start.
    pub async fn scale(&self, model: &str, count: usize) -> Result<(), ControlError> {
        Ok(self.crew(model)?.scale(&self.0.yard, count).await?)
    }

    /// Replaces the engines of `model` one by one while the others serve.
    ///
    /// # Errors
    /// When there is no such model of ours, or an engine does not come back; the rest is left as it was then.
    pub async fn roll(&self, model: &str) -> Result<(), ControlError> {
        Ok(self.crew(model)?.roll(&self.0.yard).await?)
    }

    /// Has all engines of `model` serve the LoRA adapter at `path` as `name`, now and whenever they start.
    ///
    /// # Errors
    /// When there is no such model of ours, the name is taken, or an engine cannot load it; then none serves it.
    pub async fn add_adapter(&self, model: &str, name: &str, path: &str) -> Result<(), ControlError> {
        let crew = self.crew(model)?;
        let fit = !name.trim().is_empty() && name.len() <= 256 && !name.chars().any(char::is_control);
        if !fit || path.trim().is_empty() || path.contains('\0') {
            return Err(CrewError::Refused("an adapter needs a short visible name and a path".into()).into());
        }
        let adapter = |crew: &Arc<Crew>| crew.adapters.load().contains_key(name);
        if self.0.reserved.iter().any(|taken| &**taken == name) || self.0.crews.iter().any(adapter) {
            return Err(CrewError::Refused(format!("the name `{name}` is taken; choose another")).into());
        }
        let mut others = self.0.crews.iter().filter(|other| other.model.name != crew.model.name);
        if let Some(other) = others.find(|other| other.configures_adapter(name)) {
            let model = &other.model.name;
            return Err(CrewError::Refused(format!("`{name}` is an adapter of `{model}`; add it there")).into());
        }
        crew.add_adapter(&self.0.yard, &name.into(), path).await?;
        self.names_changed();
        Ok(())
    }

    /// Has all engines of `model` forget the LoRA adapter `name`.
    ///
    /// # Errors
    /// When there is no such model of ours or adapter, or an engine does not forget it; then all serve it as before.
    pub async fn remove_adapter(&self, model: &str, name: &str) -> Result<(), ControlError> {
        let crew = self.crew(model)?;
        if !crew.adapters.load().contains_key(name) {
            return Err(ControlError::Unknown(format!("`{model}` has no adapter `{name}`.")));
        }
        Ok(crew.remove_adapter(&self.0.yard, &name.into(), || self.names_changed()).await?)
    }

    /// The LoRA adapters of `model`: where each is loaded from; `None` when its engines are not run here.
    #[must_use]
    pub fn adapters(&self, model: &str) -> Option<Arc<BTreeMap<Name, String>>> {
        self.crew(model).ok().map(|crew| crew.adapters.load_full())
    }

    fn crew(&self, model: &str) -> Result<&Arc<Crew>, ControlError> {
        let unknown = || ControlError::Unknown(format!("There is no model `{model}` whose engines are run here."));
        self.0.crews.iter().find(|crew| &*crew.model.name == model).ok_or_else(unknown)
    }

    fn names_changed(&self) {
        if let Some(call) = self.0.on_names.get() {
            call();
        }
    }
}

fn goal(command: Command) -> Result<Goal, ControlError> {
    match command {
        Command::Start => Ok(Goal::Start),
        Command::Stop => Ok(Goal::Stop),
        Command::Restart => Ok(Goal::Restart),
        Command::Sleep(level @ 1..=2) => Ok(Goal::Sleep(level)),
        Command::Sleep(level) => {
            Err(CrewError::Refused(format!("there is no sleep level {level}; take 1 or 2")).into())
        }
        Command::Wake => Ok(Goal::Wake),
    }
}
