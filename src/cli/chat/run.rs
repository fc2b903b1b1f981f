//! Decides how the conversation is held, and holds it.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use super::answer::Answer;
use super::args::Args;
use super::conversation::Conversation;
use super::interactive::talk;
use super::screen::{Screen, speed};
use super::turn::{Asker, Broken};
use crate::cli::data_port::Client;
use crate::cli::outlet::{Outlet, harmless};
use crate::cli::output::{Exit, Failure, ended, print};

/// Longest text that is read as a prompt.
const LONGEST: u64 = 256 << 20;

/// `enginehouse chat`.
pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(Failure::new(Exit::Failed, format!("enginehouse: {error}")))),
    };
    let done = runtime.block_on(chat(args));
    runtime.shutdown_background();
    ended(done)
}

async fn chat(args: &Args) -> Result<(), Failure> {
    let prompt = prompt(args)?;
    if prompt.is_none() && args.json {
        return Err(Failure::new(Exit::Usage, "--json needs a prompt: as an argument, or on standard input."));
    }
    let destination = args.target.find()?;
    let client = Client::connect(&destination).await.map_err(|error| error.failure(&destination.address))?;
    let asker = Asker { client, address: destination.address };
    let stream = !args.no_stream && !args.json;
    let mut conversation = Conversation::new(&args.alias, args.system.clone(), args.set.clone(), stream);
    let Some(prompt) = prompt else { return talk(&asker, conversation, &harmless(&args.alias)).await };
    conversation.say(prompt);
    if args.json {
        let body = asker.raw(conversation.request()).await?;
        print(&format!("{}\n", String::from_utf8_lossy(&body).trim_end()));
        return Ok(());
    }
    once(&asker, &conversation).await
}

/// One question, and its answer.
async fn once(asker: &Asker, conversation: &Conversation) -> Result<(), Failure> {
    let (mut answer, mut screen) = (Answer::default(), Screen::new(io::stdout(), Outlet::of(&io::stdout())));
    match asker.ask(conversation.request(), &mut answer, &mut screen).await {
        Ok(times) => {
            let _ = screen.note(&speed(&answer, times.first, times.whole));
            Ok(())
        }
        Err(Broken::Failed(failure)) => {
            let _ = screen.finish(&answer);
            Err(failure)
        }
        // A reader that went away (`| head`) is no failure.
        Err(Broken::Unread) => Ok(()),
    }
}

/// What is asked; `None`: a person will say it.
fn prompt(args: &Args) -> Result<Option<String>, Failure> {
    let given = args.prompt.join(" ");
    let input = io::stdin();
    let mut read = String::new();
    if !input.is_terminal() {
        let cannot = |error: io::Error| Failure::new(Exit::Failed, format!("enginehouse: standard input: {error}"));
        input.lock().take(LONGEST).read_to_string(&mut read).map_err(cannot)?;
    }
    match joined(given.trim(), read.trim()) {
        None if !input.is_terminal() => {
            Err(Failure::new(Exit::Usage, "There is no prompt: standard input is empty, and no PROMPT is given."))
        }
        prompt => Ok(prompt),
    }
}

/// The question, and what it is about.
fn joined(given: &str, read: &str) -> Option<String> {
    match (given.is_empty(), read.is_empty()) {
        (true, true) => None,
        (false, true) => Some(given.to_owned()),
        (true, false) => Some(read.to_owned()),
        (false, false) => Some(format!("{given}\n\n{read}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_comes_before_what_it_is_about() {
        assert_eq!(joined("Why?", "a text"), Some("Why?\n\na text".into()));
        assert_eq!((joined("a", ""), joined("", "b"), joined("", "")), (Some("a".into()), Some("b".into()), None));
    }
}
