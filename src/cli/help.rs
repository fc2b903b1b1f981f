//! The list of all commands, by task, as `enginehouse --help` shows it.

use clap::Command;

/// Commands by task, in the order in which they are shown.
pub(super) const GROUPS: &[(&str, &[&str])] = &[
    ("Serve", &["serve", "run", "shutdown", "reload", "plan"]),
    (
        "Look at a running gateway",
        &["status", "top", "engines", "aliases", "callers", "requests", "logs", "operations", "audit"],
    ),
    (
        "Change a running gateway",
        &[
            "start",
            "stop",
            "restart",
            "drain",
            "undrain",
            "sleep",
            "wake",
            "roll",
            "scale",
            "lora",
            "add",
            "remove",
            "cancel",
            "log-level",
        ],
    ),
    ("Use the models", &["chat", "bench"]),
    ("Configurations", &["new", "check", "config", "explain", "profiles", "shortcuts", "import", "schema"]),
    ("This machine", &["models", "gpus", "doctor", "sim"]),
    ("This program", &["completions", "man"]),
];

/// What comes behind the list.
const END: &str = "\
Exit codes: 0 done; 1 not done; 2 the command line is not understood; 3 no gateway answers; 4 there is no such model, engine,
alias, request or operation.

Without a command, on a terminal, the home screen opens: start a saved configuration, make a new one, attach to a gateway.

Examples:
  enginehouse
  enginehouse check conf/demo.yaml
  enginehouse serve conf/demo.yaml
  enginehouse status
  enginehouse logs -f --grep error
  enginehouse shutdown --all

`enginehouse COMMAND --help` tells more of each command.";

/// The widest name of a command, and two blanks.
const WIDTH: usize = 14;

/// `command` with its subcommands listed by task in its help.
pub(super) fn grouped(command: Command) -> Command {
    let template = template(&command);
    command.help_template(template)
}

fn template(command: &Command) -> String {
    let about = |name: &str| {
        let found = command.get_subcommands().find(|one| one.get_name() == name);
        found.and_then(Command::get_about).map(ToString::to_string).unwrap_or_default()
    };
    let mut list = String::new();
    for (task, names) in GROUPS {
        list += &format!("\n{task}:\n");
        for name in *names {
            list += &format!("  {name:WIDTH$}{}\n", about(name));
        }
    }
    format!("{{about}}\n\nUsage: {{usage}}\n{list}\nOptions:\n{{options}}\n\n{END}\n")
}
