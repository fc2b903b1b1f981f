//! Everything that a reload can change, as one immutable value. A request loads it once and keeps it.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;

use super::callers::Callers;
use super::cors::Cors;
use super::routes::{Destination, Route, Routes};
use super::split::Split;
use super::target::Target;
use crate::config::{Config, Limits, LogReaders, Retry, Timeouts};
use crate::engines::EngineRegistry;
use crate::ids::Name;
use crate::net::ListenerId;
use crate::openai::{ApiError, Code, RuleBook};
use crate::telemetry::Metrics;

/// A configuration, ready to serve requests.
#[derive(Debug)]
pub struct Snapshot {
    routes: Routes,
    /// Those with names of their own, by the positions of their routes, then those that aliases lead to.
    targets: Vec<Target>,
    /// The alias that each listener of an alias's own stands for.
    entries: HashMap<ListenerId, Name>,
    /// Who may send requests.
    pub callers: Callers,
    /// Which web pages may read answers; `None`: none.
    pub cors: Option<Cors>,
    /// Names that clients may call the gateway by; empty: any.
    pub hosts: Vec<String>,
    /// Sizes and counts beyond which requests are refused.
    pub limits: Limits,
    /// How long the gateway waits.
    pub timeouts: Timeouts,
    /// Further attempts.
    pub retry: Retry,
    /// Who is told what engines log.
    pub log_readers: LogReaders,
}

impl Snapshot {
    /// The snapshot of `config` over the engines of `registry`, with the LoRA adapters that they serve now. `entries`: the
    /// listeners of aliases.
    #[must_use]
    pub fn new(
        config: &Config,
        registry: &EngineRegistry,
        metrics: &Arc<Metrics>,
        entries: HashMap<ListenerId, Name>,
    ) -> Self {
        let adapters = |model: &Name| registry.pool(model).map(|pool| pool.adapters()).unwrap_or_default();
        let routes = Routes::of(config, |model| adapters(model).to_vec());
        let targets = targets(config, &routes, registry, metrics);
        Self {
            routes,
            targets,
            entries,
            callers: Callers::of(config, metrics),
            cors: Cors::of(&config.cors),
            hosts: config.hosts.clone(),
            limits: config.limits.clone(),
            timeouts: config.timeouts.clone(),
            retry: config.retry.clone(),
            log_readers: config.engine_logs.shown_to,
        }
    }

    /// The target at position `at`.
    #[must_use]
    pub fn target(&self, at: usize) -> Option<&Target> {
        self.targets.get(at)
    }

    /// The position of the target of requests by the route `name` for the engine with this key; `None`: the route does not
    /// lead there any more.
    #[must_use]
    pub fn leads_to(&self, name: &str, engine: u64) -> Option<usize> {
        self.targets.iter().position(|target| *target.route.name == *name && target.has_engine(engine))
    }

    /// Targets with names of their own: models, their adapters, aliases.
    #[must_use]
    pub fn named(&self) -> &[Target] {
        self.targets.get(..self.routes.all().len()).unwrap_or_default()
    }

    /// The position of the target of requests for `name`.
    ///
    /// # Errors
    /// 404 with near names.
    pub fn find(&self, name: &str) -> Result<usize, ApiError> {
        self.routes.find(name).ok_or_else(|| self.unknown(name))
    }

    /// The position of the target of requests that name none; `None`: they are refused.
    #[must_use]
    pub fn catch_all(&self) -> Option<usize> {
        self.routes.catch_all()
    }

    /// The alias that the listener `id` stands for; `None`: it is for all names.
    #[must_use]
    pub fn entry(&self, id: ListenerId) -> Option<&Name> {
        self.entries.get(&id)
    }

    /// The listeners of aliases.
    #[must_use]
    pub fn entries(&self) -> &HashMap<ListenerId, Name> {
        &self.entries
    }

    /// The position of the part that a request belongs to, when the target at `at` is split; else `at`.
    pub(super) fn part(&self, at: usize, headers: &HeaderMap, caller: Option<&str>, chance: u64) -> usize {
        let split = self.target(at).and_then(|target| target.split.as_ref());
        // A caller's name stays when its key is changed.
        let who = || caller.map(str::as_bytes).or_else(|| self.callers.shown(headers));
        split.map_or(at, |split| split.choose(headers, who(), chance))
    }

    /// Names that resemble `name`, best first.
    #[must_use]
    pub fn near(&self, name: &str) -> Vec<&str> {
        self.routes.near(name)
    }

    fn unknown(&self, name: &str) -> ApiError {
        let shown: String = name.chars().take(128).collect();
        if let Some(adapter) = self.routes.orphan(name) {
            let message = format!("`{shown}` is an alias of the LoRA adapter `{adapter}`, which is not loaded.");
            return ApiError::new(Code::ModelNotFound, message);
        }
        let hint = match self.near(name).as_slice() {
            [] => "GET /v1/models lists all models.".to_owned(),
            [one] => format!("Did you mean `{one}`?"),
            many => {
                let names: Vec<_> = many.iter().map(|name| format!("`{name}`")).collect();
                format!("Did you mean one of {}?", names.join(", "))
            }
        };
        ApiError::new(Code::ModelNotFound, format!("The model `{shown}` does not exist. {hint}"))
    }
}

/// The targets of all routes, and of all places where requests of aliases may go.
fn targets(config: &Config, routes: &Routes, registry: &EngineRegistry, metrics: &Arc<Metrics>) -> Vec<Target> {
    let mut book = RuleBook::default();
    let mut ready = |route: &Route| {
        let model = config.models.iter().find(|model| model.name == route.model)?;
        let pool = registry.pool(&route.model)?;
        pool.budget.set_share(config.retry.budget);
        Some(Target {
            pool,
            balance: model.balance,
            usage: model.usage,
            rules: book.rules(&route.settings),
            meters: metrics.meters(&route.model, if route.is_alias { &route.name } else { "" }),
            route: route.clone(),
            split: None,
            fallback: Vec::new(),
            mirror: None,
        })
    };
    let mut targets: Vec<Target> = routes.all().iter().filter_map(&mut ready).collect();
    debug_assert_eq!(targets.len(), routes.all().len(), "the registry was made from the same configuration");
    for (at, route) in routes.all().iter().enumerate() {
        let mut add = |to: &Destination| {
            targets.extend(ready(&at_destination(route, to)));
            targets.len() - 1
        };
        let split: Vec<_> = route.split.iter().map(|(weight, to)| (add(to), *weight)).collect();
        let fallback: Vec<usize> = route.fallback.iter().map(&mut add).collect();
        let mirror = route.mirror.as_ref().map(|(percent, to)| (*percent, add(to)));
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
    targets
}

/// The route of an alias' requests to another place than its own: still under the name they came by.
fn at_destination(route: &Route, to: &Destination) -> Route {
    Route {
        model: to.model.clone(),
        adapter: to.adapter.clone(),
        settings: to.settings.clone(),
        split: Vec::new(),
        fallback: Vec::new(),
        mirror: None,
        ..route.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_snapshot_shows_what_is_served_now_and_forgets_nothing_that_was_counted() {
        let yaml = "models: { base: { source: m, lora: {} } }\naliases: { quick: { model: base } }\n";
        let config = crate::config::parse(yaml, &|_| None).expect("a configuration");
        let (registry, _demand) = EngineRegistry::new(["base".into()]);
        let pool = registry.pool("base").expect("the model");
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let snapshot = || Snapshot::new(&config, &registry, &metrics, HashMap::new());
        let old = snapshot();
        let target = |snapshot: &Snapshot, name: &str| snapshot.find(name).expect("a target");
        while pool.budget.spend() {}
        let under_way = old.targets[target(&old, "base")].meters.enter();

        pool.set_adapters(vec!["sql".into()]);
        let new = snapshot();
        assert!(old.find("sql").is_err(), "whoever has the old snapshot keeps it");
        for name in ["base", "quick", "sql"] {
            assert!(!new.targets[target(&new, name)].pool.budget.spend(), "{name}: the budget is still spent");
        }
        let in_flight = || {
            let text =
                String::from_utf8(metrics.render(&crate::telemetry::Sampled::default()).expect("text")).expect("UTF-8");
            let line = "enginehouse_requests_in_flight{alias=\"\",model=\"base\"} ";
            text.lines().find_map(|found| found.strip_prefix(line).map(str::to_owned)).expect("the gauge")
        };
        let later = new.targets[target(&new, "sql")].meters.enter();
        assert_eq!(in_flight(), "2");
        drop((under_way, later));
        assert_eq!(in_flight(), "0");

        pool.set_adapters(vec![]);
        assert!(snapshot().find("sql").is_err() && new.find("sql").is_ok());
    }
}
