//! The options of `enginehouse chat`.

use clap::builder::NonEmptyStringValueParser;

use crate::cli::data_port::{Setting, Target};

/// Talk with a model: on a terminal turn by turn, in a pipe one question and its answer
///
/// Without PROMPT, on a terminal, it is a conversation: /clear begins a new one, /system TEXT changes the system message,
/// /quit or Ctrl-D ends it. Ctrl-C stops an answer; with none under way it ends the conversation.
///
/// If standard input is no terminal, its text is the prompt, after PROMPT if both are given. The answer goes to standard
/// output, everything else to standard error; reasoning is shown on terminals only. The key of a caller is taken from the
/// variable ENGINEHOUSE_API_KEY or from --key-file.
///
/// Exit codes: 0 answered; 1 the answer failed; 2 wrong usage; 3 no gateway answers; 4 there is no such alias.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The alias or model to talk with
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) alias: String,
    /// What to say; several words are one text
    #[arg(value_name = "PROMPT")]
    pub(super) prompt: Vec<String>,
    #[command(flatten)]
    pub(super) target: Target,
    /// The system message
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
    /// A further member of every body, or another value of one; several times
    #[arg(long, value_name = "KEY=JSON")]
    pub(super) set: Vec<Setting>,
    /// Show the answer when it is there in whole
    #[arg(long)]
    pub(super) no_stream: bool,
    /// Print the answer as the server sent it (JSON, in one piece); needs a prompt
    #[arg(long)]
    pub(super) json: bool,
}
