//! What is known of the answer of the attempt under way.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use pingora::{Error, ErrorSource, ErrorType};

use super::stored::Kept;
use super::transform::ResponseTransform;
use super::unfinished_event::UnfinishedEvent;
use crate::openai::{ApiError, Dialect, ResponseScanner, Usage};
use crate::routing::ResponseTranslator;

/// An engine's error answer that is held back until its body shows what it means.
#[derive(Debug)]
pub(super) struct HeldError {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// What the caller is told in its place, if it says that there is no such route.
    pub(super) no_route: Option<ApiError>,
}

/// Whether an answer is a response that may be asked for again.
#[derive(Debug, Default)]
pub(super) enum KeptResponse {
    /// It is none.
    #[default]
    No,
    /// It is one; its id has not come.
    Awaited,
    /// It is one, and the gateway knows its engine.
    Known(Arc<Kept>),
}

/// When the output of a stream came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    pub(super) first: Option<Instant>,
    pub(super) last: Option<Instant>,
    /// Events since the first one with output: about one for each token.
    pub(super) events: usize,
}

/// The answer of the attempt under way.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// Its head has come.
    pub(super) began: bool,
    /// It is an error whose body decides what follows.
    pub(super) held_error: Option<HeldError>,
    /// It is a stream of events whose first one decides what follows: what has come of it.
    pub(super) opening: Option<BytesMut>,
    /// Follows it, if it can be read.
    pub(super) scanner: Option<ResponseScanner>,
    /// What is done to its pieces.
    pub(super) transform: ResponseTransform,
    /// Of a stream that is not translated: the event that is not whole yet.
    pub(super) unfinished: UnfinishedEvent,
    pub(super) output: Output,
    /// The caller did not ask for the token counts that the engine adds.
    pub(super) hides_usage: bool,
    /// The response that it is, where engines may keep it.
    pub(super) kept: KeptResponse,
    /// What we say instead of an engine.
    pub(super) refusal: Option<ApiError>,
}

impl Response {
    /// Nothing has come of the attempt that begins.
    pub(super) fn begin_attempt(&mut self) {
        *self = Self::default();
    }

    /// Whether it is a stream of events.
    pub(super) fn is_stream(&self) -> bool {
        self.scanner.as_ref().is_some_and(ResponseScanner::is_stream)
    }

    /// What it says of tokens.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.scanner.as_ref().and_then(ResponseScanner::usage)
    }

    /// Whether its engine ended it with an error, after a head that promised a stream.
    pub(super) fn tells_error(&self) -> bool {
        self.scanner.as_ref().is_some_and(ResponseScanner::failed)
    }

    /// What is known of the tokens of a stream that does not say them: so many were written, about.
    pub(super) fn estimate(&self) -> Option<Usage> {
        let completion = u64::try_from(self.output.events).ok().filter(|events| *events > 0)?;
        self.is_stream().then(|| Usage { completion, ..Usage::default() })
    }

    /// The stream that has not sent its final event.
    pub(super) fn open_stream(&self) -> Option<&ResponseScanner> {
        self.scanner.as_ref().filter(|scanner| scanner.is_stream() && !scanner.done())
    }

    /// Whether it is a stream whose final event has come.
    pub(super) fn is_complete(&self) -> bool {
        match &self.transform {
            ResponseTransform::None => {
                self.scanner.as_ref().is_some_and(|scanner| scanner.is_stream() && scanner.done())
            }
            ResponseTransform::Events(by) => by.done(),
            ResponseTransform::Whole { .. } | ResponseTransform::Late { .. } => false,
        }
    }

    /// Whether `error` says no more than that the caller left when it had all of a stream: before the engine has ended it.
    pub(super) fn is_left_complete(&self, error: &Error) -> bool {
        let is_written = !matches!(error.etype(), ErrorType::WriteError | ErrorType::WriteTimedout);
        error.esource() == &ErrorSource::Downstream && is_written && self.is_complete()
    }

    /// Decides how an answer with this `status` and content type is followed, and what is done to it. `name`: of the model
    /// that it has to name; returns whether its name will be replaced.
    pub(super) fn follow(
        &mut self,
        status: u16,
        kind: &[u8],
        translator: Option<ResponseTranslator>,
        name: Option<&str>,
    ) -> bool {
        let success = (200..300).contains(&status);
        let scanner = ResponseScanner::for_content_type(kind).filter(|_| success);
        let name = name.filter(|_| translator.is_none() && scanner.is_some());
        self.transform = match translator {
            Some(translator) if scanner.as_ref().is_some_and(ResponseScanner::is_stream) => {
                ResponseTransform::Events(translator.by)
            }
            Some(by) => ResponseTransform::Whole { by, status, kept: BytesMut::new() },
            None => ResponseTransform::None,
        };
        self.scanner = match name {
            Some(name) => scanner.map(|scanner| scanner.renaming(name)),
            None => scanner,
        };
        name.is_some()
    }

    /// The caller has the head of a stream already, and this answer is none: `status` and its body are told as an event.
    pub(super) fn follow_late(&mut self, status: u16, by: Option<ResponseTranslator>, dialect: Dialect) {
        self.scanner = None;
        self.transform = ResponseTransform::Late { by: by.map(|it| it.by), dialect, status, kept: BytesMut::new() };
    }
}
