//! A reader that gives up on another one that says nothing for too long.

use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Pieces that are read ahead.
const AHEAD: usize = 16;

type Piece = io::Result<Vec<u8>>;

/// Reads what a thread reads, which may be blocked for ever. The thread ends with the other reader, or when a piece comes that
/// nobody wants any more.
pub(super) struct Impatient {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
    /// How much of the piece was read.
    read: usize,
    limit: Duration,
}

impl Impatient {
    /// What `reader` says; an error of the kind [`ErrorKind::TimedOut`] when it says nothing for `limit`.
    pub(super) fn new(reader: impl BufRead + Send + 'static, limit: Duration) -> Self {
        let (sender, pieces) = sync_channel(AHEAD);
        let failed = sender.clone();
        if let Err(error) = thread::Builder::new().spawn(move || read_all(reader, &sender)) {
            // There is room for it.
            let _ = failed.try_send(Err(error));
        }
        Self { pieces, piece: Vec::new(), read: 0, limit }
    }
}

fn read_all(mut reader: impl BufRead, sender: &SyncSender<Piece>) {
    loop {
        let piece = match reader.fill_buf() {
            Ok([]) => return,
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let length = piece.as_ref().map(Vec::len);
        if let Ok(length) = length {
            reader.consume(length);
        }
        let is_over = length.is_err();
        if sender.send(piece).is_err() || is_over {
            return;
        }
    }
}

impl Read for Impatient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() {
            match self.pieces.recv_timeout(self.limit) {
                Ok(piece) => (self.piece, self.read) = (piece?, 0),
                Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::TimedOut.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let count = (&self.piece[self.read..]).read(into)?;
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Says what it has, and then nothing for ever.
    struct Hanging(&'static [u8], Receiver<()>);

    impl Read for Hanging {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                let _ = self.1.recv();
            }
            self.0.read(into)
        }
    }

    #[test]
    fn all_is_read_in_its_order_and_the_end_is_the_end() {
        let text: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
        let mut read = Vec::new();
        let reader = BufReader::new(io::Cursor::new(text.clone()));
        Impatient::new(reader, Duration::from_secs(60)).read_to_end(&mut read).expect("read");
        assert_eq!(read, text);
    }

    #[test]
    fn one_that_says_nothing_is_given_up() {
        let (_open, never) = std::sync::mpsc::channel();
        let mut reader = Impatient::new(BufReader::new(Hanging(b"a", never)), Duration::from_millis(20));
        let mut byte = [0];
        assert_eq!(reader.read(&mut byte).expect("the first byte"), 1);
        assert_eq!(reader.read(&mut byte).expect_err("nothing comes").kind(), ErrorKind::TimedOut);
    }
}
