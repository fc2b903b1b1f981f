//! Streams of the operators' API as iterators: server-sent events (HTML Living Standard, 9.2), one JSON value in each.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::impatient::Impatient;

/// The longest line that is read: a snapshot of all engines and aliases is one line.
const MOST_LINE: u64 = 256 << 20;

/// After so long without a word a gateway counts as one that hangs: it sends a comment every 15 seconds where nothing happens.
const SILENCE: Duration = Duration::from_secs(20);

/// What a gateway tells, one after the other, until it ends or the connection breaks. Reading blocks.
pub struct Told<T> {
    lines: Box<dyn BufRead + Send>,
    address: String,
    is_over: bool,
    ended: Option<Box<dyn Fn() -> bool + Send>>,
    kind: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Told<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Told").field("address", &self.address).finish_non_exhaustive()
    }
}

/// One message of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<T> {
    /// Its number, with which the stream can be resumed behind it.
    pub number: Option<u64>,
    /// What it says.
    pub value: T,
}

impl<T: DeserializeOwned> Told<T> {
    pub(super) fn new(reader: BufReader<impl Read + Send + 'static>, address: String) -> Self {
        Self { lines: Box::new(reader), address, is_over: false, ended: None, kind: PhantomData }
    }

    /// Ends as soon as `ended` says so. It is asked with each line that comes; the gateway sends one every 15 seconds at the latest.
    #[must_use]
    pub fn until(self, ended: impl Fn() -> bool + Send + 'static) -> Self {
        Self { ended: Some(Box::new(ended)), ..self }
    }

    /// Ends with [`ClientError::Silent`] when the gateway says nothing for 20 seconds, instead of waiting for ever.
    #[must_use]
    pub fn impatient(self) -> Self {
        Self { lines: Box::new(BufReader::new(Impatient::new(self.lines, SILENCE))), ..self }
    }

    /// Why there is no further message.
    fn broken(&self, error: &std::io::Error) -> ClientError {
        let address = self.address.clone();
        match error.kind() {
            ErrorKind::TimedOut => ClientError::Silent { address, seconds: SILENCE.as_secs() },
            _ => ClientError::Unreachable { address, why: error.to_string() },
        }
    }

    /// The next message; `None`: the gateway ended the stream.
    fn message(&mut self) -> Result<Option<Message<T>>, ClientError> {
        let address = self.address.clone();
        let other = |why: String| ClientError::Unreachable { address: address.clone(), why };
        let (mut number, mut data) = (None, String::new());
        loop {
            let mut line = Vec::new();
            let read = (&mut self.lines).take(MOST_LINE).read_until(b'\n', &mut line);
            let is_over = read.map_err(|error| self.broken(&error))? == 0;
            if is_over || self.ended.as_ref().is_some_and(|ended| ended()) {
                return Ok(None);
            }
            let line = String::from_utf8(line).map_err(|error| other(error.to_string()))?;
            match line.trim_end_matches(['\r', '\n']) {
                "" if data.is_empty() => {}
                "" => {
                    let value = serde_json::from_str(&data).map_err(|error| other(error.to_string()))?;
                    return Ok(Some(Message { number, value }));
                }
                line => match line.split_once(':').map(|(name, rest)| (name, rest.strip_prefix(' ').unwrap_or(rest))) {
                    Some(("data", text)) => data.push_str(text),
                    Some(("id", text)) => number = text.parse().ok(),
                    // Comments keep the connection alive.
                    _ => {}
                },
            }
        }
    }
}

impl<T: DeserializeOwned> Iterator for Told<T> {
    type Item = Result<Message<T>, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.message() {
            Ok(Some(message)) => Some(Ok(message)),
            Ok(None) => {
                self.is_over = true;
                None
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &'static str) -> Vec<Result<Message<u32>, ClientError>> {
        Told::new(BufReader::new(text.as_bytes()), "here".into()).collect()
    }

    #[test]
    fn messages_have_their_numbers_and_comments_are_left_out() {
        let all = told(": connected\n\nid: 7\ndata: 1\n\n: ping\n\ndata: 2\r\n\r\ndata: 3");
        let all: Vec<_> = all.into_iter().map(|message| message.expect("understood")).collect();
        assert_eq!(all, [Message { number: Some(7), value: 1 }, Message { number: None, value: 2 }]);
    }

    #[test]
    fn who_wants_no_more_is_asked_with_each_line() {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let told: Told<u32> = Told::new(BufReader::new("data: 1\n\n: ping\n\ndata: 2\n\n".as_bytes()), "here".into());
        let ended = move || asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 2;
        let all: Vec<u32> = told.until(ended).map(|message| message.expect("understood").value).collect();
        assert_eq!(all, [1], "the comment ended it");
    }

    #[test]
    fn what_is_not_understood_ends_it() {
        let all = told("data: 1\n\ndata: x\n\ndata: 2\n\n");
        assert_eq!(all.len(), 2);
        assert!(matches!(&all[1], Err(ClientError::Unreachable { .. })));
    }
}
