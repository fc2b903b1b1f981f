//! Ports that models name for their engines: nothing else has them.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use super::entries::{aliases, models};
use crate::config::address;
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::raw::Raw;

pub(super) fn ports_of_models_are_free(raw: &Raw, out: &mut Vec<Draft>) {
    let shared = address::ports(&raw.ports).ok();
    let listeners = listeners(raw);
    let mut seen: Vec<(String, RangeInclusive<usize>)> = Vec::new();
    for (path, name, model) in models(raw) {
        let Some(first) = model.port.map(usize::from).filter(|_| model.source.is_some()) else { continue };
        let own = first..=first + model.replicas.unwrap_or(1).max(1) - 1;
        let what =
            if own.clone().count() > 1 { format!("Ports {first} to {}", own.end()) } else { format!("Port {first}") };
        let told = if *own.end() > usize::from(u16::MAX) {
            let reason = format!("{what} are needed for all replicas, and the last port is {}.", u16::MAX);
            Some((reason, "Choose a lower port, or fewer `replicas`.".to_owned()))
        } else if let Some((key, _)) = listeners.iter().find(|(_, port)| own.contains(port)) {
            Some((format!("{what}: `{key}` has it."), "Choose another port for one of the two.".to_owned()))
        } else if let Some((other, _)) = seen.iter().find(|(_, range)| overlap(range, &own)) {
            let remedy = "Choose another port for one of the two; each replica needs one.".to_owned();
            Some((format!("{what}: the model `{other}` has it."), remedy))
        } else {
            let taken = shared.as_ref().filter(|range| overlap(&wide(range), &own));
            taken.map(|range| {
                let (from, to) = (range.start(), range.end());
                let reason = format!("{what}: engines without a `port` get theirs from {from}-{to} (`ports`).");
                (reason, "Choose a port outside of `ports`, or give `ports` another range.".to_owned())
            })
        };
        if let Some((reason, remedy)) = told {
            let given =
                [path.key("replicas"), Path::of(&["ports"]), Path::of(&["listen"]), Path::of(&["admin", "listen"])];
            out.push(Draft::new(path.key("port"), reason, remedy).given(given));
        }
        seen.push((name.to_owned(), own));
    }
}

/// The keys by which this gateway listens where engines do, and the ports.
fn listeners(raw: &Raw) -> Vec<(String, usize)> {
    let own = [("listen".to_owned(), raw.listen.as_str()), ("admin.listen".to_owned(), raw.admin.listen.as_str())];
    let others =
        aliases(raw).filter_map(|(path, _, alias)| Some((path.key("listen").to_string(), alias.listen.as_deref()?)));
    let port = |(key, text): (String, &str)| {
        let address = address::listen(text).ok()?;
        let engine = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
        // Port 0 is chosen by the system.
        (address.port() != 0 && address::overlap(address, engine)).then(|| (key, usize::from(address.port())))
    };
    own.into_iter().chain(others).filter_map(port).collect()
}

fn wide(range: &RangeInclusive<u16>) -> RangeInclusive<usize> {
    usize::from(*range.start())..=usize::from(*range.end())
}

fn overlap(a: &RangeInclusive<usize>, b: &RangeInclusive<usize>) -> bool {
    a.start() <= b.end() && b.start() <= a.end()
}
