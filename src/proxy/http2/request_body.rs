//! The body of a request over HTTP/2, as it comes.

use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use pingora::{Error, ErrorType, OrErr, Result};
use tokio::time::timeout;

/// The body of a request.
pub(super) struct RequestBody {
    stream: RecvStream,
    /// Nothing of it comes any more.
    is_done: bool,
    /// Its bytes so far.
    pub(super) received: usize,
    /// How long its rest may take that nobody wants.
    pub(super) drain_within: Option<Duration>,
}

impl RequestBody {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, is_done: false, received: 0, drain_within: None }
    }

    /// The next piece; `None`: there is no more. May be dropped at any point, and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        let read = self.stream.data().await.transpose();
        let piece =
            read.or_err(ErrorType::ReadError, "reading a request over HTTP/2").map_err(|error| error.into_down())?;
        let Some(piece) = piece else {
            self.is_done = true;
            return Ok(None);
        };
        self.received += piece.len();
        // The client may send as much again. It fails only for more than was received.
        let _ = self.stream.flow_control().release_capacity(piece.len());
        Ok(Some(piece))
    }

    /// Takes in the rest for nobody.
    pub(super) async fn drain(&mut self) -> Result<()> {
        let drain_within = self.drain_within;
        let rest = async {
            while !self.is_done() && self.next().await?.is_some() {}
            Ok(())
        };
        let Some(patience) = drain_within else { return rest.await };
        let late =
            |_| Error::explain(ErrorType::ReadTimedout, "the rest of a request did not come in time").into_down();
        timeout(patience, rest).await.map_err(late)?
    }

    /// Whether all of it has come and was read.
    pub(super) fn is_done(&self) -> bool {
        self.is_done || self.stream.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use h2::Reason;
    use http::HeaderMap;

    use super::super::testing::{Exchange, exchange};
    use super::*;

    #[tokio::test]
    async fn a_body_larger_than_any_window_is_read_and_done_behind_its_trailers() {
        let Exchange { body, mut request, answer: _answer, .. } = exchange(1 << 20).await;
        request.send_data(Bytes::from(vec![b'x'; 300_000]), false).expect("queued");
        request.send_trailers(HeaderMap::new()).expect("queued");
        let mut body = RequestBody::new(body);
        assert!(!body.is_done());
        let mut size = 0;
        while let Some(piece) = body.next().await.expect("a piece") {
            size += piece.len();
        }
        assert_eq!((size, body.received, body.is_done()), (300_000, 300_000, true));
        body.drain().await.expect("nothing is left");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_body_has_its_time() {
        let Exchange { body, mut request, answer: _answer, .. } = exchange(1 << 20).await;
        let mut body = RequestBody::new(body);
        body.drain_within = Some(Duration::from_secs(10));
        request.send_data(Bytes::from_static(b"x"), false).expect("queued");
        assert_eq!(body.drain().await.expect_err("in vain").etype(), &ErrorType::ReadTimedout);
        request.send_data(Bytes::new(), true).expect("queued");
        body.drain().await.expect("its end");
        assert!(body.is_done());
    }

    #[tokio::test]
    async fn a_client_that_leaves_breaks_its_body() {
        let Exchange { body, mut request, answer: _answer, .. } = exchange(1 << 20).await;
        let mut body = RequestBody::new(body);
        request.send_reset(Reason::CANCEL);
        assert_eq!(body.next().await.expect_err("broken").etype(), &ErrorType::ReadError);
    }
}
