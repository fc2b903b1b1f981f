//! The thread that reads keys.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{Event, KeyEventKind, poll, read};

use super::input::Input;

/// How long it waits for a key before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// The longest that is waited for it to stop.
const STOPS: Duration = Duration::from_secs(1);

const READING: u8 = 0;
const TO_STOP: u8 = 1;
const STOPPED: u8 = 2;

/// Reads keys until the process ends.
#[derive(Debug)]
pub(super) struct Keyboard(Arc<AtomicU8>);

impl Keyboard {
    /// Begins to read.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn read(sender: Sender<Input>) -> io::Result<Self> {
        let state = Arc::new(AtomicU8::new(READING));
        let shared = state.clone();
        thread::Builder::new().name("keys".to_owned()).spawn(move || {
            while reads(&shared, &sender) {}
            let _ = sender.send(Input::End);
        })?;
        Ok(Self(state))
    }

    /// Leaves the keys to somebody else.
    pub(super) fn pause(&self) {
        self.0.store(TO_STOP, Ordering::SeqCst);
        let since = Instant::now();
        while self.0.load(Ordering::SeqCst) != STOPPED && since.elapsed() < STOPS {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Reads again.
    pub(super) fn resume(&self) {
        self.0.store(READING, Ordering::SeqCst);
    }
}

/// Looks once; `false`: there will be no keys any more.
fn reads(state: &AtomicU8, sender: &Sender<Input>) -> bool {
    if state.load(Ordering::SeqCst) != READING {
        let _ = state.compare_exchange(TO_STOP, STOPPED, Ordering::SeqCst, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        return true;
    }
    match poll(LOOK) {
        Ok(false) => return true,
        Ok(true) => {}
        Err(_) => return false,
    }
    let input = match read() {
        // Some terminals tell when a key is let go.
        Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Input::Key(key),
        Ok(Event::Paste(text)) => Input::Paste(text),
        Ok(Event::Resize(..)) => Input::Resize,
        Ok(_) => return true,
        Err(_) => return false,
    };
    sender.send(input).is_ok()
}
