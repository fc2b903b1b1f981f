//! The translation of an answer on its way to the caller.

use bytes::{Bytes, BytesMut};

use crate::dialects::Translator;
use crate::openai::{ApiError, Code};
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
                let new = piece.take().unwrap_or_default();
                if kept.len() + new.len() > MOST {
                    let message = "The engine's answer is too large to be translated.";
                    return Err(ApiError::new(Code::EngineAnswer, message));
                }
                kept.extend_from_slice(&new);
                if end {
                    *piece = Some(by.whole(*status, kept)?.into());
                }
            }
        }
        Ok(())
    }

    /// How an answer under way ends that will not be completed; `None`: as the engine's API has it.
    pub(super) fn fail(&mut self, error: &ApiError) -> Option<Bytes> {
        let Self::Events(by) = self else { return None };
        let mut out = Vec::new();
        by.fail(error, &mut out);
        Some(out.into())
    }
}
