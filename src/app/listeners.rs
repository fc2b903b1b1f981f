//! The addresses that a configuration asks for: which of them serve already, which are new, which go.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::error::AppError;
use crate::config::Config;
use crate::ids::Name;
use crate::net::{Listener, ListenerId, Listeners};
use crate::proxy::{HttpListener, ProxyState};

/// An address that is to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    address: SocketAddr,
    /// The alias that has it to itself; `None`: it is for all names.
    alias: Option<Name>,
}

impl Wanted {
    /// Where it is configured.
    fn key(&self) -> String {
        self.alias.as_ref().map_or_else(|| "listen".to_owned(), |alias| format!("aliases.{alias}.listen"))
    }
}

fn wanted(config: &Config) -> Vec<Wanted> {
    let own = config
        .aliases
        .iter()
        .filter_map(|alias| Some(Wanted { address: alias.listen?, alias: Some(alias.name.clone()) }));
    [Wanted { address: config.listen, alias: None }].into_iter().chain(own).collect()
}

/// A change of addresses, prepared: nothing of it can fail any more, and nothing of it was done.
#[derive(Debug)]
pub(super) struct ListenerChange {
    /// Bound, and not serving yet.
    new: Vec<(Wanted, Listener)>,
    /// They serve already, and stay.
    kept: Vec<(Wanted, ListenerId)>,
    gone: Vec<ListenerId>,
}

impl ListenerChange {
    /// Binds what `config` asks for and does not serve yet. `entries`: the aliases of those that serve.
    ///
    /// # Errors
    /// When an address is not to be had; then nothing is bound.
    pub(super) async fn prepare(
        config: &Config,
        listeners: &Listeners,
        entries: &HashMap<ListenerId, Name>,
    ) -> Result<Self, AppError> {
        let mut serving = listeners.all();
        let mut change = Self { new: Vec::new(), kept: Vec::new(), gone: Vec::new() };
        for wanted in wanted(config) {
            // A port that the OS chose belongs to its alias; any other one may pass to another alias.
            let fits = |(id, address, _): &(ListenerId, SocketAddr, SocketAddr)| {
                *address == wanted.address && (address.port() != 0 || entries.get(id) == wanted.alias.as_ref())
            };
            if let Some(at) = serving.iter().position(fits) {
                change.kept.push((wanted, serving.swap_remove(at).0));
                continue;
            }
            let listen = |source| AppError::Listen { address: wanted.address, key: wanted.key(), source };
            let listener = Listener::bind(wanted.address).await.map_err(listen)?;
            change.new.push((wanted, listener));
        }
        change.gone = serving.into_iter().map(|(id, ..)| id).collect();
        Ok(change)
    }

    /// The aliases of all listeners that there are after the change.
    pub(super) fn entries(&self) -> HashMap<ListenerId, Name> {
        let kept = self.kept.iter().map(|(wanted, id)| (*id, wanted));
        let new = self.new.iter().map(|(wanted, listener)| (listener.id, wanted));
        kept.chain(new).filter_map(|(id, wanted)| Some((id, wanted.alias.clone()?))).collect()
    }

    /// Has the new ones serve and the others end.
    pub(super) fn apply(self, listeners: &Listeners, state: &Arc<ProxyState>) {
        for (wanted, listener) in self.new {
            let (id, bound) = (listener.id, listener.address());
            let handler = Arc::new(HttpListener::new(state.clone(), id));
            match listeners.add(listener, handler).and(bound) {
                Ok(bound) => match &wanted.alias {
                    Some(alias) => tracing::info!("alias {alias} listens on http://{bound}/v1"),
                    None => tracing::info!("listening on http://{bound}/v1"),
                },
                Err(error) => tracing::error!(%error, address = %wanted.address, "an address cannot serve"),
            }
        }
        for id in self.gone {
            listeners.remove(id);
        }
    }
}
