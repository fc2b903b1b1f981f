//! What has come of an answer, and how much of it the caller has.

use std::mem;

use http::header;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use tokio::time::Instant;

/// Bytes of a plain answer that are held back at most. A larger one is passed on from there, and a failure then shows.
const HOLD: usize = 256 * 1024;

/// What has come of an answer.
pub(super) enum Answer {
    /// Nothing of it is on the wire, or of a stream only the head.
    Held(Held),
    /// Under way to the caller.
    Passed {
        /// Comments may be put between its events.
        takes_comments: bool,
        /// Its last bytes end an event.
        at_boundary: bool,
        /// When something was written.
        written: Instant,
    },
}

/// An answer that is held back.
#[derive(Default)]
pub(super) struct Held {
    /// The attempt that it is of.
    attempt: u32,
    tasks: Vec<HttpTask>,
    bytes: usize,
    /// It is a stream of events; the others are plain.
    is_stream: bool,
    /// Comments may be put between its events.
    takes_comments: bool,
    /// When an engine first promised a stream.
    promised: Option<Instant>,
    /// When the caller got the head of a stream, or a comment.
    opened: Option<Instant>,
}

/// What the caller is told while nothing comes.
pub(super) enum Word {
    /// The head of the stream, and a comment.
    Head(Box<ResponseHeader>),
    /// A comment.
    Comment,
}

/// How long to wait before a caller is told something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// Since an engine promised a stream.
    pub(super) head: Option<std::time::Duration>,
    /// Since something was written of a stream.
    pub(super) comment: Option<std::time::Duration>,
}

impl Default for Answer {
    fn default() -> Self {
        Self::Held(Held::default())
    }
}

impl Answer {
    /// Takes in one more task of attempt number `attempt`; whether there is now something worth passing on.
    pub(super) fn hold(&mut self, task: HttpTask, attempt: u32) -> bool {
        match self {
            Self::Held(held) => held.hold(task, attempt),
            Self::Passed { .. } => true,
        }
    }

    /// What is held back, to be passed on.
    pub(super) fn pass(&mut self) -> Vec<HttpTask> {
        let Self::Held(held) = self else { return Vec::new() };
        let Held { mut tasks, bytes, takes_comments, opened, .. } = mem::take(held);
        let at_boundary = ends_event(tasks.last(), true);
        *self = Self::Passed { takes_comments, at_boundary, written: Instant::now() };
        if opened.is_none() {
            measure(&mut tasks, bytes);
        }
        tasks
    }

    /// Notes that `tasks` are passed on.
    pub(super) fn note(&mut self, tasks: &[HttpTask]) {
        if let Self::Passed { takes_comments: true, at_boundary, written } = self {
            *at_boundary = tasks.iter().fold(*at_boundary, |before, task| ends_event(Some(task), before));
            *written = Instant::now();
        }
    }

    /// Whether nothing of an answer has come of attempt number `attempt`: no head of a plain one, no event of a stream.
    pub(super) fn is_awaited(&self, attempt: u32) -> bool {
        match self {
            Self::Held(held) => held.attempt != attempt || held.is_stream || held.tasks.is_empty(),
            Self::Passed { .. } => false,
        }
    }

    /// Whether the time for it runs: until the end of a plain answer, and the first event of a stream.
    pub(super) fn is_timed(&self) -> bool {
        match self {
            Self::Held(_) => true,
            Self::Passed { takes_comments, .. } => !takes_comments,
        }
    }

    /// Whether the caller has the head of a stream, and nothing of its events.
    pub(super) fn is_opened(&self) -> bool {
        matches!(self, Self::Held(Held { opened: Some(_), .. }))
    }

    /// When the caller is to be told something; `None`: not as things are.
    pub(super) fn due(&self, silence: Silence, attempt: u32) -> Option<Instant> {
        match self {
            Self::Held(Held { opened: Some(at), .. })
            | Self::Passed { takes_comments: true, at_boundary: true, written: at } => {
                silence.comment.map(|pause| *at + pause)
            }
            Self::Held(held) if held.attempt == attempt && held.takes_comments && !held.tasks.is_empty() => {
                Some(held.promised? + silence.head?)
            }
            Self::Held(_) | Self::Passed { .. } => None,
        }
    }

    /// What the caller is told when that is due.
    pub(super) fn speak(&mut self) -> Word {
        match self {
            Self::Passed { written, .. } => *written = Instant::now(),
            Self::Held(held) => {
                held.opened = Some(Instant::now());
                for task in held.tasks.drain(..) {
                    if let HttpTask::Header(head, _) = task {
                        return Word::Head(head);
                    }
                }
            }
        }
        Word::Comment
    }
}

impl Held {
    fn hold(&mut self, task: HttpTask, attempt: u32) -> bool {
        if attempt != self.attempt {
            // Of an attempt that failed nothing is kept.
            (self.attempt, self.bytes) = (attempt, 0);
            self.tasks.clear();
        }
        let pass = match &task {
            HttpTask::Header(head, end) => {
                self.tasks.clear();
                self.bytes = 0;
                if self.opened.is_some() {
                    // The caller has one.
                    if *end {
                        self.tasks.push(HttpTask::Done);
                    }
                    return *end;
                }
                self.is_stream = is_event_stream(head);
                self.takes_comments = self.is_stream && !head.headers.contains_key(header::CONTENT_ENCODING);
                if self.is_stream {
                    self.promised.get_or_insert_with(Instant::now);
                }
                *end
            }
            HttpTask::Body(piece, end) => {
                self.bytes += piece.as_ref().map_or(0, bytes::Bytes::len);
                *end || self.bytes > if self.is_stream { 0 } else { HOLD }
            }
            HttpTask::Trailer(_) | HttpTask::Done | HttpTask::UpgradedBody(..) => true,
            HttpTask::Failed(_) => false,
        };
        self.tasks.push(task);
        pass
    }
}

/// Whether an event ends with `task`; `before`: whether one had ended before it.
fn ends_event(task: Option<&HttpTask>, before: bool) -> bool {
    match task {
        Some(HttpTask::Body(Some(piece), _)) if !piece.is_empty() => {
            piece.ends_with(b"\n\n") || piece.ends_with(b"\n\r\n")
        }
        _ => before,
    }
}

/// Says how long an answer is that is held back as a whole: one that was changed on its way, or whose engine did not say.
fn measure(tasks: &mut [HttpTask], bytes: usize) {
    let whole = matches!(tasks, [HttpTask::Header(..), .., HttpTask::Body(_, true)]);
    if let [HttpTask::Header(head, false), ..] = tasks
        && whole
        && !head.headers.contains_key(header::CONTENT_LENGTH)
        && head.insert_header(header::CONTENT_LENGTH, bytes).is_ok()
    {
        head.remove_header(&header::TRANSFER_ENCODING);
    }
}

fn is_event_stream(head: &ResponseHeader) -> bool {
    head.headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    const SILENCE: Silence = Silence { head: Some(Duration::from_secs(10)), comment: Some(Duration::from_secs(15)) };

    fn head(kind: &str) -> HttpTask {
        let mut head = ResponseHeader::build(200, None).expect("head");
        head.insert_header("content-type", kind.to_owned()).expect("header");
        HttpTask::Header(Box::new(head), false)
    }

    fn piece(size: usize, end: bool) -> HttpTask {
        HttpTask::Body(Some(Bytes::from(vec![b'x'; size])), end)
    }

    fn event() -> HttpTask {
        HttpTask::Body(Some(Bytes::from_static(b"data: x\n\n")), false)
    }

    #[test]
    fn a_stream_is_passed_on_with_its_first_bytes() {
        let mut answer = Answer::default();
        assert!(!answer.hold(head("text/event-stream; charset=utf-8"), 1));
        assert!(!answer.hold(HttpTask::Body(None, false), 1));
        assert!(answer.hold(piece(1, false), 1));
        assert_eq!(answer.pass().len(), 3);
    }

    #[test]
    fn a_plain_answer_is_passed_on_whole_unless_it_is_large() {
        let mut answer = Answer::default();
        assert!(!answer.hold(head("application/json"), 1));
        assert!(!answer.hold(piece(HOLD, false), 1));
        assert!(answer.hold(piece(1, false), 1));
        let mut answer = Answer::default();
        assert!(!answer.hold(head("application/json"), 1));
        assert!(answer.hold(piece(10, true), 1));
    }

    #[test]
    fn an_answer_that_is_there_as_a_whole_says_how_long_it_is() {
        let length = |answer: &mut Answer| match answer.pass().first() {
            Some(HttpTask::Header(head, _)) => {
                head.headers.get("content-length").map(|value| value.to_str().expect("text").to_owned())
            }
            _ => panic!("a head comes first"),
        };
        let mut answer = Answer::default();
        answer.hold(head("application/json"), 1);
        answer.hold(piece(10, false), 1);
        answer.hold(piece(5, true), 1);
        assert_eq!(length(&mut answer).as_deref(), Some("15"));
        let mut large = Answer::default();
        large.hold(head("application/json"), 1);
        large.hold(piece(HOLD + 1, false), 1);
        assert_eq!(length(&mut large), None);
        let mut stream = Answer::default();
        stream.hold(head("text/event-stream"), 1);
        stream.hold(piece(1, false), 1);
        assert_eq!(length(&mut stream), None);
    }

    #[test]
    fn a_further_attempt_takes_the_place_of_the_one_before() {
        let mut answer = Answer::default();
        answer.hold(head("application/json"), 1);
        answer.hold(piece(100, false), 1);
        assert!(!answer.is_awaited(1) && answer.is_awaited(2));
        answer.hold(head("text/event-stream"), 2);
        assert!(answer.is_awaited(2), "a stream without an event");
        assert!(answer.hold(piece(1, false), 2));
        assert_eq!(answer.pass().len(), 2);
        assert!(!answer.is_awaited(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_head_of_a_silent_stream_is_due_in_time_and_comments_after_it_until_events_come() {
        let mut answer = Answer::default();
        assert_eq!(answer.due(SILENCE, 1), None);
        let start = Instant::now();
        answer.hold(head("text/event-stream"), 1);
        assert_eq!(answer.due(SILENCE, 1), Some(start + Duration::from_secs(10)));
        assert_eq!(answer.due(SILENCE, 2), None, "the next engine has promised nothing");
        tokio::time::advance(Duration::from_secs(4)).await;
        answer.hold(head("text/event-stream"), 2);
        assert_eq!(answer.due(SILENCE, 2), Some(start + Duration::from_secs(10)), "the caller has waited since then");
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(matches!(answer.speak(), Word::Head(_)));
        assert!(answer.is_opened() && answer.is_awaited(2) && answer.is_timed());
        assert_eq!(answer.due(SILENCE, 3), Some(Instant::now() + Duration::from_secs(15)));
        assert!(matches!(answer.speak(), Word::Comment));
        assert!(!answer.hold(head("text/event-stream"), 3), "a second head is for nobody");
        assert!(answer.hold(event(), 3));
        assert_eq!(answer.pass().len(), 1);
        assert!(!answer.is_opened() && !answer.is_timed());
    }

    #[tokio::test(start_paused = true)]
    async fn comments_come_only_between_events_and_never_into_plain_or_compressed_answers() {
        let mut answer = Answer::default();
        answer.hold(head("text/event-stream"), 1);
        answer.hold(event(), 1);
        answer.pass();
        let soon = |answer: &Answer| answer.due(SILENCE, 1).map(|due| due - Instant::now());
        assert_eq!(soon(&answer), Some(Duration::from_secs(15)));
        answer.note(&[piece(3, false)]);
        assert_eq!(soon(&answer), None, "in the middle of an event");
        tokio::time::advance(Duration::from_secs(7)).await;
        answer.note(&[piece(3, false), event()]);
        assert_eq!(soon(&answer), Some(Duration::from_secs(15)));
        let mut plain = Answer::default();
        plain.hold(head("application/json"), 1);
        assert!(plain.due(SILENCE, 1).is_none() && plain.is_timed());
        plain.hold(piece(HOLD + 1, false), 1);
        plain.pass();
        assert!(plain.due(SILENCE, 1).is_none() && plain.is_timed(), "it has not ended");
        let HttpTask::Header(mut compressed, _) = head("text/event-stream") else { panic!("a head") };
        compressed.insert_header("content-encoding", "gzip").expect("header");
        let mut answer = Answer::default();
        answer.hold(HttpTask::Header(compressed, false), 1);
        assert_eq!(answer.due(SILENCE, 1), None);
    }
}
