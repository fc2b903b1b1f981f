//! Ports for engines of ours: free ones from the operating system, none given twice.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Attempts to get a port that we did not give away already; the system repeats one only when few are left.
const TRIES: usize = 64;

/// The ports our engines hold.
#[derive(Debug, Default)]
pub(super) struct Ports(BTreeSet<u16>);

impl Ports {
    /// A port on 127.0.0.1 that nobody listens on now and no other engine of ours was given.
    ///
    /// Whoever else is quick enough can still take it before the engine binds it; the engine then ends, and its
    /// failure says so.
    ///
    /// # Errors
    /// When the system has none.
    pub(super) fn take(&mut self) -> io::Result<u16> {
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if self.0.insert(port) {
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "every free port is an engine's already"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports = Ports::default();
        let given: BTreeSet<u16> = (0..200).map(|_| ports.take().expect("a free port")).collect();
        assert_eq!(given.len(), 200);
    }
}
