//! A conversation on a terminal, turn by turn.

use std::io::{self, Write};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::answer::Answer;
use super::command::{HELP, Line, understood};
use super::conversation::Conversation;
use super::input;
use super::screen::{Screen, speed};
use super::turn::{Asker, Broken};
use crate::cli::outlet::Outlet;
use crate::cli::output::{Exit, Failure, complain};

/// Talks until the user ends it.
pub(super) async fn talk(asker: &Asker, mut conversation: Conversation, name: &str) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::new(Exit::Failed, format!("enginehouse: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut lines = input::lines().map_err(cannot)?;
    let outlet = Outlet::of(&io::stdout());
    say(outlet, &format!("{name} at {}; /help shows the commands", asker.address));
    loop {
        let _ = write!(io::stdout(), "{}", outlet.styled("1", "> ")).and_then(|()| io::stdout().flush());
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = interrupt.recv() => None,
        };
        let Some(line) = line else {
            let _ = writeln!(io::stdout());
            return Ok(());
        };
        match understood(&line) {
            Line::Empty => {}
            Line::Quit => return Ok(()),
            Line::Help => say(outlet, HELP),
            Line::Clear => {
                conversation.clear();
                say(outlet, "A new conversation.");
            }
            Line::System(text) => {
                say(outlet, if text.is_some() { "The system message is set." } else { "There is no system message." });
                conversation.set_system(text);
            }
            Line::Unknown(word) => say(outlet, &format!("There is no command {word}; /help shows them.")),
            Line::Say(text) => {
                conversation.say(text);
                if !turn(asker, &mut conversation, outlet, &mut interrupt).await {
                    return Ok(());
                }
            }
        }
    }
}

/// One turn; whether the conversation goes on.
async fn turn(asker: &Asker, conversation: &mut Conversation, outlet: Outlet, interrupt: &mut Signal) -> bool {
    let (mut answer, mut screen) = (Answer::default(), Screen::new(io::stdout(), outlet));
    let asked = tokio::select! {
        asked = asker.ask(conversation.request(), &mut answer, &mut screen) => Some(asked),
        // Dropped, the request is aborted.
        _ = interrupt.recv() => None,
    };
    let told = match asked {
        Some(Ok(times)) => screen.note(&speed(&answer, times.first, times.whole)),
        Some(Err(Broken::Unread)) => return false,
        Some(Err(Broken::Failed(failure))) => {
            let _ = screen.finish(&answer);
            complain(&failure.text);
            Ok(())
        }
        None => screen.finish(&answer).and_then(|()| screen.note("stopped")),
    };
    if answer.text.is_empty() && answer.calls.is_empty() {
        conversation.take_back();
    } else {
        conversation.answered(&answer.text);
    }
    told.is_ok()
}

fn say(outlet: Outlet, text: &str) {
    let _ = writeln!(io::stdout(), "{}", outlet.styled("2", text));
}
