//! Ports for engines of ours: from a range, none given twice, and held so that no other process gets them.
//!
//! A port is held in two ways, for as long as its engine may run. A name in the abstract socket namespace, which is one
//! per network namespace as ports are, tells other gateways of any user that it is taken, and vanishes with us. A TCP
//! socket that is bound but never listens keeps the system from giving the port away. Both that socket and
//! the engine's have `SO_REUSEADDR` (Python's asyncio, tokio, Go and Node set it) or `SO_REUSEPORT` (vLLM sets both), so
//! the engine can bind and listen. A server that sets neither cannot; none is known that does without.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpSocket;

/// Why there is no port for an engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    /// All are taken.
    #[error(
        "no free port on 127.0.0.1 in {first}-{last} (our engines hold {ours} of {}); widen `ports`, or stop what listens there",
        usize::from(*last) - usize::from(*first) + 1
    )]
    Exhausted {
        /// Of the range.
        first: u16,
        /// Of the range.
        last: u16,
        /// How many of them engines of this gateway hold.
        ours: usize,
    },
    /// One that the configuration names is taken.
    #[error(
        "another process has port {0} of 127.0.0.1 (`port` of the model); stop it (`ss -ltnp` names it), or choose another `port`"
    )]
    Taken(u16),
    /// The range is empty.
    #[error("`ports` has no port in it: {0}-{1}")]
    Empty(u16, u16),
    /// The system refuses to say.
    #[error("no port on 127.0.0.1 for an engine: {0}")]
    System(#[from] io::Error),
}

/// Gives ports.
#[derive(Debug)]
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    /// Where to look first: a port that was just given back may still have connections of the engine before.
    next: u16,
    held: OwnPorts,
}

/// The ports that are held.
type OwnPorts = Arc<Mutex<BTreeSet<u16>>>;

fn own(ports: &OwnPorts) -> MutexGuard<'_, BTreeSet<u16>> {
    ports.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ports {
    /// Ports from `range`.
    pub(crate) fn within(range: RangeInclusive<u16>) -> Self {
        Self { next: *range.start(), range, held: Arc::default() }
    }

    /// A port that no process listens on, held until the returned value is dropped.
    ///
    /// # Errors
    /// When there is none, with the remedy.
    pub(crate) fn hold(&mut self) -> Result<HeldPort, PortError> {
        let (first, last) = self.range.clone().into_inner();
        if first > last {
            return Err(PortError::Empty(first, last));
        }
        let from = self.next.clamp(first, last);
        for port in (from..=last).chain(first..from) {
            if let Some(held) = HeldPort::new(port, &self.held)? {
                self.next = if port == last { first } else { port + 1 };
                return Ok(held);
            }
        }
        Err(PortError::Exhausted { first, last, ours: own(&self.held).range(self.range.clone()).count() })
    }

    /// This port, held until the returned value is dropped.
    ///
    /// # Errors
    /// When another process has it, or an engine of ours.
    pub(crate) fn hold_exactly(&self, port: u16) -> Result<HeldPort, PortError> {
        HeldPort::new(port, &self.held)?.ok_or(PortError::Taken(port))
    }

    /// Whether an engine of ours holds it.
    pub(crate) fn is_held(&self, port: u16) -> bool {
        own(&self.held).contains(&port)
    }

    /// The port of an engine that was adopted, and that listens on it already: [`HeldPort::renew`] completes the hold when
    /// the engine died. `None` when another gateway holds it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn adopt(&self, port: u16) -> Result<Option<HeldPort>, PortError> {
        let Some(claim) = claim(port)? else { return Ok(None) };
        own(&self.held).insert(port);
        let mut held = HeldPort { port, _claim: claim, socket: None, all: self.held.clone() };
        held.renew();
        Ok(Some(held))
    }
}

/// A port that is ours.
#[derive(Debug)]
pub(crate) struct HeldPort {
    port: u16,
    _claim: UnixDatagram,
    socket: Option<TcpSocket>,
    all: OwnPorts,
}

impl Drop for HeldPort {
    fn drop(&mut self) {
        own(&self.all).remove(&self.port);
    }
}

impl HeldPort {
    /// `None` when another process has it.
    fn new(port: u16, all: &OwnPorts) -> Result<Option<Self>, PortError> {
        let Some(claim) = claim(port)? else { return Ok(None) };
        let socket = match bind(port) {
            Ok(socket) => socket,
            // Privileged ports and ranges that the system reserves are as good as taken.
            Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        own(all).insert(port);
        Ok(Some(Self { port, _claim: claim, socket: Some(socket), all: all.clone() }))
    }

    /// Its number.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Binds the port if it is not bound by us; to be called before an adopted engine is started again. Returns whether
    /// it is held now: if not, another process listens on it.
    pub(crate) fn renew(&mut self) -> bool {
        if self.socket.is_none() {
            self.socket = bind(self.port).ok();
        }
        self.socket.is_some()
    }
}

/// A TCP socket on `port` that does not listen.
///
/// `SO_REUSEADDR` is set before, or a port whose last engine was killed would be refused for a minute (TIME_WAIT); the
/// bind still fails when another process listens. `SO_REUSEPORT` is set after, or it would not.
fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.set_reuseport(true)?;
    Ok(socket)
}

/// The claim to `port` among gateways; `None` when another one has it.
fn claim(port: u16) -> io::Result<Option<UnixDatagram>> {
    let name = std::os::unix::net::SocketAddr::from_abstract_name(format!("enginehouse/port/{port}"))?;
    match UnixDatagram::bind_addr(&name) {
        Ok(claim) => Ok(Some(claim)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const ANY: RangeInclusive<u16> = 10_000..=19_999;

    /// A range that the system says is free now; tests on other threads take ports one by one from elsewhere.
    fn range(count: u16) -> RangeInclusive<u16> {
        // Below the range that the system gives from, and different for each test process.
        let start = 20_000 + u16::try_from(std::process::id() % 100).expect("small") * 100 + fastrand::u16(..80);
        start..=start + count - 1
    }

    /// Ends a server for processes: children that other tests just start have all our descriptors until they `exec`, and
    /// one that still listens keeps the port.
    fn end(server: TcpListener) {
        // For the system a socket is a socket.
        TcpStream::from(OwnedFd::from(server)).shutdown(Shutdown::Both).expect("it listened");
    }

    #[test]
    fn no_port_is_given_twice() {
        let mut ports = Ports::within(ANY);
        let held: Vec<HeldPort> = (0..200).map(|_| ports.hold().expect("a free port")).collect();
        let given: BTreeSet<u16> = held.iter().map(HeldPort::port).collect();
        assert_eq!(given.len(), 200);
    }

    #[test]
    fn two_gateways_on_one_range_never_collide_and_the_last_one_is_told_why() {
        let range = range(8);
        let (mut ours, mut theirs) = (Ports::within(range.clone()), Ports::within(range.clone()));
        let mut held = Vec::new();
        let error = loop {
            // Somebody else may listen on some of them.
            match ours.hold().and_then(|port| Ok([port, theirs.hold()?])) {
                Ok(ports) => held.extend(ports),
                Err(error) => break error.to_string(),
            }
        };
        let given: BTreeSet<u16> = held.iter().map(HeldPort::port).collect();
        assert!(given.len() == held.len() && !held.is_empty(), "{given:?}");
        let (first, last) = (range.start(), range.end());
        assert!(
            error.starts_with(&format!("no free port on 127.0.0.1 in {first}-{last} (our engines hold ")),
            "{error}"
        );
        assert!(error.contains(" of 8); widen `ports`"), "{error}");
        drop(held);
        assert!(theirs.hold().is_ok(), "what is given back can be given again");
    }

    #[test]
    fn an_empty_range_is_an_error() {
        #[expect(clippy::reversed_empty_ranges, reason = "what is tested")]
        let error = Ports::within(9000..=8000).hold().expect_err("nothing in it");
        assert_eq!(error.to_string(), "`ports` has no port in it: 9000-8000");
    }

    #[test]
    fn the_engine_listens_on_the_held_port_and_nobody_is_given_it() {
        let mut ports = Ports::within(ANY);
        let held = ports.hold().expect("a port");
        let address = SocketAddr::from(([127, 0, 0, 1], held.port()));
        assert_eq!(TcpStream::connect(address).expect_err("nobody listens").kind(), io::ErrorKind::ConnectionRefused);
        for _ in 0..3 {
            // A restart finds connections of the engine before in TIME_WAIT: the server closes first here.
            let engine = TcpListener::bind(address).expect("std sets SO_REUSEADDR");
            let mut client = TcpStream::connect(address).expect("served by the engine");
            drop(engine.accept().expect("a client"));
            assert_eq!(client.read(&mut [0; 1]).expect("the end"), 0);
            end(engine);
        }
        drop(held);
        let again = HeldPort::new(address.port(), &ports.held).expect("no error");
        assert!(again.is_some(), "TIME_WAIT does not make the port unusable for a minute");
    }

    /// A listener that a child had for an instant kept its port now and then (AddrInUse).
    #[test]
    fn children_that_start_meanwhile_keep_no_port() {
        let mut ports = Ports::within(ANY);
        let held = ports.hold().expect("a port");
        let address = SocketAddr::from(([127, 0, 0, 1], held.port()));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    Command::new("true").status().expect("it runs");
                }
            });
            let rounds = (0..500).map(|_| TcpListener::bind(address).map(end));
            let result = rounds.collect::<io::Result<Vec<()>>>();
            over.store(true, Ordering::Relaxed);
            result.expect("nobody listens any more");
        });
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_given() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let port = listener.local_addr().expect("bound").port();
        let error = Ports::within(port..=port).hold().expect_err("taken");
        assert!(error.to_string().contains("our engines hold 0 of 1"), "{error}");
    }

    #[test]
    fn a_port_that_is_named_is_held_or_told_to_be_taken() {
        let mut ports = Ports::within(ANY);
        let number = ports.hold().expect("a free port").port();
        let held = ports.hold_exactly(number).expect("it was given back");
        assert!(ports.is_held(number) && held.port() == number);
        let told = ports.hold_exactly(number).expect_err("it is held").to_string();
        assert!(told.contains(&format!("port {number} of 127.0.0.1 (`port` of the model)")), "{told}");
        drop(held);
        assert!(!ports.is_held(number));
    }

    #[test]
    fn an_adopted_port_is_held_again_when_its_engine_died() {
        let engine = TcpListener::bind("127.0.0.1:0").expect("an engine");
        let port = engine.local_addr().expect("bound").port();
        let ports = Ports::within(ANY);
        let mut held = ports.adopt(port).expect("no error").expect("nobody else's");
        assert!(ports.adopt(port).expect("no error").is_none(), "another gateway does not get it");
        assert!(!held.renew(), "it listens");
        end(engine);
        assert!(held.renew());
    }

    #[test]
    fn pythons_servers_can_listen_on_a_held_port() {
        let script = "
import asyncio, socket, sys
port = int(sys.argv[1])
vllm = socket.socket()
vllm.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
vllm.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
vllm.bind(('127.0.0.1', port)); vllm.listen(); vllm.close()
async def main():
    server = await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', port)
    server.close()
asyncio.run(main())
import http.server
http.server.ThreadingHTTPServer(('127.0.0.1', port), http.server.BaseHTTPRequestHandler).server_close()
print('all listened')";
        let held = Ports::within(ANY).hold().expect("a port");
        let python =
            Command::new("python3").args(["-c", script, &held.port().to_string()]).stderr(Stdio::inherit()).output();
        let Ok(output) = python else {
            let _ = io::stderr().write_all(b"python3 is not there: not tested with Python's servers\n");
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "all listened");
    }
}
