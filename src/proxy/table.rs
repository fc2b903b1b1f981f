//! The routing table with everything a request needs of its route: rules, engines, meters.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;

use super::auth::Callers;
use super::pick::Budget;
use super::split::Split;
use crate::config::{Balance, Config, Echo, Via};
use crate::dialects::Spoken;
use crate::engines::{EngineRegistry, Pool};
use crate::ids::Name;
use crate::openai::{Endpoint, Rules};
use crate::routing::{Aim, Route, Snapshot, rules};
use crate::telemetry::{Meters, Metrics};

/// One servable name, or another place where its requests may go; ready to serve.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) route: Route,
    pub(super) pool: Arc<Pool>,
    pub(super) balance: Balance,
    pub(super) rules: Rules,
    pub(super) meters: Meters,
    pub(super) budget: Arc<Budget>,
    /// Its parts, when it is split.
    pub(super) split: Option<Split>,
    /// Positions of the targets to try next.
    pub(super) fallback: Vec<usize>,
    /// Of a hundred requests so many are copied to the target at this position.
    pub(super) mirror: Option<(f64, usize)>,
}

impl Target {
    /// The name to put in `model` for the engines.
    pub(super) fn served_name(&self) -> Name {
        let own = || self.pool.served_name().unwrap_or_else(|| self.route.model.clone());
        self.route.adapter.clone().unwrap_or_else(own)
    }

    /// The name that answers are to have in `model`; `None`: the engine's, as in Gym.
    pub(super) fn echo(&self) -> Option<&Name> {
        let strict = self.route.gym.as_ref().is_some_and(|gym| gym.strict);
        (self.route.echo == Echo::Alias && !strict).then_some(&self.route.name)
    }

    /// The API of requests to `endpoint`, when they are translated to Chat Completions.
    pub(super) fn translates(&self, endpoint: Endpoint) -> Option<Spoken> {
        let (spoken, via) = match endpoint {
            Endpoint::Responses => (Spoken::Responses, self.route.dialect.responses),
            Endpoint::Messages | Endpoint::CountTokens => (Spoken::Messages, self.route.dialect.messages),
            _ => return None,
        };
        (via == Via::Chat).then_some(spoken)
    }

    /// Whether a request may be wanted again as its caller sent it.
    pub(super) fn wants_original(&self) -> bool {
        !self.fallback.is_empty() || self.mirror.is_some()
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
    /// Those with names of their own, by the positions of their routes, then those that aliases lead to.
    pub(super) targets: Vec<Target>,
    /// Who may ask.
    pub(super) callers: Callers,
}

impl Table {
    /// The table of `config` over the engines of `house`, with the adapters that they serve now.
    #[must_use]
    pub(super) fn new(config: &Config, registry: &EngineRegistry, metrics: &Metrics, budgets: &Budgets) -> Self {
        let adapters = |model: &Name| registry.pool(model).map(|pool| pool.adapters()).unwrap_or_default();
        let snapshot = Snapshot::of(config, |model| adapters(model).to_vec());
        let prepare = |route: &Route| {
            let model = config.models.iter().find(|model| model.name == route.model)?;
            Some(Target {
                pool: registry.pool(&route.model)?,
                balance: model.balance,
                rules: rules(&route.settings),
                meters: Meters::new(metrics, &route.model, if route.is_alias { &route.name } else { "" }),
                budget: budgets.get(&route.model)?.clone(),
                route: route.clone(),
                split: None,
                fallback: Vec::new(),
                mirror: None,
            })
        };
        let mut targets: Vec<Target> = snapshot.routes().iter().filter_map(prepare).collect();
        debug_assert_eq!(targets.len(), snapshot.routes().len(), "the house was made from the same configuration");
        for (at, route) in snapshot.routes().iter().enumerate() {
            let mut add = |aim: &Aim| {
                targets.extend(prepare(&at_aim(route, aim)));
                targets.len() - 1
            };
            let split: Vec<_> = route.split.iter().map(|(weight, aim)| (add(aim), *weight)).collect();
            let fallback: Vec<usize> = route.fallback.iter().map(&mut add).collect();
            let mirror = route.mirror.as_ref().map(|(percent, aim)| (*percent, add(aim)));
            // Whatever part of a split a request goes to, it may fall back and is mirrored.
            for at in split.iter().map(|(at, _)| *at).chain([at]) {
                if let Some(target) = targets.get_mut(at) {
                    (target.fallback, target.mirror) = (fallback.clone(), mirror);
                }
            }
            if let Some(target) = targets.get_mut(at) {
                target.split = Split::new(split, route.sticky.clone());
            }
        }
        Self { snapshot, targets, callers: Callers::of(config, metrics) }
    }

    /// Those with names of their own.
    pub(super) fn named(&self) -> &[Target] {
        self.targets.get(..self.snapshot.routes().len()).unwrap_or_default()
    }

    /// The position of the target called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.snapshot.resolve(name).map(|(at, _)| at)
    }

    /// The position of the part that a request belongs to, when the target at `at` is split; else `at`.
    pub(super) fn part(&self, at: usize, headers: &HeaderMap, caller: Option<&str>) -> usize {
        let split = self.targets.get(at).and_then(|target| target.split.as_ref());
        split.map_or(at, |split| split.choose(headers, caller))
    }
}

/// The route of an alias' requests to another place than its own: still under the name they came by.
fn at_aim(route: &Route, aim: &Aim) -> Route {
    Route {
        model: aim.model.clone(),
        adapter: aim.adapter.clone(),
        settings: aim.settings.clone(),
        split: Vec::new(),
        fallback: Vec::new(),
        mirror: None,
        ..route.clone()
    }
}
