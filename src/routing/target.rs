//! One servable name, or another place where its requests may go, with everything that serving needs.

use std::sync::Arc;

use super::routes::Route;
use super::split::Split;
use crate::config::{Balance, ResponseModel, UsageMode, Via};
use crate::dialects::ClientApi;
use crate::engines::Pool;
use crate::ids::Name;
use crate::openai::{Endpoint, Rules};
use crate::telemetry::Meters;

/// A route, ready to serve.
#[derive(Debug)]
pub struct Target {
    /// What its name means.
    pub route: Route,
    /// Its engines.
    pub pool: Arc<Pool>,
    /// How one of several is chosen.
    pub balance: Balance,
    /// How tokens of streams are counted.
    pub usage: UsageMode,
    /// What is changed in requests.
    pub rules: Rules,
    /// What is counted.
    pub meters: Arc<Meters>,
    /// Its parts, when it is split.
    pub(super) split: Option<Split>,
    /// Positions of the targets to try next.
    pub(super) fallback: Vec<usize>,
    /// The percentage of requests that are copied, and the position of the target that gets the copies.
    pub(super) mirror: Option<(f64, usize)>,
}

impl Target {
    /// The name to put in `model` for the engines; `None`: they have not said yet.
    #[must_use]
    pub fn known_served_name(&self) -> Option<Name> {
        self.route.adapter.clone().or_else(|| self.pool.served_name())
    }

    /// The same, with the model's own name as the best guess.
    #[must_use]
    pub fn served_name(&self) -> Name {
        self.known_served_name().unwrap_or_else(|| self.route.model.clone())
    }

    /// The name that answers are to have in `model`; `None`: what the engine says. `requested`: see
    /// [`PreparedRequest`](super::PreparedRequest).
    #[must_use]
    pub fn response_model<'n>(&'n self, requested: Option<&'n Name>) -> Option<&'n Name> {
        let strict = self.route.gym.as_ref().is_some_and(|gym| gym.strict);
        let asked = self.route.response_model == ResponseModel::Requested && !strict;
        if self.route.is_wildcard {
            return requested.filter(|_| asked);
        }
        // The engine says a model's name itself where the two are the same: nothing to look for in the answer then.
        let renamed = || self.route.is_alias || self.known_served_name().as_ref() != Some(&self.route.name);
        (asked && renamed()).then_some(&self.route.name)
    }

    /// The API of requests to `endpoint`, when they are translated to Chat Completions.
    #[must_use]
    pub fn translates(&self, endpoint: Endpoint) -> Option<ClientApi> {
        let (api, via) = match endpoint {
            Endpoint::Responses => (ClientApi::Responses, self.route.dialect.responses),
            Endpoint::Messages | Endpoint::CountTokens => (ClientApi::Messages, self.route.dialect.messages),
            _ => return None,
        };
        (via == Via::Chat).then_some(api)
    }

    /// Whether the engine with this key is one of its.
    #[must_use]
    pub fn has_engine(&self, key: u64) -> bool {
        self.pool.engines().iter().any(|engine| engine.key() == key)
    }

    /// The alias it was reached by, for labels.
    #[must_use]
    pub fn alias(&self) -> Option<&str> {
        self.route.is_alias.then_some(&*self.route.name)
    }

    /// The context length that its engines tell, in tokens.
    #[must_use]
    pub fn context_length(&self) -> Option<u64> {
        self.pool.engines().iter().find_map(|engine| engine.context_length())
    }
}
