//! One turn: a request is sent, and its answer shown as it comes.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::Value;

use super::answer::Answer;
use super::conversation::Request;
use super::screen::Screen;
use crate::cli::data_port::{Address, Client, Lines, Refusal, SendError};
use crate::cli::outlet::harmless;
use crate::cli::output::{Exit, Failure};

/// Longest answer in one piece.
const WHOLE: usize = 256 * 1024 * 1024;

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub(super) enum Broken {
    /// It failed.
    Failed(Failure),
    /// Nobody reads what is shown.
    Unread,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Unread
    }
}

/// How long it took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// To the first piece of a stream.
    pub(super) first: Option<Duration>,
    /// To the end.
    pub(super) whole: Duration,
}

/// Asks one data port for answers.
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) address: Address,
}

impl Asker {
    /// Sends `request` and shows the answer, which is gathered in `answer` also if it breaks off.
    pub(super) async fn ask<W: Write>(
        &self,
        request: Request,
        answer: &mut Answer,
        screen: &mut Screen<W>,
    ) -> Result<Times, Broken> {
        let since = Instant::now();
        let path = self.address.path("chat/completions");
        let failed = |error: &SendError| Broken::Failed(error.failure(&self.address));
        let mut reply = self.client.post(&path, request.body).await.map_err(|error| failed(&error))?;
        if reply.status() != StatusCode::OK {
            let body = reply.rest(WHOLE).await.map_err(|error| failed(&error))?;
            return Err(Broken::Failed(told(&Refusal::of_answer(reply.status(), &body))));
        }
        let mut times = Times::default();
        if request.is_stream {
            let mut lines = Lines::default();
            while let Some(chunk) = reply.next().await.map_err(|error| failed(&error))? {
                let mut events = Vec::new();
                lines.feed(&chunk, |data| events.push(data.to_vec()));
                for event in events {
                    show(&event, answer, screen)?;
                    if answer.pieces > 0 {
                        times.first.get_or_insert_with(|| since.elapsed());
                    }
                }
            }
        } else {
            let body = reply.rest(WHOLE).await.map_err(|error| failed(&error))?;
            show(&body, answer, screen)?;
        }
        if answer.finish.is_none() {
            let text = "enginehouse: the answer broke off: it has no end (finish_reason).";
            return Err(Broken::Failed(Failure::new(Exit::Failed, text)));
        }
        screen.finish(answer)?;
        times.whole = since.elapsed();
        Ok(times)
    }

    /// Sends `request`; the body of the answer.
    pub(super) async fn raw(&self, request: Request) -> Result<Vec<u8>, Failure> {
        let path = self.address.path("chat/completions");
        let failed = |error: SendError| error.failure(&self.address);
        let mut reply = self.client.post(&path, request.body).await.map_err(failed)?;
        let body = reply.rest(WHOLE).await.map_err(failed)?;
        match reply.status() {
            StatusCode::OK => Ok(body),
            status => Err(told(&Refusal::of_answer(status, &body))),
        }
    }
}

fn show<W: Write>(event: &[u8], answer: &mut Answer, screen: &mut Screen<W>) -> Result<(), Broken> {
    if let Some(refusal) = Refusal::of_event(event) {
        return Err(Broken::Failed(told(&refusal)));
    }
    let event: Value = serde_json::from_slice(event).map_err(|error| {
        Broken::Failed(Failure::new(Exit::Failed, format!("enginehouse: the answer is no JSON: {error}")))
    })?;
    for piece in answer.add(&event) {
        screen.show(&piece)?;
    }
    Ok(())
}

fn told(refusal: &Refusal) -> Failure {
    let exit = if refusal.status == Some(404) { Exit::Unknown } else { Exit::Failed };
    let hint = match refusal.status {
        Some(401) => "\nPut the key of a caller into ENGINEHOUSE_API_KEY, or use --key-file FILE.",
        _ => "",
    };
    Failure::new(exit, format!("enginehouse: {} ({}){hint}", harmless(&refusal.message), harmless(&refusal.kind())))
}
