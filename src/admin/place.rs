//! Where an action takes place: the engines that it concerns.

use std::sync::Arc;

use super::Admin;
use super::action::{Action, Target};
use super::error::ApiError;
use super::read::{no_engine, pool};
use crate::engines::{Engine, Pool};

/// Where an action takes place.
pub(super) struct Place {
    /// The model.
    pub(super) pool: Arc<Pool>,
    /// The id of the engine, if it is only one.
    one: Option<String>,
}

impl Place {
    /// Where `action` takes place.
    ///
    /// # Errors
    /// There is no such thing, or others run it.
    pub(super) fn of(action: &Action, admin: &Admin) -> Result<Self, ApiError> {
        // Only for a better answer: the supervisor knows best, and looks again.
        let place = match action.target() {
            Target::Engine(id) => {
                let (pool, _) = admin.registry.engine(&id).ok_or_else(|| no_engine(&id))?;
                Self { pool, one: Some(id) }
            }
            Target::Model(name) => Self { pool: pool(admin, &name)?, one: None },
        };
        if matches!(action, Action::Order(_)) && admin.control.status(&place.pool.model).is_none() {
            let model = &place.pool.model;
            let message = format!(
                "This gateway does not run the engines of `{model}` (`urls:`): start, stop or change them with the program that runs them."
            );
            return Err(ApiError::refused(message));
        }
        Ok(place)
    }

    /// Ids of those that are not ready.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.engines().iter().filter(|engine| !engine.is_ready()).map(|engine| engine.id.to_string()).collect()
    }

    /// The engines.
    pub(super) fn engines(&self) -> Vec<Arc<Engine>> {
        let is_meant = |engine: &&Arc<Engine>| self.one.as_ref().is_none_or(|id| engine.id.as_str() == id);
        self.pool.engines().iter().filter(is_meant).cloned().collect()
    }
}
