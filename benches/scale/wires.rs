//! Many open streams at once, on a thread of their own: HTTP/1.1 with a connection each, or HTTP/2 with many on one.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

use crate::client::request;
use crate::delay::Reader;
use crate::engine::GAP;
use crate::multiplexed;

/// Streams that are opened at a time, so that no listener is flooded.
const OPENING: usize = 64;

/// Streams of one connection of HTTP/2.
const OF_CONNECTION: usize = 100;

/// How long one may take to open.
const PATIENCE: Duration = Duration::from_secs(10);

/// What streams to open.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) streams: usize,
    pub(crate) gap: Duration,
    pub(crate) http2: bool,
}

type Delays = Arc<Mutex<Option<Vec<u64>>>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Opened = Result<(), String>;

/// Open streams, closed on drop.
pub(crate) struct Wires {
    /// Of all events while somebody records.
    delays: Delays,
    /// How many are open.
    pub(crate) open: usize,
    /// Why others are not.
    pub(crate) refused: Vec<String>,
    /// Streams that ended although nobody closed them say so here.
    ends: Receiver<Opened>,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Wires {
    /// Opens them; each that is counted has had an event.
    pub(crate) fn open(plan: Plan) -> Self {
        let delays = Delays::default();
        let (send, ends) = channel();
        let (close, closed) = oneshot::channel();
        let thread = std::thread::spawn({
            let delays = delays.clone();
            move || run(plan, &delays, &send, closed)
        });
        let mut wires = Self { delays, open: 0, refused: Vec::new(), ends, close: Some(close), thread: Some(thread) };
        while wires.open + wires.refused.len() < plan.streams {
            match wires.ends.recv_timeout(PATIENCE) {
                Ok(Ok(())) => wires.open += 1,
                Ok(Err(why)) => wires.refused.push(why),
                Err(error) => {
                    wires.refused.push(format!("no further one opened within {PATIENCE:?} ({error})"));
                    break;
                }
            }
        }
        wires
    }

    /// Delays in microseconds of all events that come within `span`; fails when a stream ends.
    pub(crate) fn record(&self, span: Duration) -> Vec<u64> {
        *self.delays.lock().expect("not poisoned") = Some(Vec::new());
        self.watch(span);
        self.delays.lock().expect("not poisoned").take().unwrap_or_default()
    }

    /// Waits for `span`; fails when a stream ends.
    pub(crate) fn watch(&self, span: Duration) {
        let until = Instant::now() + span;
        loop {
            match self.ends.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => return,
                Ok(Ok(())) => {}
                Ok(Err(why)) => panic!("a stream ended: {why}"),
                Err(RecvTimeoutError::Disconnected) => panic!("all streams ended"),
            }
        }
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Holds the streams until it is told to close them.
fn run(plan: Plan, delays: &Delays, opened: &Sender<Opened>, closed: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let opening = Arc::new(Semaphore::new(OPENING));
        let spawn = |wire: Wire, of: usize| {
            tokio::spawn(async move {
                let failed =
                    if plan.http2 { multiplexed::streams(plan, of, &wire).await } else { single(plan, &wire).await };
                if let Err(why) = failed {
                    for _ in 0..of {
                        let _ = wire.opened.send(Err(why.to_string()));
                    }
                }
            });
        };
        let of_connection = if plan.http2 { OF_CONNECTION } else { 1 };
        for first in (0..plan.streams).step_by(of_connection) {
            let permit = opening.clone().acquire_owned().await.expect("never closed");
            let wire = Wire { delays: delays.clone(), opened: opened.clone(), permit: Mutex::new(Some(permit)) };
            spawn(wire, of_connection.min(plan.streams - first));
        }
        let _ = closed.await;
    });
}

/// What a connection reports to.
pub(crate) struct Wire {
    delays: Delays,
    opened: Sender<Opened>,
    /// Given back when the first event has come.
    permit: Mutex<Option<tokio::sync::OwnedSemaphorePermit>>,
}

/// A stream that has not had its first event, and those that have.
pub(crate) struct Listener<'a> {
    wire: &'a Wire,
    reader: Reader,
    is_open: bool,
}

impl Wire {
    /// Of one stream.
    pub(crate) fn listener(&self) -> Listener<'_> {
        Listener { wire: self, reader: Reader::default(), is_open: false }
    }
}

impl Listener<'_> {
    /// Takes what came.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        let mut events = 0;
        let mut kept = self.wire.delays.lock().expect("not poisoned");
        self.reader.read(piece, |delay| {
            events += 1;
            if let Some(kept) = &mut *kept {
                kept.push(delay);
            }
        });
        if events > 0 && !self.is_open {
            self.is_open = true;
            drop(self.wire.permit.lock().expect("not poisoned").take());
            let _ = self.wire.opened.send(Ok(()));
        }
    }
}

/// A stream over a connection of its own, until it ends.
async fn single(plan: Plan, wire: &Wire) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(plan.address).await?;
    stream.set_nodelay(true)?;
    let gap = format!("{GAP}: {}\r\n", plan.gap.as_micros());
    stream.write_all(&request("a0", 1 << 10, true, &gap)).await?;
    let (mut listener, mut is_accepted, mut piece) = (wire.listener(), false, [0; 2048]);
    loop {
        let read = stream.read(&mut piece).await?;
        let piece = &piece[..read];
        is_accepted |= piece.starts_with(b"HTTP/1.1 200");
        if read == 0 {
            return Err("the connection was closed".into());
        } else if !is_accepted {
            return Err(String::from_utf8_lossy(piece).into_owned().into());
        }
        listener.take(piece);
    }
}
