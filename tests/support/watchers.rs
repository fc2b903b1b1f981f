//! Operators who watch a gateway: many dashboards, and a Prometheus. They stand for programs on other machines, so they use as
//! little as can be of this one: one thread of the lowest priority, which never copies what it is sent and gives way after each
//! piece.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use rustix::process::nice;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::Wire;

/// The most that is taken of a connection at once, in bytes.
const PIECE: usize = 256 * 1024;

/// All of them; they leave when this is dropped.
pub struct Watchers {
    leave: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Duration>>,
    heard: Arc<AtomicU64>,
    scraped: Arc<AtomicU64>,
}

/// What they did while they were there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watched {
    /// Time on a processor.
    pub cpu: Duration,
    /// Bytes of events.
    pub events: u64,
    /// Bytes of metrics.
    pub metrics: u64,
}

impl Watchers {
    /// `dashboards` that listen to all events, and somebody who reads `/metrics` each `scrapes`. Everybody is connected, and has
    /// read how everything is, when this returns.
    pub fn come(admin: SocketAddr, dashboards: usize, scrapes: Duration) -> Self {
        let (leave, left) = oneshot::channel();
        let (heard, scraped) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (there, wait) = channel();
        let counts = (heard.clone(), scraped.clone());
        let run = move || {
            // As far down as it goes.
            nice(19).expect("anybody may step back");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(watch(admin, (dashboards, scrapes), counts, (there, left)));
            processor_time("/proc/thread-self/schedstat").unwrap_or_default()
        };
        let thread = std::thread::spawn(run);
        wait.recv().expect("they are there");
        Self { leave: Some(leave), thread: Some(thread), heard, scraped }
    }

    /// They leave.
    pub fn leave(mut self) -> Watched {
        let cpu = self.end();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Watched { cpu, events: read(&self.heard), metrics: read(&self.scraped) }
    }

    fn end(&mut self) -> Duration {
        drop(self.leave.take());
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.end();
    }
}

async fn watch(
    admin: SocketAddr,
    (dashboards, scrapes): (usize, Duration),
    (heard, scraped): (Arc<AtomicU64>, Arc<AtomicU64>),
    (there, left): (Sender<()>, oneshot::Receiver<()>),
) {
    let mut all = JoinSet::new();
    for _ in 0..dashboards {
        let mut wire = Wire::to(admin).await;
        wire.send("GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
        wire.read_until(b": connected").await;
        let heard = heard.clone();
        all.spawn(async move {
            let mut room = vec![0; PIECE];
            loop {
                heard.fetch_add(drop_some(&wire.0, &mut room).await, Ordering::Relaxed);
            }
        });
    }
    let mut wire = Wire::to(admin).await;
    all.spawn(async move {
        let (mut room, mut ticks) = (vec![0; PIECE], interval(scrapes));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            scraped.fetch_add(scrape(&mut wire, &mut room).await, Ordering::Relaxed);
        }
    });
    let _ = there.send(());
    let _ = left.await;
}

/// Reads the metrics once; how many bytes they have.
async fn scrape(wire: &mut Wire, room: &mut [u8]) -> u64 {
    wire.send("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
    let read = wire.read_until(b"\r\n\r\n").await;
    let end = memchr::memmem::find(&read, b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let length: u64 = length.parse().expect("a number");
    let mut left = length - u64::try_from(read.len() - end).expect("fits");
    while left > 0 {
        left -= drop_some(&wire.0, room).await;
    }
    length
}

/// Takes what has come, without copying it (tcp(7), `MSG_TRUNC`); how much it was.
async fn drop_some(stream: &TcpStream, room: &mut [u8]) -> u64 {
    loop {
        stream.readable().await.expect("readable");
        let took = stream.try_io(Interest::READABLE, || Ok(recv(stream.as_fd(), &mut *room, RecvFlags::TRUNC)?.1));
        match took {
            Ok(0) => panic!("the gateway hung up"),
            Ok(took) => {
                std::thread::yield_now();
                return u64::try_from(took).expect("fits");
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// How long a thread was on a processor, by its `schedstat` in `/proc` (Linux, Documentation/scheduler/sched-stats.rst).
pub fn processor_time(path: &str) -> Option<Duration> {
    let nanoseconds = std::fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// The same of all threads of a process with this name; all that have one, where none is given.
pub fn processor_time_of(pid: u32, name: Option<&str>) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let named = threads.filter(|thread| {
        let own = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        name.is_none_or(|name| own.trim_end() == name)
    });
    named.filter_map(|thread| processor_time(thread.path().join("schedstat").to_str()?)).sum()
}
