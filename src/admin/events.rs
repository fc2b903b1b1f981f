//! `GET /api/v1/events`: what happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};

use crate::telemetry::{EventBus, EventStream};

/// A comment is sent when nothing happened for so long: proxies close connections that seem idle.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// All events from now on.
pub(super) fn answer(events: &EventBus) -> Response {
    Sse::new(messages(events.listen())).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn messages(events: EventStream) -> impl Stream<Item = Result<Message, Infallible>> {
    stream::unfold(events, |mut events| async move {
        let message = Message::default().json_data(&*events.next().await?);
        // Events hold nothing that JSON cannot.
        Some((Ok(message.unwrap_or_default()), events))
    })
}
