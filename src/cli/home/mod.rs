//! `enginehouse` alone on a terminal, and `enginehouse new`: the home screen and the wizard.

mod machine;
mod port;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use self::machine::Here;
use super::output::{Exit, Failure, ended, print};
use crate::tui::frame::{self, Screen, Theme};
use crate::tui::home::Menu;
use crate::tui::wizard::Wizard;

/// Whether somebody sits at a terminal that can show screens.
pub(super) fn has_terminal() -> bool {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    is_terminal && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Opens the home screen.
pub(super) fn run() -> ExitCode {
    ended(show(Box::new(Menu::new(Arc::new(Here)))))
}

/// Opens the wizard.
pub(super) fn new() -> ExitCode {
    if !has_terminal() {
        let text = "enginehouse: `enginehouse new` asks questions on a terminal, and there is none. Without one, write the \
                    configuration with an editor: conf/vllm.yaml is a short example, conf/reference.yaml shows every key.";
        return ended(Err(Failure::new(Exit::Usage, text)));
    }
    ended(show(Box::new(Wizard::new(Arc::new(Here), true))))
}

fn show(screen: Box<dyn Screen>) -> Result<(), Failure> {
    let theme = Theme::from_env(&|name| std::env::var(name).ok());
    let said = frame::run(screen, theme)
        .map_err(|error| Failure::new(Exit::Failed, format!("enginehouse: the terminal cannot be used: {error}")))?;
    if let Some(text) = said {
        print(&format!("{text}\n"));
    }
    Ok(())
}
