//! The immutable table from names to routes: models, aliases and LoRA adapters.

use std::collections::HashMap;

use crate::config::{Config, Settings};
use crate::ids::Name;

/// What one servable name means.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// What callers say.
    pub name: Name,
    /// The model behind it.
    pub model: Name,
    /// The adapter behind it, by the name its engines know; `None`: the model itself.
    pub adapter: Option<Name>,
    /// Whether `name` is an alias.
    pub is_alias: bool,
    /// What is changed in requests.
    pub settings: Settings,
    /// Not listed on `/v1/models`.
    pub hidden: bool,
}

/// Names that look like one we do not have.
pub type Near = Vec<Name>;

/// All routes of a configuration. A request loads it once and keeps it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    routes: Vec<Route>,
    by_name: HashMap<Name, usize>,
    /// Aliases of adapters that are not there, with what they point at.
    orphans: HashMap<Name, Name>,
}

impl Snapshot {
    /// The routes of `config`: models, then their adapters, then aliases, each in order. `adapters`: those that a model
    /// has now, which need not be the configured ones.
    #[must_use]
    pub fn of<A: AsRef<[Name]>>(config: &Config, adapters: impl Fn(&Name) -> A) -> Self {
        let mut snapshot = Self::default();
        let plain = |name: &Name, model: &Name, adapter: Option<Name>| Route {
            name: name.clone(),
            model: model.clone(),
            adapter,
            is_alias: false,
            settings: Settings::default(),
            hidden: false,
        };
        for model in &config.models {
            snapshot.add(plain(&model.name, &model.name, None));
        }
        for model in &config.models {
            for adapter in adapters(&model.name).as_ref() {
                // One that an earlier gateway was given may have a name that has come to mean something else.
                let taken =
                    snapshot.by_name.contains_key(adapter) || config.aliases.iter().any(|alias| alias.name == *adapter);
                if !taken {
                    snapshot.add(plain(adapter, &model.name, Some(adapter.clone())));
                }
            }
        }
        for alias in &config.aliases {
            // Validation has refused aliases of nothing; an adapter may have been removed since.
            let Some(target) = snapshot.resolve(&alias.model).map(|(_, route)| route.clone()) else {
                snapshot.orphans.insert(alias.name.clone(), alias.model.clone());
                continue;
            };
            let (name, settings, hidden) = (alias.name.clone(), alias.settings.clone(), alias.hidden);
            snapshot.add(Route { name, settings, hidden, is_alias: true, ..target });
        }
        snapshot
    }

    fn add(&mut self, route: Route) {
        self.by_name.insert(route.name.clone(), self.routes.len());
        self.routes.push(route);
    }

    /// The route of that name and its position.
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
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Up to three listed names that resemble `name`, best first.
    #[must_use]
    pub fn near(&self, name: &str) -> Near {
        // Comparing is quadratic in length: a made-up name must not cost more than a real one.
        let name: String = name.chars().take(128).flat_map(char::to_lowercase).collect();
        let mut scored: Vec<(f64, &Name)> = self
            .routes
            .iter()
            .filter(|route| !route.hidden)
            .map(|route| {
                let known = route.name.to_lowercase();
                let within = known.contains(&name) || (!known.is_empty() && name.contains(&known));
                (strsim::jaro_winkler(&known, &name) + if within { 0.5 } else { 0.0 }, &route.name)
            })
            .filter(|(score, _)| *score > 0.75)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.into_iter().take(3).map(|(_, name)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let yaml = "models: { base: { source: m, lora: { sql: /a } }, other: { source: m } }\n\
                    aliases: { quiet: { model: sql, overrides: { temperature: 0 } }, plain: { model: base } }\n";
        crate::config::parse(yaml, &|_| None).expect("a configuration")
    }

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.routes().iter().map(|route| &*route.name).collect()
    }

    #[test]
    fn adapters_are_those_of_now_and_aliases_follow_them() {
        let config = config();
        let with = |adapters: &[&str]| {
            let adapters: Vec<Name> = adapters.iter().map(|name| Name::from(*name)).collect();
            Snapshot::of(&config, |model| if &**model == "base" { adapters.clone() } else { vec![] })
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
    fn an_adapter_takes_no_name_that_means_something_else() {
        let snapshot = Snapshot::of(&config(), |_| ["other", "plain", "sql"].map(Name::from));
        assert_eq!(names(&snapshot), ["base", "other", "sql", "quiet", "plain"]);
        assert_eq!(snapshot.resolve("plain").map(|(_, route)| route.is_alias), Some(true));
    }
}
