//! What an answer has to be: words, a text of a certain form, or the call of a tool.

use super::answer::Answer;
use super::params::Params;
use super::structured::Form;
use super::tools::Tool;
use crate::sim::wire::errors::Fail;

/// Characters of a token of a text that is given.
const WIDTH: usize = 4;

/// What an answer has to be.
#[derive(Clone, Debug)]
pub(super) enum Task {
    Words,
    Text(String),
    Call(Tool),
}

/// How long answers are, and what else they share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    /// Of words that nothing cuts.
    pub(super) natural: usize,
    /// Most tokens there can be.
    pub(super) room: usize,
    /// Whether the model thinks first.
    pub(super) thinks: bool,
}

impl Task {
    /// A tool that is forced comes first, then the form.
    pub(super) fn new(tool: Option<Tool>, form: Option<Form>, question: &str) -> Result<Self, Fail> {
        Ok(match (tool, form) {
            (Some(tool), _) => Self::Call(tool),
            (None, Some(form)) => Self::Text(form.text(question)?),
            (None, None) => Self::Words,
        })
    }

    /// The answer number `choice` to `question`.
    pub(super) fn answer(&self, question: &str, params: &Params, choice: usize, length: Length) -> Answer {
        let Length { natural, room, thinks } = length;
        let text = match self {
            Self::Words => return Answer::to(question, params, choice, thinks, natural, room),
            Self::Text(text) => text,
            Self::Call(tool) => &tool.arguments,
        };
        Answer::fixed(words(text), params, thinks, room)
    }

    /// The tool that is called.
    pub(super) fn tool(&self) -> Option<&Tool> {
        match self {
            Self::Call(tool) => Some(tool),
            _ => None,
        }
    }
}

/// A text as tokens.
fn words(text: &str) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(WIDTH).map(|word| word.iter().collect()).collect()
}
