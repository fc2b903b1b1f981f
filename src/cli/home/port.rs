//! Which ports a new configuration can have.

use std::net::{Ipv4Addr, TcpListener};

/// The port that is usual for clients.
const USUAL: u16 = 8000;

/// Ports that are looked at.
const TRIES: u16 = 100;

/// The first port from the usual one on such that it and the next one are free now; 0, any free one, where none is.
pub(super) fn free_pair() -> u16 {
    let pairs = (0..TRIES).map(|at| USUAL + 10 * at);
    pairs.into_iter().find(|port| is_free(*port) && is_free(port + 1)).unwrap_or(0)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_not_proposed() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        assert!(!is_free(taken.local_addr().expect("an address").port()));
        let port = free_pair();
        assert!(port == 0 || port >= USUAL, "{port}");
    }
}
