//! The addresses that a configuration asks for: which of them serve already, which are new, which go.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::error::AppError;
use crate::api::{ChangeKind, ListenerChange};
use crate::config::Config;
use crate::ids::Name;
use crate::net::{self, Listener, ListenerId, Listeners};
use crate::proxy::{HttpListener, ProxyState};

/// An address that serves, or is to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    address: SocketAddr,
    /// The alias that has it to itself; `None`: it is for all names.
    alias: Option<Name>,
}

impl Address {
    /// Where it is configured.
    fn key(&self) -> String {
        self.alias.as_ref().map_or_else(|| "listen".to_owned(), |alias| format!("aliases.{alias}.listen"))
    }

    /// Whether one of the two keeps the other from being bound.
    fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.address, other.address);
        a.port() != 0
            && a.port() == b.port()
            && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
    }

    fn change(&self, kind: ChangeKind) -> ListenerChange {
        ListenerChange { key: self.key(), address: self.address.to_string(), kind, from: None }
    }
}

fn wanted(config: &Config) -> Vec<Address> {
    let own = config
        .aliases
        .iter()
        .filter_map(|alias| Some(Address { address: alias.listen?, alias: Some(alias.name.clone()) }));
    [Address { address: config.listen, alias: None }].into_iter().chain(own).collect()
}

/// What a configuration changes about addresses. Nothing of it was done.
#[derive(Debug)]
pub(super) struct AddressPlan {
    new: Vec<Address>,
    /// They serve already, and stay.
    kept: Vec<(Address, ListenerId)>,
    gone: Vec<(Address, ListenerId)>,
    /// Those of `kept` that were for another key, which is told.
    passed: Vec<ListenerChange>,
}

impl AddressPlan {
    /// What `config` asks for, compared with what serves. `entries`: the aliases of those that serve.
    pub(super) fn new(config: &Config, listeners: &Listeners, entries: &HashMap<ListenerId, Name>) -> Self {
        let serving = listeners.all();
        Self::compare(wanted(config), serving, entries)
    }

    fn compare(
        wanted: Vec<Address>,
        mut serving: Vec<(ListenerId, SocketAddr, SocketAddr)>,
        entries: &HashMap<ListenerId, Name>,
    ) -> Self {
        let mut plan = Self { new: Vec::new(), kept: Vec::new(), gone: Vec::new(), passed: Vec::new() };
        for wanted in wanted {
            // A port that the OS chose belongs to its alias; any other one may pass to another alias.
            let fits = |(id, address, bound): &(ListenerId, SocketAddr, SocketAddr)| {
                let is_same = *address == wanted.address || *bound == wanted.address;
                is_same && (wanted.address.port() != 0 || entries.get(id) == wanted.alias.as_ref())
            };
            match serving.iter().position(fits) {
                Some(at) => {
                    let (id, address, _) = serving.swap_remove(at);
                    let before = Address { address, alias: entries.get(&id).cloned() };
                    if before.alias != wanted.alias {
                        let from = Some(before.key());
                        plan.passed.push(ListenerChange { from, ..wanted.change(ChangeKind::Changed) });
                    }
                    plan.kept.push((wanted, id));
                }
                None => plan.new.push(wanted),
            }
        }
        let gone = |(id, address, _)| (Address { address, alias: entries.get(&id).cloned() }, id);
        plan.gone = serving.into_iter().map(gone).collect();
        plan
    }

    /// The same for people.
    pub(super) fn changes(&self) -> Vec<ListenerChange> {
        let new = self.new.iter().map(|address| address.change(ChangeKind::Added));
        let gone = self.gone.iter().map(|(address, _)| address.change(ChangeKind::Removed));
        new.chain(gone).chain(self.passed.iter().cloned()).collect()
    }

    /// Whether one is where the operators' server of this process listens, `admin`.
    ///
    /// # Errors
    /// When one is.
    pub(super) fn check(&self, admin: SocketAddr) -> Result<(), AppError> {
        let admin = Address { address: admin, alias: None };
        match self.new.iter().find(|address| address.overlaps(&admin)) {
            Some(taken) => Err(AppError::Operators { address: taken.address, key: taken.key() }),
            None => Ok(()),
        }
    }

    /// Whether [`Self::bind`] would find all of them free now. Nothing listens meanwhile.
    ///
    /// # Errors
    /// When an address is not to be had.
    pub(super) fn probe(&self) -> Result<(), AppError> {
        self.new.iter().filter(|address| !self.is_covered(address)).try_for_each(|address| {
            let taken = |why| AppError::Listen { address: address.address, key: address.key(), why };
            net::probe(address.address).map_err(taken)
        })
    }

    /// Whether one that goes covers it: the OS would say that it is taken.
    fn is_covered(&self, address: &Address) -> bool {
        self.gone.iter().any(|(gone, _)| gone.overlaps(address))
    }

    /// Binds the new ones; what they are to replace among `listeners` serves on until they do.
    ///
    /// # Errors
    /// When an address is not to be had; then nothing is bound.
    pub(super) async fn bind(self, listeners: &Listeners) -> Result<BoundPlan, AppError> {
        let mut new = Vec::new();
        for address in &self.new {
            let listen = |why| AppError::Listen { address: address.address, key: address.key(), why };
            let covers = self.gone.iter().filter(|(gone, _)| gone.overlaps(address));
            let beside: Vec<ListenerId> = covers.map(|(_, id)| *id).collect();
            let bound = match &*beside {
                [] => Listener::bind(address.address).await,
                beside => listeners.bind_beside(address.address, beside),
            };
            new.push((address.clone(), bound.map_err(listen)?));
        }
        Ok(BoundPlan { new, kept: self.kept, gone: self.gone })
    }
}

/// A change of addresses, prepared: nothing of it can fail any more.
#[derive(Debug)]
pub(super) struct BoundPlan {
    /// Bound, and not serving yet.
    new: Vec<(Address, Listener)>,
    kept: Vec<(Address, ListenerId)>,
    gone: Vec<(Address, ListenerId)>,
}

impl BoundPlan {
    /// The aliases of all listeners that there are after the change, and of those that go: their last requests are for
    /// those aliases, too.
    pub(super) fn entries(&self) -> HashMap<ListenerId, Name> {
        let known = self.kept.iter().chain(&self.gone).map(|(address, id)| (*id, address));
        let new = self.new.iter().map(|(address, listener)| (listener.id, address));
        known.chain(new).filter_map(|(id, address)| Some((id, address.alias.clone()?))).collect()
    }

    /// Has the new ones serve and the others end.
    pub(super) async fn apply(self, listeners: &Listeners, state: &Arc<ProxyState>) {
        for (wanted, listener) in self.new {
            serve(&wanted, listener, listeners, state);
        }
        for (_, id) in &self.gone {
            listeners.remove(*id).await;
        }
    }
}

fn serve(wanted: &Address, listener: Listener, listeners: &Listeners, state: &Arc<ProxyState>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16, alias: Option<&str>) -> Address {
        Address { address: ([127, 0, 0, 1], port).into(), alias: alias.map(Name::from) }
    }

    #[test]
    fn addresses_that_serve_stay_and_the_others_come_and_go() {
        let ids: Vec<ListenerId> = (0..4).map(|_| ListenerId::fresh()).collect();
        let at = |port| address(port, None).address;
        let ports = [(8000, 8000), (8100, 8100), (0, 4001), (0, 4002)];
        let serving = ports.iter().zip(&ids).map(|((port, bound), id)| (*id, at(*port), at(*bound)));
        let entries = [(ids[1], "a"), (ids[2], "b"), (ids[3], "c")].map(|(id, name)| (id, Name::from(name)));
        let wanted = vec![
            address(8000, None),
            // Port 8100 passes from a to d, c keeps the port that the OS chose, b has none any more, e is new.
            address(8100, Some("d")),
            address(0, Some("c")),
            address(0, Some("e")),
        ];
        let plan = AddressPlan::compare(wanted, serving.collect(), &entries.into());
        let kept: Vec<_> = plan.kept.iter().map(|(address, id)| (address.alias.as_deref(), *id)).collect();
        assert_eq!(kept, [(None, ids[0]), (Some("d"), ids[1]), (Some("c"), ids[3])]);
        assert_eq!(plan.new, [address(0, Some("e"))]);
        assert_eq!(plan.gone, [(address(0, Some("b")), ids[2])]);
        let told: Vec<_> = plan.changes().iter().map(ToString::to_string).collect();
        let opened = "127.0.0.1:0 opened (aliases.e.listen)";
        let closed = "127.0.0.1:0 closed (aliases.b.listen)";
        assert_eq!(told, [opened, closed, "127.0.0.1:8100 passes from aliases.a.listen to aliases.d.listen"]);
    }

    #[test]
    fn an_address_that_an_old_one_covers_is_known_and_a_port_of_the_system_may_be_written_down() {
        let id = ListenerId::fresh();
        let all: SocketAddr = ([0, 0, 0, 0], 8000).into();
        let one = address(8000, None);
        let plan = AddressPlan::compare(vec![one.clone()], vec![(id, all, all)], &HashMap::new());
        assert!(plan.gone[0].0.overlaps(&plan.new[0]) && !plan.gone[0].0.overlaps(&address(8001, None)));
        let zero = address(0, None).address;
        let plan = AddressPlan::compare(vec![one.clone()], vec![(id, zero, one.address)], &HashMap::new());
        assert_eq!((plan.kept, plan.new.len(), plan.gone.len()), (vec![(one, id)], 0, 0));
    }

    #[test]
    fn an_address_of_the_operators_server_is_told_for_what_it_is() {
        let plan = |port| AddressPlan::compare(vec![address(port, Some("a"))], vec![], &HashMap::new());
        let admin = address(8001, None).address;
        let told = plan(8001).check(admin).expect_err("it is taken").to_string();
        assert!(told.contains("`aliases.a.listen`") && told.contains("`admin.listen`"), "{told}");
        assert!(plan(8002).check(admin).is_ok());
    }

    #[tokio::test]
    async fn a_probe_tells_a_port_that_is_taken_and_leaves_one_that_is_free() {
        let plan =
            |address: SocketAddr| AddressPlan::compare(vec![Address { address, alias: None }], vec![], &HashMap::new());
        let taken = Listener::bind(address(0, None).address).await.expect("a port");
        let at = taken.address().expect("an address");
        let told = plan(at).probe().expect_err("it is taken").to_string();
        assert!(told.contains(&at.to_string()) && told.contains("Another process has it"), "{told}");
        assert_eq!(told.matches("in use").count(), 1, "{told}");
        drop(taken);
        plan(at).probe().expect("it is free");
        plan(at).bind(&Listeners::default()).await.expect("and still is");
    }
}
