//! One request: sent, and its answer followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use memchr::memmem;

use super::args::Api;
use super::measure::{Answered, Ending, Fault, Meter, Outcome};
use super::prompts::Prompt;
use crate::cli::data_port::{Answer, Client, Lines, Refusal, SendError};
use crate::openai::{self, ResponseScanner};

/// Longest body of an error that is read.
const ERROR: usize = 64 * 1024;

/// Longest answer in one piece that is kept.
const WHOLE: usize = 64 * 1024 * 1024;

/// What all requests have in common.
pub(super) struct Asker {
    pub(super) client: Arc<Client>,
    pub(super) api: Api,
    pub(super) path: String,
    pub(super) timeout: Duration,
    /// When the run began.
    pub(super) start: Instant,
    /// Pieces of answers that have come, for the progress line.
    pub(super) pieces: AtomicU64,
}

impl Asker {
    /// Sends a request that was due at `due`.
    pub(super) async fn ask(&self, prompt: Prompt, due: Instant) -> Outcome {
        match tokio::time::timeout(self.timeout, self.exchange(prompt, due)).await {
            Ok(outcome) => outcome,
            Err(_) => failed("time-out", &format!("no whole answer within {:?} (--timeout)", self.timeout)),
        }
    }

    async fn exchange(&self, prompt: Prompt, due: Instant) -> Outcome {
        let late = micros(due.elapsed());
        let mut answer = match self.client.post(&self.path, prompt.body).await {
            Ok(answer) => answer,
            Err(error) => return unanswered(&error),
        };
        if answer.status() != StatusCode::OK {
            return match answer.rest(ERROR).await {
                Ok(body) => refused(Refusal::of_answer(answer.status(), &body)),
                Err(error) => unanswered(&error),
            };
        }
        let followed = match prompt.is_stream {
            true => self.stream(&mut answer, due).await,
            false => whole(&mut answer).await,
        };
        match followed {
            Ok((meter, tokens)) => Outcome::Answered(Box::new(Answered {
                due: due.saturating_duration_since(self.start).as_micros().try_into().unwrap_or(u64::MAX / 2),
                late,
                latency: micros(due.elapsed()),
                meter,
                tokens,
            })),
            Err(outcome) => outcome,
        }
    }

    /// Follows a stream to its end.
    async fn stream(&self, answer: &mut Answer<'_>, due: Instant) -> Result<Followed, Outcome> {
        let (mut scanner, mut lines, mut meter) = (ResponseScanner::events(), Lines::default(), Meter::default());
        let mut error = None;
        while let Some(chunk) = answer.next().await.map_err(|error| unanswered(&error))? {
            let at = micros(due.elapsed());
            let before = meter.chunks();
            lines.feed(&chunk, |data| match Refusal::of_event(data) {
                Some(told) => drop(error.get_or_insert(told)),
                None if is_output(data, self.api) => meter.output(at),
                None => {}
            });
            self.pieces.fetch_add(u64::from(meter.chunks() - before), Ordering::Relaxed);
            let _ = scanner.feed(chunk);
        }
        if let Some(error) = error {
            return Err(refused(error));
        }
        if !scanner.done() {
            return Err(failed("no end of the stream", "the stream ended without `data: [DONE]`"));
        }
        Ok((meter, scanner.usage().map(|usage| (usage.completion, usage.prompt))))
    }
}

/// What was measured of an answer, and its tokens: of the answer, and of the prompt.
type Followed = (Meter, Option<(u64, u64)>);

async fn whole(answer: &mut Answer<'_>) -> Result<Followed, Outcome> {
    let body = answer.rest(WHOLE).await.map_err(|error| unanswered(&error))?;
    if !body.starts_with(b"{") {
        return Err(failed("no JSON", "the answer is not a JSON object"));
    }
    let mut scanner = ResponseScanner::json();
    let _ = scanner.feed(body.into());
    Ok((Meter::default(), scanner.usage().map(|usage| (usage.completion, usage.prompt))))
}

/// Whether an event carries a piece of the answer.
fn is_output(data: &[u8], api: Api) -> bool {
    const TEXT: &[u8] = b"\"text\":\"";
    if api == Api::Completions
        && let Some(at) = memmem::find(data, TEXT)
        && let Some(first) = data.get(at + TEXT.len())
    {
        return *first != b'"';
    }
    openai::is_output(data)
}

fn refused(refusal: Refusal) -> Outcome {
    let ends = match refusal.status {
        Some(404) => Some(Ending::Unknown),
        Some(401 | 403) => Some(Ending::Unauthorized),
        _ => None,
    };
    let is_shed = refusal.is_shed();
    let fault = Fault { kind: refusal.kind(), message: refusal.message, ends };
    if is_shed { Outcome::Shed(fault) } else { Outcome::Failed(fault) }
}

fn unanswered(error: &SendError) -> Outcome {
    let (kind, ends) = match error {
        SendError::Unreachable(_) => ("no connection", Some(Ending::Unreachable)),
        SendError::Broken(_) => ("connection broke", None),
    };
    Outcome::Failed(Fault { kind: kind.into(), message: error.to_string(), ends })
}

fn failed(kind: &str, message: &str) -> Outcome {
    Outcome::Failed(Fault { kind: kind.into(), message: message.into(), ends: None })
}

/// Microseconds, as far as they can be told: a request takes at most 71 minutes.
fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pieces_of_answers_are_output() {
        for (data, api, is) in [
            (r#"{"choices":[{"index":0,"text":"a"}]}"#, Api::Completions, true),
            (r#"{"choices":[{"index":0,"text":""}]}"#, Api::Completions, false),
            (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, Api::Completions, false),
            (r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#, Api::Chat, true),
            (r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#, Api::Chat, false),
            (r#"{"choices":[{"index":0,"delta":{"reasoning":"a"}}]}"#, Api::Chat, true),
            (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, Api::Chat, false),
        ] {
            assert_eq!(is_output(data.as_bytes(), api), is, "{data}");
        }
    }

    #[test]
    fn what_ends_a_run() {
        let refusal = |status| Refusal { status, code: None, message: String::new() };
        let ends = |outcome| match outcome {
            Outcome::Failed(fault) => (false, fault.ends),
            Outcome::Shed(fault) => (true, fault.ends),
            other => panic!("{other:?}"),
        };
        assert_eq!(ends(refused(refusal(Some(404)))), (false, Some(Ending::Unknown)));
        assert_eq!(ends(refused(refusal(Some(401)))), (false, Some(Ending::Unauthorized)));
        assert_eq!(ends(refused(refusal(Some(429)))), (true, None));
        assert_eq!(ends(refused(refusal(Some(503)))), (true, None));
        assert_eq!(ends(refused(refusal(None))), (false, None));
        assert_eq!(ends(unanswered(&SendError::Unreachable("x".into()))), (false, Some(Ending::Unreachable)));
    }
}
