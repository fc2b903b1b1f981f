//! Whether addresses can be had, and who has those that cannot.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use super::facts::{EnginePorts, Holder, PortState};
use crate::inventory;
use crate::net;

/// `TCP_LISTEN` of the kernel, as `/proc/net/tcp` writes it.
const LISTENS: &str = "0A";

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    address: SocketAddr,
    inode: u64,
}

/// All that listen on this machine, in this network namespace.
pub(super) fn listening() -> Vec<Listening> {
    let read = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    parse(&read("tcp")).into_iter().chain(parse(&read("tcp6"))).collect()
}

/// The lines of `/proc/net/tcp` or `tcp6` of sockets that listen: number, `ADDRESS:PORT` in hexadecimal, remote address, state,
/// six more, inode (proc(5)).
fn parse(text: &str) -> Vec<Listening> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().take(10).collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        if *fields.get(3)? != LISTENS {
            return None;
        }
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(Listening { address: SocketAddr::new(ip(address)?, port), inode: fields.get(9)?.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

/// `0100007F` is 127.0.0.1: words of 32 bits in the order of the machine.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let bytes: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical())
        }
        _ => None,
    }
}

/// Whether `address` can be listened on; one of `gateways` may have it already.
pub(super) fn state(address: SocketAddr, gateways: &[i32], listening: &[Listening]) -> PortState {
    let Err(error) = net::probe(address) else { return PortState::Free };
    match error.kind() {
        ErrorKind::AddrInUse => {
            let holder = holder(address, listening);
            match holder.as_ref().map(|holder| holder.pid).filter(|pid| gateways.contains(pid)) {
                Some(pid) => PortState::Ours(pid),
                None => PortState::Taken(holder),
            }
        }
        ErrorKind::PermissionDenied => PortState::Privileged,
        ErrorKind::AddrNotAvailable => PortState::NoSuchAddress,
        _ => PortState::Refused(error.to_string()),
    }
}

/// Ports of 127.0.0.1 in `range`, and how many of them somebody listens on.
pub(super) fn engine_ports(range: RangeInclusive<u16>, listening: &[Listening]) -> EnginePorts {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let taken = range.clone().filter(|port| is_taken(local(*port), listening)).count();
    EnginePorts { range, taken }
}

fn is_taken(address: SocketAddr, listening: &[Listening]) -> bool {
    listening.iter().any(|other| overlap(address, other.address))
}

/// Whether one of the two keeps the other from listening.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (left, right) = (a.ip().to_canonical(), b.ip().to_canonical());
    let is_any = |ip: IpAddr| {
        ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) || (ip.is_unspecified() && left.is_ipv4() == right.is_ipv4())
    };
    a.port() == b.port() && (left == right || is_any(left) || is_any(right))
}

/// The process that listens on `address`, where `/proc` shows it: those of other users only root sees.
fn holder(address: SocketAddr, listening: &[Listening]) -> Option<Holder> {
    let wanted: Vec<String> = listening
        .iter()
        .filter(|other| overlap(address, other.address))
        .map(|other| format!("socket:[{}]", other.inode))
        .collect();
    let has = |pid: i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let mut targets = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        targets
            .any(|target| target.to_str().is_some_and(|target| wanted.iter().any(|one| one == target)))
            .then_some(pid)
    };
    let pids =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // A server and its workers may share a socket: the first one is the one that was asked to listen.
    let pid = if wanted.is_empty() { None } else { pids.filter_map(has).min() }?;
    Some(Holder { pid, name: u32::try_from(pid).ok().and_then(inventory::process_name) })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn proc_is_read_as_it_is_written() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                    0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n   \
                    1: 0100007F:1F41 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1\n   \
                    2: 00000000000000000000000000000000:0050 0:0 0A 0:0 00:0 0 0 0 9 1\n";
        let found = parse(text);
        let want = [("127.0.0.1:8000", 4711), ("[::]:80", 9)]
            .map(|(address, inode)| Listening { address: address.parse().expect("an address"), inode });
        assert_eq!(found, want);
    }

    #[test]
    fn who_listens_is_found() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound");
        let us = std::process::id().cast_signed();
        let PortState::Taken(Some(holder)) = state(address, &[], &listening()) else { panic!("it is taken") };
        assert_eq!(holder.pid, us);
        assert_eq!(state(address, &[us], &listening()), PortState::Ours(us));
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        assert!(matches!(state(everywhere, &[], &listening()), PortState::Taken(Some(_))));
        assert_eq!(engine_ports(address.port()..=address.port(), &listening()).taken, 1);
        assert_eq!(state("192.0.2.1:80".parse().expect("an address"), &[], &[]), PortState::NoSuchAddress);
        assert_eq!(state("127.0.0.1:0".parse().expect("an address"), &[], &listening()), PortState::Free);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), address in "[0-9A-Fé]{0,34}:[0-9A-F]{0,5}") {
            let _ = parse(&text);
            let _ = parse(&format!("0: {address} x 0A 1 2 3 4 5 {text}"));
        }
    }
}
