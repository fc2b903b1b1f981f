//! The translation of an answer on its way to the caller.

use bytes::{Bytes, BytesMut};

use crate::dialects::{Translator, engine_error};
use crate::openai::{ApiError, Code, Dialect};
use crate::routing::ResponseTranslator;

/// Most of a plain answer that is kept to be translated as a whole. Far above what an engine's context holds.
const MOST: usize = 64 << 20;

/// What is done to the pieces of an answer.
#[derive(Debug, Default)]
pub(super) enum ResponseTransform {
    /// Nothing.
    #[default]
    None,
    /// Its events are translated to the caller's API.
    Events(Box<Translator>),
    /// It is kept until its end, and then translated to the caller's API.
    Whole { by: ResponseTranslator, status: u16, kept: BytesMut },
    /// It is an error that comes when the caller has the head of a stream: it is kept until its end, and told as an event.
    Late { by: Option<Box<Translator>>, dialect: Dialect, status: u16, kept: BytesMut },
}

impl ResponseTransform {
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// A piece as the caller gets it; `end`: it is the last one.
    ///
    /// # Errors
    /// The engine's answer cannot be translated; nothing of it was sent.
    pub(super) fn feed(&mut self, piece: &mut Option<Bytes>, end: bool) -> Result<(), ApiError> {
        match self {
            Self::None => {}
            Self::Events(by) => {
                let mut out = Vec::new();
                by.feed(piece.as_deref().unwrap_or_default(), &mut out);
                if end {
                    by.end(&mut out);
                }
                *piece = (!out.is_empty()).then(|| out.into());
            }
            Self::Whole { by, status, kept } => {
                keep(kept, piece)?;
                if end {
                    *piece = Some(by.whole(*status, kept)?.into());
                }
            }
            Self::Late { by, dialect, status, kept } => {
                keep(kept, piece)?;
                if end {
                    *piece = Some(last_event(by.as_deref_mut(), &engine_error(*status, kept), *dialect, true));
                }
            }
        }
        Ok(())
    }

    /// Who translates its events.
    pub(super) fn translator(&mut self) -> Option<&mut Translator> {
        match self {
            Self::Events(by) => Some(by),
            Self::Whole { .. } | Self::Late { .. } | Self::None => None,
        }
    }
}

/// The end of a stream that will not be completed, in the caller's API; `at_boundary`: what the caller has of it ends with a
/// whole event.
pub(super) fn last_event(by: Option<&mut Translator>, error: &ApiError, dialect: Dialect, at_boundary: bool) -> Bytes {
    let Some(by) = by else { return error.event(dialect, at_boundary).into() };
    let mut out = Vec::new();
    by.fail(error, &mut out);
    out.into()
}

fn keep(kept: &mut BytesMut, piece: &mut Option<Bytes>) -> Result<(), ApiError> {
    let new = piece.take().unwrap_or_default();
    if kept.len() + new.len() > MOST {
        return Err(ApiError::new(Code::EngineAnswer, "The engine's answer is too large to be translated."));
    }
    kept.extend_from_slice(&new);
    Ok(())
}
