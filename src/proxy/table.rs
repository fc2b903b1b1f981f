//! The routing table with everything a request needs of its route: rules, engines, meters.

use std::collections::HashMap;
use std::sync::Arc;

use super::pick::Budget;
use crate::config::{Balance, Config};
use crate::engines::{House, Pool};
use crate::ids::Name;
use crate::openai::Rules;
use crate::routing::{Route, Snapshot, rules};
use crate::telemetry::{Meters, Metrics};

/// One servable name, ready to serve.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) route: Route,
    pub(super) pool: Arc<Pool>,
    pub(super) balance: Balance,
    pub(super) rules: Rules,
    pub(super) meters: Meters,
    pub(super) budget: Arc<Budget>,
}

impl Target {
    /// The name to put in `model` for the engines.
    pub(super) fn served_name(&self) -> Name {
        let own = || self.pool.served_name().unwrap_or_else(|| self.route.model.clone());
        self.route.adapter.clone().unwrap_or_else(own)
    }

    /// The alias it was reached by, for labels.
    pub(super) fn alias(&self) -> Option<&str> {
        self.route.is_alias.then_some(&*self.route.name)
    }
}

/// What each model may spend on retries; lives as long as the data path, whatever tables come and go.
pub(super) type Budgets = HashMap<Name, Arc<Budget>>;

/// Full budgets for all models of `config`.
pub(super) fn budgets(config: &Config) -> Budgets {
    let budget = || Arc::new(Budget::new(config.retry.budget));
    config.models.iter().map(|model| (model.name.clone(), budget())).collect()
}

/// An immutable table: a request loads it once and keeps it.
#[derive(Debug)]
pub struct Table {
    pub(super) snapshot: Snapshot,
    pub(super) targets: Vec<Target>,
}

impl Table {
    /// The table of `config` over the engines of `house`, with the adapters that they serve now.
    #[must_use]
    pub(super) fn new(config: &Config, house: &House, metrics: &Metrics, budgets: &Budgets) -> Self {
        let adapters = |model: &Name| house.pool(model).map(|pool| pool.adapters()).unwrap_or_default();
        let snapshot = Snapshot::of(config, |model| adapters(model).to_vec());
        let targets: Vec<Target> = snapshot
            .routes()
            .iter()
            .filter_map(|route| {
                let model = config.models.iter().find(|model| model.name == route.model)?;
                Some(Target {
                    pool: house.pool(&route.model)?.clone(),
                    balance: model.balance,
                    rules: rules(&route.settings),
                    meters: Meters::new(metrics, &route.model, if route.is_alias { &route.name } else { "" }),
                    budget: budgets.get(&route.model)?.clone(),
                    route: route.clone(),
                })
            })
            .collect();
        debug_assert_eq!(targets.len(), snapshot.routes().len(), "the house was made from the same configuration");
        Self { snapshot, targets }
    }

    /// The position of the target called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.snapshot.resolve(name).map(|(at, _)| at)
    }
}
