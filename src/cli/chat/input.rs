//! Lines from standard input, read by a thread of their own: a read cannot be given up.

use std::io::{self, BufRead};

use tokio::sync::mpsc::{Receiver, channel};

/// Lines as they are typed; the channel ends with the input.
pub(super) fn lines() -> io::Result<Receiver<String>> {
    let (send, lines) = channel(1);
    let read = move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if send.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("input".into()).spawn(read)?;
    Ok(lines)
}
