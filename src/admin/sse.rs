//! Answers of server-sent events (HTML Living Standard, 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use tokio::time::timeout;

/// A comment is sent when nothing else was for so long: proxies close connections that seem idle.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A comment for who has just come: it sees at once that it is connected.
pub(super) const CONNECTED: &str = ": connected\n\n";

const PING: Bytes = Bytes::from_static(b": ping\n\n");

/// An answer of `pieces`, each of them whole messages, until they end.
pub(super) fn answer(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would keep events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(kept_alive(pieces).map(Ok::<_, Infallible>))).into_response()
}

fn kept_alive(pieces: impl Stream<Item = Bytes> + Send) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(Box::pin(pieces), |mut pieces| async move {
        let piece = timeout(KEEP_ALIVE, pieces.next()).await;
        Some((piece.unwrap_or(Some(PING))?, pieces))
    })
}

/// Writes one message without a number; JSON holds no line ends.
pub(super) fn message(text: &mut String, json: &str) {
    text.push_str("data: ");
    text.push_str(json);
    text.push_str("\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_says_nothing_is_kept_alive_and_loses_nothing() {
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let pieces = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        let mut kept = Box::pin(kept_alive(pieces));
        let since = tokio::time::Instant::now();
        assert_eq!(kept.next().await, Some(PING));
        assert_eq!(since.elapsed(), KEEP_ALIVE);
        sender.send(Bytes::from_static(b"data: 1\n\n")).await.expect("heard");
        assert_eq!(kept.next().await, Some(Bytes::from_static(b"data: 1\n\n")));
        drop(sender);
        assert_eq!(kept.next().await, None);
    }

    #[test]
    fn messages_end_with_an_empty_line() {
        let mut text = String::new();
        message(&mut text, "{}");
        message(&mut text, "[]");
        assert_eq!(text, "data: {}\n\ndata: []\n\n");
    }
}
