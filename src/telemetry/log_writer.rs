//! Log lines, gathered and written in batches by a thread of their own: who tells one makes no system call, waits for nobody,
//! and does not notice a full disk or a reader that stands still. What cannot be written is counted.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// The longest that a gathered line waits while others come.
const PAUSE: Duration = Duration::from_millis(50);

/// After so many pauses without a line the thread sleeps until the next one, which is then written at once.
const IDLE: u32 = 20;

/// Lines that may wait.
const LINES: usize = 16 * 1024;

/// Bytes of lines that may wait.
const BYTES: usize = 8 * 1024 * 1024;

/// About what one write writes.
const BATCH: usize = 64 * 1024;

/// How long the end of the process waits for a reader that stands still.
const PATIENCE: Duration = Duration::from_secs(1);

/// When lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delay {
    /// As soon as the thread runs: for lines that are few.
    No,
    /// At most [`PAUSE`] later, with what has come until then: for lines that are many.
    Gather,
}

/// Takes lines.
#[derive(Clone, Debug)]
pub(super) struct LogWriter {
    lines: SyncSender<Vec<u8>>,
    thread: Thread,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// The thread has to be woken for the next line.
    sleeps: AtomicBool,
    /// No more lines come.
    ends: AtomicBool,
    lost: IntCounter,
}

/// The thread that writes. Writes what is left when dropped.
#[derive(Debug)]
pub(super) struct LogThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Starts the thread `name`, which writes to `out`; `lost` counts the lines that are not written.
    ///
    /// # Errors
    /// There are no more threads.
    pub(super) fn start(
        name: &str,
        out: impl Write + Send + 'static,
        lost: IntCounter,
        delay: Delay,
    ) -> io::Result<(Self, LogThread)> {
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            sleeps: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            lost,
        });
        let (lines, queue) = sync_channel(LINES);
        let batch = Batch { out, bytes: Vec::new(), is_torn: false, lost: shared.lost.clone() };
        let of_thread = shared.clone();
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&queue, batch, &of_thread, delay))?;
        let writer = Self { lines, thread: thread.thread().clone(), shared: shared.clone() };
        Ok((writer, LogThread { shared, thread: Some(thread) }))
    }

    /// Queues a line, which ends with a line feed; drops and counts it where too many wait.
    pub(super) fn write(&self, line: Vec<u8>) {
        let length = line.len();
        let waiting = self.shared.waiting.fetch_add(length, Ordering::Relaxed);
        if waiting + length > BYTES || self.lines.try_send(line).is_err() {
            self.shared.waiting.fetch_sub(length, Ordering::Relaxed);
            self.shared.lost.inc();
            return;
        }
        // In one order with the thread's own look at the queue after it has said that it sleeps: one of both sees the other.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.shared.sleeps.load(Ordering::Relaxed) && self.shared.sleeps.swap(false, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

/// One line that is being formatted: `tracing-subscriber` writes each event in one piece.
pub(super) struct Line<'a>(&'a LogWriter);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        let since = Instant::now();
        while !thread.is_finished() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn run<W: Write>(queue: &Receiver<Vec<u8>>, mut batch: Batch<W>, shared: &Shared, delay: Delay) {
    let mut idle = 0_u32;
    loop {
        // Looked at first: what was told before the end is written.
        let ends = shared.ends.load(Ordering::Acquire);
        let took = batch.take(queue, shared);
        if took {
            idle = 0;
            batch.write();
            if ends {
                continue;
            }
        } else if ends {
            return;
        } else {
            idle = idle.saturating_add(1);
        }
        if delay == Delay::Gather && idle < IDLE {
            std::thread::park_timeout(PAUSE);
            continue;
        }
        shared.sleeps.store(true, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst);
        if !batch.take(queue, shared) && !shared.ends.load(Ordering::Acquire) {
            std::thread::park();
        }
        shared.sleeps.store(false, Ordering::Relaxed);
        batch.write();
    }
}

/// What is written together.
struct Batch<W> {
    out: W,
    bytes: Vec<u8>,
    /// The last thing that was written is a part of a line.
    is_torn: bool,
    lost: IntCounter,
}

impl<W: Write> Batch<W> {
    /// Takes lines that wait; whether there were any.
    fn take(&mut self, queue: &Receiver<Vec<u8>>, shared: &Shared) -> bool {
        while self.bytes.len() < BATCH {
            let Ok(line) = queue.try_recv() else { break };
            shared.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.bytes.extend_from_slice(&line);
        }
        !self.bytes.is_empty()
    }

    /// Writes all of it; what cannot be written is lost.
    fn write(&mut self) {
        if self.is_torn && !self.bytes.is_empty() {
            self.bytes.insert(0, b'\n');
        }
        let mut written = 0;
        while written < self.bytes.len() {
            match self.out.write(&self.bytes[written..]) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody else has set the file to not block: its reader is slow.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                Err(_) => break,
            }
        }
        let (written, left) = self.bytes.split_at(written);
        if let Some(last) = written.last() {
            self.is_torn = *last != b'\n';
        }
        self.lost.inc_by(memchr::memchr_iter(b'\n', left).count() as u64);
        let _ = self.out.flush();
        self.bytes.clear();
        self.bytes.shrink_to(2 * BATCH);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// What was written, and what the next writes do.
    #[derive(Clone, Default)]
    struct Out(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        written: Vec<u8>,
        writes: usize,
        /// Bytes that fit until the disk is full.
        room: Option<usize>,
        stands: bool,
    }

    impl Out {
        fn set(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.0.0.lock().expect("kept"));
            self.0.1.notify_all();
        }

        /// Waits until `wanted` is so.
        fn wait(&self, mut wanted: impl FnMut(&State) -> bool) -> String {
            let state = self.0.0.lock().expect("kept");
            let minute = Duration::from_secs(60);
            let (state, late) = self.0.1.wait_timeout_while(state, minute, |state| !wanted(state)).expect("kept");
            assert!(!late.timed_out(), "never so");
            String::from_utf8(state.written.clone()).expect("text")
        }
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let state = self.0.0.lock().expect("kept");
            let mut state = self.0.1.wait_while(state, |state| state.stands).expect("kept");
            state.writes += 1;
            let fits = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
            if fits == 0 {
                self.0.1.notify_all();
                return Err(ErrorKind::StorageFull.into());
            }
            state.room = state.room.map(|room| room - fits);
            state.written.extend_from_slice(&bytes[..fits]);
            self.0.1.notify_all();
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start(out: &Out, delay: Delay) -> (LogWriter, LogThread, IntCounter) {
        let lost = IntCounter::new("lost", "Lost.").expect("a counter");
        let (writer, thread) = LogWriter::start("log", out.clone(), lost.clone(), delay).expect("a thread");
        (writer, thread, lost)
    }

    #[test]
    fn lines_of_many_threads_are_all_written_each_in_one_piece_and_by_few_writes() {
        let (out, senders) = (Out::default(), 8);
        let (writer, thread, lost) = start(&out, Delay::Gather);
        std::thread::scope(|scope| {
            for sender in 0..senders {
                let writer = writer.clone();
                scope.spawn(move || (0..500).for_each(|at| writer.write(format!("{sender} {at}\n").into_bytes())));
            }
        });
        drop(thread);
        let text = out.wait(|_| true);
        for sender in 0..senders {
            let own: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&format!("{sender} "))).collect();
            assert_eq!(own, (0..500).map(|at| at.to_string()).collect::<Vec<_>>(), "in order");
        }
        let writes = out.0.0.lock().expect("kept").writes;
        assert!(writes < 200 && lost.get() == 0, "{writes} writes");
    }

    #[test]
    fn a_line_after_a_long_silence_is_written_at_once() {
        let out = Out::default();
        let (writer, _thread, _) = start(&out, Delay::Gather);
        let sleeps = || writer.shared.sleeps.load(Ordering::SeqCst);
        while !sleeps() {
            std::thread::yield_now();
        }
        for round in 1..=3 {
            writer.write(b"line\n".to_vec());
            out.wait(|state| state.written.len() == round * 5);
        }
    }

    #[test]
    fn without_a_delay_each_line_is_written_before_the_next_one_is_told() {
        let out = Out::default();
        let (writer, thread, lost) = start(&out, Delay::No);
        let since = Instant::now();
        for round in 1..=200 {
            writer.write(b"line\n".to_vec());
            out.wait(|state| state.written.len() == round * 5);
        }
        assert!(since.elapsed() < 200 * PAUSE / 2, "{:?}", since.elapsed());
        drop(thread);
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn a_reader_that_stands_still_stops_nobody_and_what_is_lost_is_counted() {
        let out = Out::default();
        out.set(|state| state.stands = true);
        let (writer, thread, lost) = start(&out, Delay::Gather);
        for at in 0..3 * LINES {
            writer.write(format!("{at}\n").into_bytes());
        }
        assert!(lost.get() >= LINES as u64, "{}", lost.get());
        let lines = lost.get();
        let long = vec![b'x'; BYTES];
        writer.write(long);
        assert_eq!(lost.get(), lines + 1, "nor do long ones wait without end");
        out.set(|state| state.stands = false);
        drop(thread);
        let written = out.wait(|_| true).lines().count() as u64;
        assert_eq!(written + lost.get(), 3 * LINES as u64 + 1, "every line was written or counted");
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_stands_still() {
        let out = Out::default();
        out.set(|state| state.stands = true);
        let (writer, thread, _) = start(&out, Delay::Gather);
        writer.write(b"line\n".to_vec());
        let (done, ended): (Sender<()>, _) = channel();
        std::thread::spawn(move || {
            drop(thread);
            let _ = done.send(());
        });
        ended.recv_timeout(Duration::from_secs(60)).expect("the end");
        out.set(|state| state.stands = false);
    }

    #[test]
    fn a_full_disk_loses_lines_that_are_counted_and_tears_no_later_one() {
        let out = Out::default();
        out.set(|state| state.room = Some(9));
        let (writer, thread, lost) = start(&out, Delay::Gather);
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            writer.write(line.into());
        }
        // "one\ntwo\nt" fits, whatever was written together.
        while lost.get() < 2 {
            std::thread::yield_now();
        }
        out.set(|state| state.room = None);
        writer.write(b"five\n".to_vec());
        drop(thread);
        assert_eq!((out.wait(|_| true).as_str(), lost.get()), ("one\ntwo\nt\nfive\n", 2));
    }
}
