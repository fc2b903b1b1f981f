//! Event streams: a framing turns tokens into events, each event is one chunk on the wire.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};

use crate::sim::conn::Busy;
use crate::sim::engine::InFlight;
use crate::sim::engine::{Run, Step};
use crate::sim::faults::Fault;
use crate::sim::metrics::Finish;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::reply;

/// How an API dresses tokens up as events.
pub(crate) trait Framing: Send + 'static {
    /// Events that come with the head, before there is a token.
    fn begin(&mut self, _: &mut Events) {}
    /// Events that come with the first token.
    fn open(&mut self, out: &mut Events);
    /// Step number `at` (from 0) of every choice that goes on so long. `abort`: it is the last one. Returns how many
    /// tokens that was.
    fn step(&mut self, at: usize, abort: bool, out: &mut Events) -> usize;
    /// Events after the last token.
    fn close(&mut self, out: &mut Events);
    /// What tells that the engine gave the request up.
    fn fail(&mut self, fail: &Fail, out: &mut Events) -> End {
        out.data(&fail.body());
        out.done();
        End::Whole
    }
    /// Why it ended by itself.
    fn finish(&self) -> Finish;
}

/// How the connection of a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As HTTP wants it.
    Whole,
    /// Without the end of the body.
    Torn,
}

/// Events that wait to be sent.
#[derive(Default)]
pub(crate) struct Events {
    buffer: BytesMut,
    ready: VecDeque<Bytes>,
}

impl Events {
    /// One event, written by `write` without the blank line at its end.
    pub(crate) fn event(&mut self, write: impl FnOnce(&mut BytesMut)) {
        if self.buffer.capacity() < 1024 {
            self.buffer.reserve(16 * 1024);
        }
        write(&mut self.buffer);
        self.buffer.put_slice(b"\n\n");
        self.ready.push_back(self.buffer.split().freeze());
    }

    /// A `data:` line of JSON.
    pub(crate) fn data(&mut self, value: &serde_json::Value) {
        self.event(|out| {
            out.put_slice(b"data: ");
            json(out, value);
        });
    }

    /// An `event:` line and a `data:` line of JSON.
    pub(crate) fn named(&mut self, name: &str, value: &serde_json::Value) {
        self.event(|out| {
            for part in ["event: ", name, "\ndata: "] {
                out.put_slice(part.as_bytes());
            }
            json(out, value);
        });
    }

    /// OpenAI's end of a stream.
    pub(crate) fn done(&mut self) {
        self.event(|out| out.put_slice(b"data: [DONE]"));
    }
}

fn json(out: &mut BytesMut, value: &serde_json::Value) {
    // Writing a value to memory cannot fail.
    let _ = serde_json::to_writer(out.writer(), value);
}

/// `text` as a JSON string.
pub(crate) fn push_str(out: &mut BytesMut, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.put_u8(b'"');
        out.put_slice(text.as_bytes());
        out.put_u8(b'"');
    } else {
        let _ = serde_json::to_writer(out.writer(), text);
    }
}

/// What an inference request holds until its answer ended.
pub(crate) struct Hold {
    pub(crate) in_flight: InFlight,
    pub(crate) _busy: Busy,
}

struct Driver {
    run: Box<Run>,
    framing: Box<dyn Framing>,
    events: Events,
    sent: usize,
    over: Option<End>,
    fault: Option<Fault>,
    keep_alive: Option<Duration>,
    hold: Hold,
}

/// The reply that streams a generation.
pub(crate) fn reply(
    run: Box<Run>,
    framing: Box<dyn Framing>,
    fault: Option<Fault>,
    keep_alive: Option<Duration>,
    hold: Hold,
) -> Response {
    let mut driver = Driver { run, framing, events: Events::default(), sent: 0, over: None, fault, keep_alive, hold };
    driver.framing.begin(&mut driver.events);
    let body = futures::stream::unfold(driver, |mut driver| async move {
        let next = driver.next().await?;
        Some((next, driver))
    });
    reply::bytes(StatusCode::OK, Some(reply::EVENT_STREAM), Body::from_stream(body))
}

impl Driver {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(cut) = self.strike().await {
                return Some(Err(cut));
            }
            if let Some(event) = self.events.ready.pop_front() {
                return Some(Ok(self.sends(event)));
            }
            match self.over {
                None => {}
                Some(End::Whole) => return None,
                Some(End::Torn) => {
                    self.over = Some(End::Whole);
                    return Some(Err(cuts().await));
                }
            }
            let step = match self.keep_alive {
                None => self.run.step(1).await,
                Some(interval) => tokio::select! {
                    step = self.run.step(1) => step,
                    () = tokio::time::sleep(interval) => return Some(Ok(Bytes::from_static(b": keep-alive\n\n"))),
                },
            };
            self.frame(step);
        }
    }

    /// What is sent of this event: all of it, unless a fault tears it.
    fn sends(&mut self, event: Bytes) -> Bytes {
        self.sent += 1;
        if self.fault == Some(Fault::TearAfter(self.sent - 1)) {
            self.events.ready.clear();
            self.over = Some(End::Torn);
            return first_half(&event);
        }
        if self.over.is_some() && self.events.ready.is_empty() {
            self.hold.in_flight.complete();
        }
        event
    }

    fn frame(&mut self, step: Step) {
        let at = self.run.made();
        let finish = match step {
            Step::Made(_) => {
                if at == 1 {
                    self.framing.open(&mut self.events);
                }
                let tokens = self.framing.step(at - 1, false, &mut self.events);
                self.run.count(tokens);
                if !self.run.is_made() {
                    return;
                }
                self.framing.finish()
            }
            Step::Aborted => {
                // Given up while it waited, it ends without a finish_reason, as vLLM's does.
                if at > 0 {
                    let tokens = self.framing.step(at, true, &mut self.events);
                    self.run.count(tokens);
                }
                Finish::Abort
            }
            Step::Failed(fail) => {
                self.over = Some(self.framing.fail(&fail, &mut self.events));
                return;
            }
        };
        self.framing.close(&mut self.events);
        self.run.finish(finish);
        self.over = Some(End::Whole);
    }

    /// What the request's fault does now.
    async fn strike(&mut self) -> Option<io::Error> {
        let (Fault::HangAfter(after) | Fault::DieAfter(after) | Fault::ExitAfter(after)) = self.fault.as_ref()? else {
            return None;
        };
        if self.sent < *after {
            return None;
        }
        let cut = cuts().await;
        match self.fault.take()? {
            Fault::DieAfter(_) => {
                self.over = Some(End::Whole);
                self.events.ready.clear();
                Some(cut)
            }
            Fault::ExitAfter(_) => std::process::exit(1),
            _ => std::future::pending().await,
        }
    }
}

fn cut() -> io::Error {
    io::Error::other("the simulated engine cuts this answer, as it was told to")
}

/// The cut of a connection; what was sent so far leaves first.
async fn cuts() -> io::Error {
    tokio::task::yield_now().await;
    cut()
}

/// An event up to the middle of its data.
fn first_half(event: &Bytes) -> Bytes {
    let data = memchr::memmem::find(event, b"data: ").map_or(0, |at| at + 6);
    event.slice(..data + (event.len() - data) / 2)
}

/// A plain reply, or what its fault leaves of it: half of the body, then silence or the end.
pub(crate) fn plain(kind: &'static str, body: impl Into<Bytes>, fault: Option<&Fault>, mut hold: Hold) -> Response {
    let body = body.into();
    let dies = match fault {
        Some(Fault::HangAfter(_)) => false,
        Some(Fault::DieAfter(_) | Fault::TearAfter(_)) => true,
        Some(Fault::ExitAfter(_)) => std::process::exit(1),
        _ => {
            hold.in_flight.complete();
            return reply::bytes(StatusCode::OK, Some(kind), body);
        }
    };
    let half = body.slice(..body.len() / 2);
    let stream = futures::stream::unfold((0, hold), move |(at, hold)| {
        let half = half.clone();
        async move {
            match at {
                0 => Some((Ok(half), (1, hold))),
                1 if dies => {
                    tokio::task::yield_now().await;
                    Some((Err(cut()), (2, hold)))
                }
                1 => std::future::pending().await,
                _ => None,
            }
        }
    });
    let mut response = reply::bytes(StatusCode::OK, Some(kind), Body::from_stream(stream));
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    response
}

/// A 200 whose body is no JSON, or a stream of events that are none.
pub(crate) fn malformed(stream: bool, mut hold: Hold) -> Response {
    hold.in_flight.complete();
    if stream {
        let body = "data: {\"id\":\"chatcmpl-\n\ndata: no JSON at all\n\nnonsense without a colon\n\n";
        return reply::bytes(StatusCode::OK, Some(reply::EVENT_STREAM), body);
    }
    reply::bytes(StatusCode::OK, Some("application/json"), "{\"id\":\"chatcmpl-\",\"choices\":[")
}
