//! What a listener does when the process has no file descriptor left: clients hear of it instead of waiting, and the log
//! says it now and then.

use std::fs::File;
use std::io;
use std::time::Duration;

use futures::FutureExt;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::handler::{Handler, NotServed};

/// Time between two lines of the log.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The pause after a connection that could not be accepted: the next accept may work.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the request of a client that is turned away may take to come: closing before would hide the answer from it.
const REQUEST_WITHIN: Duration = Duration::from_millis(20);

/// Connections that could not be accepted.
#[derive(Debug)]
pub(super) struct Shortage {
    /// A descriptor that can be given up for a connection. `None`: there was none to keep.
    reserve: Option<File>,
    told: Option<Instant>,
    /// Since it was told.
    count: u64,
}

impl Shortage {
    /// Keeps a descriptor for the day on which there is none.
    pub(super) fn new() -> Self {
        Self { reserve: reserve(), told: None, count: 0 }
    }

    /// A connection could not be accepted because of `error`. One that waits is turned away.
    pub(super) async fn met(&mut self, listener: &TcpListener, handler: &dyn Handler, error: &io::Error) {
        self.tell(error);
        let is_short = matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE));
        // Only as long as it is given up is there a descriptor for a connection.
        if is_short && self.reserve.take().is_some() {
            let accepted = listener.accept().now_or_never();
            if let Some(Ok((stream, _))) = accepted {
                turn_away(stream, &handler.refusal(NotServed::NoDescriptors)).await;
            }
            self.reserve = reserve();
            if self.reserve.is_some() {
                return;
            }
        }
        // Or the peer was gone already.
        sleep(PAUSE).await;
        if self.reserve.is_none() {
            self.reserve = reserve();
        }
    }

    fn tell(&mut self, error: &io::Error) {
        self.count += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            let count = std::mem::take(&mut self.count);
            self.told = Some(Instant::now());
            tracing::warn!(
                %error, count,
                "connections cannot be accepted; if there are too many open files, raise the limit (`ulimit -Hn`, systemd \
                 LimitNOFILE=) or lower limits.connections"
            );
        }
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Answers as well as it can be done at once: others wait.
async fn turn_away(stream: TcpStream, said: &[u8]) {
    let _ = timeout(REQUEST_WITHIN, stream.peek(&mut [0])).await;
    let mut request = [0; 16 * 1024];
    // Closing on unread bytes would reset the connection; one that sends without end is not waited for.
    for _ in 0..4 {
        if !matches!(stream.try_read(&mut request), Ok(read) if read > 0) {
            break;
        }
    }
    let _ = stream.try_write(said);
}
