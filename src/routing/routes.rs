//! What each name means: of a model, an alias or a LoRA adapter.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use crate::config::{Alias, Capture, Config, Dialects, Gym, Model, ResponseModel, Settings, WILDCARD};
use crate::ids::Name;
use crate::similar::similar;

/// Longer names are not for wildcard aliases: answers repeat the name in every event.
const LONGEST: usize = 256;

/// What one servable name means.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name that callers use.
    pub name: Name,
    /// The model behind it; of a split: that of the heaviest part.
    pub model: Name,
    /// The adapter behind it, by the name its engines know; `None`: the model itself.
    pub adapter: Option<Name>,
    /// Whether `name` is an alias.
    pub is_alias: bool,
    /// Whether requests have other names, which begin as `name` does.
    pub is_wildcard: bool,
    /// What is changed in requests: by the model, then by each alias on the way, its own last.
    pub settings: Vec<Settings>,
    /// Not listed on `/v1/models`.
    pub hidden: bool,
    /// Whether requests are in the access log.
    pub access_log: bool,
    /// The name in `model` of answers.
    pub response_model: ResponseModel,
    /// Which APIs are translated to Chat Completions.
    pub dialect: Dialects,
    /// Instead of the model above: parts by weight. Empty: no split.
    pub split: Vec<(u32, Destination)>,
    /// The header by which callers stay with one part.
    pub sticky: HeaderName,
    /// Where else it can go, in order.
    pub fallback: Vec<Destination>,
    /// The target that gets copies, and the percentage of requests that are copied.
    pub mirror: Option<(f64, Destination)>,
    /// It behaves as NeMo Gym's model server does.
    pub gym: Option<Arc<Gym>>,
    /// Which bodies are kept for operators.
    pub capture: Option<Arc<Capture>>,
}

/// Another place that requests of an alias may go to.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// The name of that place: of a model, an adapter or an alias.
    pub name: Name,
    /// The model behind it.
    pub model: Name,
    /// The adapter behind it.
    pub adapter: Option<Name>,
    /// What is changed in requests: all that is changed for `name`, then all that the alias changes itself.
    pub settings: Vec<Settings>,
}

/// All routes of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    by_name: HashMap<Name, usize>,
    /// Beginnings of names that lead to a wildcard alias, the longest first.
    wildcards: Vec<(String, usize)>,
    /// Aliases of adapters that are not there, with what they point at.
    orphans: HashMap<Name, Name>,
}

impl Routes {
    /// The routes of `config`: models, then their adapters, then aliases, each in order. `adapters`: those that a model
    /// has now, which need not be the configured ones.
    #[must_use]
    pub fn of<A: AsRef<[Name]>>(config: &Config, adapters: impl Fn(&Name) -> A) -> Self {
        let mut routes = Self::default();
        let plain = |name: &Name, model: &Model, adapter: Option<Name>| Route {
            name: name.clone(),
            model: model.name.clone(),
            adapter,
            is_alias: false,
            is_wildcard: false,
            settings: some(&model.settings).collect(),
            hidden: false,
            access_log: true,
            response_model: model.response_model,
            dialect: model.dialect,
            split: Vec::new(),
            sticky: HeaderName::from_static("x-session-id"),
            fallback: Vec::new(),
            mirror: None,
            gym: None,
            capture: None,
        };
        for model in &config.models {
            routes.add(plain(&model.name, model, None));
        }
        for model in &config.models {
            for adapter in adapters(&model.name).as_ref() {
                // One that an earlier gateway was given may have a name that has come to mean something else.
                let taken =
                    routes.by_name.contains_key(adapter) || config.aliases.iter().any(|alias| alias.name == *adapter);
                if !taken {
                    routes.add(plain(adapter, model, Some(adapter.clone())));
                }
            }
        }
        for alias in &config.aliases {
            // Validation has refused aliases of nothing; an adapter may have been removed since.
            let Some(target) = routes.resolve(&alias.model).map(|(_, route)| route.clone()) else {
                routes.orphans.insert(alias.name.clone(), alias.model.clone());
                continue;
            };
            routes.add(routes.alias(config, alias, target));
        }
        routes
    }

    /// The route of `alias`, whose way leads on to `target`.
    fn alias(&self, config: &Config, alias: &Alias, target: Route) -> Route {
        let destination = |name: &Name| self.destination(config, name, alias);
        let split: Vec<_> =
            alias.split.iter().filter_map(|(name, weight)| Some((*weight, destination(name)?))).collect();
        let fallback = alias.fallback.iter().filter_map(destination).collect();
        let mirror = alias.mirror.as_ref().and_then(|mirror| Some((mirror.percent, destination(&mirror.to)?)));
        // The parts of a split have a model's settings each.
        let before = if alias.split.is_empty() { target.settings } else { Vec::new() };
        Route {
            name: alias.name.clone(),
            settings: before.into_iter().chain(alias.settings.clone()).collect(),
            // What is listed are names that can be used as they are.
            hidden: alias.hidden || alias.wildcard().is_some(),
            access_log: alias.access_log,
            is_alias: true,
            is_wildcard: alias.wildcard().is_some(),
            response_model: alias.response_model,
            dialect: alias.dialect,
            sticky: alias.sticky.clone(),
            split,
            fallback,
            mirror,
            gym: alias.gym.clone(),
            capture: alias.capture.clone(),
            ..target
        }
    }

    /// Where `name`, a model, adapter or alias, leads requests of `alias`; `None` when its adapter is not there.
    fn destination(&self, config: &Config, name: &Name, alias: &Alias) -> Option<Destination> {
        // Aliases may point at aliases further down, which have no route yet.
        let inner = config.aliases.iter().find(|other| other.name == *name);
        let (_, end) = self.resolve(inner.map_or(name, |inner| &inner.model))?;
        let settings = [inner, Some(alias)].into_iter().flatten().flat_map(|alias| alias.settings.iter());
        Some(Destination {
            name: name.clone(),
            model: end.model.clone(),
            adapter: end.adapter.clone(),
            settings: end.settings.iter().chain(settings).cloned().collect(),
        })
    }

    fn add(&mut self, route: Route) {
        match route.name.strip_suffix(WILDCARD).filter(|_| route.is_wildcard) {
            None => drop(self.by_name.insert(route.name.clone(), self.routes.len())),
            Some(beginning) => {
                let shorter = self.wildcards.iter().position(|(other, _)| other.len() < beginning.len());
                let at = shorter.unwrap_or(self.wildcards.len());
                self.wildcards.insert(at, (beginning.to_owned(), self.routes.len()));
            }
        }
        self.routes.push(route);
    }

    /// The position of the route of requests for `name`: the one of that name, else that of the wildcard alias with the
    /// longest beginning.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        let exact = self.by_name.get(name).copied();
        if exact.is_some() || self.wildcards.is_empty() || self.orphans.contains_key(name) || name.len() > LONGEST {
            return exact;
        }
        self.wildcards.iter().find(|(beginning, _)| name.starts_with(&**beginning)).map(|(_, at)| *at)
    }

    /// The position of the route of requests that name nothing: that of `*`.
    #[must_use]
    pub fn catch_all(&self) -> Option<usize> {
        self.wildcards.last().filter(|(beginning, _)| beginning.is_empty()).map(|(_, at)| *at)
    }

    /// The route of exactly that name and its position.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<(usize, &Route)> {
        self.by_name.get(name).and_then(|&at| Some((at, self.routes.get(at)?)))
    }

    /// What the alias `name` points at, when that is not there.
    #[must_use]
    pub fn orphan(&self, name: &str) -> Option<&Name> {
        self.orphans.get(name)
    }

    /// All routes by position.
    #[must_use]
    pub fn all(&self) -> &[Route] {
        &self.routes
    }

    /// Up to three listed names that resemble `name`, best first.
    #[must_use]
    pub fn near(&self, name: &str) -> Vec<&str> {
        similar(name, self.routes.iter().filter(|route| !route.hidden).map(|route| &*route.name), 3)
    }
}

/// The settings, unless they change nothing.
fn some(settings: &Settings) -> impl Iterator<Item = Settings> {
    Some(settings.clone()).filter(|settings| !settings.is_empty()).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let yaml = "models: { base: { source: m, lora: { sql: /a } }, other: { source: m } }\n\
                    aliases: { quiet: { model: sql, overrides: { temperature: 0 } }, plain: { model: base } }\n";
        crate::config::parse(yaml, &|_| None).expect("a configuration")
    }

    fn names(routes: &Routes) -> Vec<&str> {
        routes.all().iter().map(|route| &*route.name).collect()
    }

    #[test]
    fn adapters_are_those_of_now_and_aliases_follow_them() {
        let config = config();
        let with = |adapters: &[&str]| {
            let adapters: Vec<Name> = adapters.iter().map(|name| Name::from(*name)).collect();
            Routes::of(&config, |model| if &**model == "base" { adapters.clone() } else { vec![] })
        };
        let both = with(&["sql", "law"]);
        assert_eq!(names(&both), ["base", "other", "sql", "law", "quiet", "plain"]);
        let (_, quiet) = both.resolve("quiet").expect("the alias");
        assert_eq!((&*quiet.model, quiet.adapter.as_deref()), ("base", Some("sql")));
        assert_eq!(both.orphan("quiet"), None);
        let gone = with(&["law"]);
        assert_eq!(names(&gone), ["base", "other", "law", "plain"]);
        assert_eq!(gone.orphan("quiet").map(|name| &**name), Some("sql"));
        assert_eq!(gone.orphan("plain"), None);
    }

    #[test]
    fn the_exact_name_goes_before_the_longest_beginning_and_that_before_a_star() {
        let yaml = "models: { base: { source: m, lora: { sql: /a } } }\naliases: { '*': { model: base }, 'claude-*': { model: base }, \
                    'claude-opus-*': { model: base }, claude-opus-4: { model: base }, quiet: { model: sql } }\n";
        let config = crate::config::parse(yaml, &|_| None).expect("a configuration");
        let routes = Routes::of(&config, |_| Vec::<Name>::new());
        let found = |name: &str| routes.find(name).map(|at| &*routes.all()[at].name);
        for (name, alias) in [
            ("base", Some("base")),
            ("claude-opus-4", Some("claude-opus-4")),
            ("claude-opus-5", Some("claude-opus-*")),
            ("claude-opus-", Some("claude-opus-*")),
            ("claude-opus", Some("claude-*")),
            ("Claude-opus", Some("*")),
            ("", Some("*")),
            ("*", Some("*")),
            ("quiet", None),
            (&"x".repeat(257), None),
        ] {
            assert_eq!(found(name), alias, "{name}");
        }
        assert_eq!(routes.near("claude-opus-5"), ["claude-opus-4"], "no one can use a star");
        assert_eq!(routes.catch_all(), routes.find("anything"));
        let plain = Routes::of(&self::config(), |_| Vec::<Name>::new());
        assert_eq!((plain.find("anything"), plain.catch_all()), (None, None));
    }

    #[test]
    fn an_adapter_takes_no_name_that_means_something_else() {
        let routes = Routes::of(&config(), |_| ["other", "plain", "sql"].map(Name::from));
        assert_eq!(names(&routes), ["base", "other", "sql", "quiet", "plain"]);
        assert_eq!(routes.resolve("plain").map(|(_, route)| route.is_alias), Some(true));
    }
}
