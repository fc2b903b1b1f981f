//! The command line: one file per subcommand, or per group of them that are alike.
//!
//! `running`: finds the running gateway that a command asks. `output`: what is printed, and exit codes. `help`: the list of all
//! commands by task. `examples`: those in the help of each. `config_arg`: which configuration a command is about. `background`: starts a gateway there. `kept`: what
//! is kept under names. `home`: the home screen and the wizard. `shell`: words for a shell. `target`, `progress`, `change`: used by several. `data_port`, `outlet`: used by the clients of the data port.

mod act;
mod background;
mod bench;
mod change;
mod chat;
pub mod check;
mod completions;
mod config_arg;
mod data_port;
mod doctor;
mod entries;
mod examples;
mod explain;
mod gpus;
mod help;
mod home;
mod import;
mod kept;
mod log_level;
mod logs;
mod models;
mod needs;
mod outlet;
mod output;
mod profiles;
mod progress;
mod reload;
mod run;
mod running;
mod saved;
pub mod schema;
mod serve;
mod shell;
mod show;
mod shutdown;
mod signals;
mod sim;
mod target;
mod top;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::output::{Exit, complain};
use crate::api::Verb;
use crate::sim::Args as SimArgs;

/// One OpenAI-compatible endpoint in front of many vLLM engines, which it starts, watches and stops
#[derive(Debug, Parser)]
#[command(name = "enginehouse", version, about, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a configuration step by step, in the terminal: models, GPUs, ports; then save and start it
    New,
    /// Start the engines of a configuration and serve them at one endpoint
    Serve(serve::Args),
    /// Serve one model without a configuration file
    Run(run::Args),
    /// End a gateway and its engines; also ends the engines of a gateway that is dead
    Shutdown(shutdown::Args),
    /// Make a running gateway read its configuration file again; requests are not interrupted
    Reload(reload::Reload),
    /// Show what a reload of this file would change in the running gateway, without changing it
    Plan(reload::Plan),
    /// Check a configuration: print which engine would run where, or all errors
    Check(check::Args),
    /// Keep configurations under names: list, show, edit, import, export, delete
    ///
    /// They are files in $XDG_CONFIG_HOME/enginehouse (default: ~/.config/enginehouse): `enginehouse serve NAME` starts one.
    Config {
        /// What is done
        #[command(subcommand)]
        action: saved::Action,
    },
    /// Show how an alias changes a request: the body (standard input) before and after, and the reason for each change
    ///
    /// No gateway is asked: the configuration alone decides.
    ///
    /// Exit codes: 0 done; 1 the configuration is not valid, or callers would get an error; 2 wrong usage; 4 there is no such
    /// alias, model, part or caller.
    Explain(explain::Ask),
    /// Convert the configuration of another program into one for Enginehouse
    Import {
        /// The program whose configuration is converted
        #[command(subcommand)]
        program: import::Program,
    },
    /// Print the JSON Schema of the configuration
    Schema {
        /// Print the OpenAPI description of the operators' API instead
        #[arg(long)]
        api: bool,
    },
    /// Show and keep profiles (flags and environment that `profile:` of a model sets)
    ///
    /// Without an action: print all profiles, or the one with this NAME, as a part of a configuration. Profiles of yours are files
    /// in $XDG_CONFIG_HOME/enginehouse/profiles; every configuration can name them, and they replace built-in ones of the same
    /// name.
    Profiles(profiles::Args),
    /// Keep models with their settings under names, for `enginehouse run --shortcut NAME`
    Shortcuts {
        /// What is done
        #[command(subcommand)]
        action: kept::Action,
    },
    /// Show a running gateway: its addresses, models and engines
    Status(show::Look),
    /// Watch a running gateway in the terminal: models, engines, GPUs, logs, requests; start and stop engines by keys
    Top(top::Top),
    /// Show the engines of a running gateway, or all that is known of one
    ///
    /// NAME is a model or an engine. With --json it is always a list (`engines`), also of one engine.
    Engines(show::LookAt),
    /// Show the aliases of a running gateway, or where one leads and what it changes
    Aliases(show::LookAt),
    /// Show the callers of a running gateway, and what they used
    Callers(show::Look),
    /// Show the last requests of a running gateway, or one with its attempts; -f: and those that come
    Requests(show::Requests),
    /// Print the logs of a running gateway and its engines, merged or of one; -f: and the lines that come
    Logs(logs::Logs),
    /// Show what operators had done with engines: under way and over
    Operations(show::Newest),
    /// Cancel an operation that is under way
    Cancel(show::Cancel),
    /// Show who changed what in a running gateway, the newest first
    Audit(show::Newest),
    /// Show or set which lines of its log a running gateway writes
    LogLevel(log_level::Level),
    /// Start the engines of a model, or one engine; earlier crashes are forgotten
    Start(act::Act),
    /// Let the engines of a model, or one engine, finish their requests and end them
    Stop(act::Act),
    /// Let the engines of a model, or one engine, finish their requests and start them anew
    Restart(act::Act),
    /// Keep new requests away from a model or an engine and wait for those under way
    Drain(act::Act),
    /// Let requests come again to what was drained
    Undrain(act::Act),
    /// Put the engines of a model, or one engine, to sleep: they give their GPU memory back
    Sleep(act::Sleep),
    /// Wake the engines of a model, or one engine, up
    Wake(act::Act),
    /// Replace the engines of a model one by one; the others go on
    Roll(act::Roll),
    /// Give a model so many engines
    Scale(act::Scale),
    /// Load and unload LoRA adapters
    #[command(subcommand)]
    Lora(act::Lora),
    /// Add or change a model, an alias or a caller of a running gateway
    Add(entries::Add),
    /// Remove a model, an alias or a caller of a running gateway
    Remove(entries::Remove),
    /// Show the GPUs of this machine: memory, load, processes, MIG instances
    ///
    /// Needs the NVIDIA driver. If its library libnvidia-ml.so is not found, set ENGINEHOUSE_NVML to the path of that file.
    Gpus {
        /// Print JSON (memory in bytes, utilisation in percent, temperature in °C, power in watts; null: unknown)
        #[arg(long)]
        json: bool,
    },
    Bench(Box<bench::Args>),
    Chat(Box<chat::Args>),
    /// Show the models and LoRA adapters on this machine: size, context length, quantization, GPU memory they need
    ///
    /// Looks in the cache of the Hugging Face hub (HF_HUB_CACHE, HF_HOME), and in the folders of --dir. Only small files and the
    /// headers of weights are read.
    ///
    /// Exit codes: 0 done; 1 a folder of --dir cannot be read; 4 no name has the word.
    Models(models::Ask),
    /// Check this machine and say what to do: driver, vLLM and its flags, ports, limits, disks, memory, what was left running
    ///
    /// The first help when something does not start. Give it the configuration that is to run, or nothing. Nothing is changed, and
    /// nothing is fetched. Asking vLLM for its flags can take a minute, the first time after it was installed.
    ///
    /// Exit codes: 0 there is no problem (there may be warnings); 1 there is one.
    Doctor(doctor::Ask),
    /// Run a simulated engine, which answers like `vllm serve` and needs no GPU
    Sim(Box<SimArgs>),
    /// Print the completions of a shell: bash, zsh or fish
    Completions {
        /// The shell
        shell: completions::Shell,
    },
    /// Write the man pages of all commands into a folder
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    // Without a terminal it gets the help, as without a command that is known.
    if std::env::args_os().len() == 1 && home::has_terminal() {
        return home::run();
    }
    match Cli::from_arg_matches(&command_line().get_matches()) {
        Ok(Cli { command: Some(command) }) => run(command),
        // `enginehouse --`.
        Ok(Cli { command: None }) => {
            complain(&command_line().render_help().to_string());
            ExitCode::from(Exit::Usage as u8)
        }
        Err(error) => error.exit(),
    }
}

/// The whole command line, with the examples in its help.
#[must_use]
pub fn command_line() -> clap::Command {
    help::grouped(examples::with_examples(Cli::command()))
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::New => home::new(),
        Command::Serve(args) => serve::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Shutdown(args) => shutdown::run(&args),
        Command::Reload(ask) => reload::reload(&ask),
        Command::Plan(ask) => reload::plan(&ask),
        Command::Check(args) => check::run(&args),
        Command::Config { action } => saved::run(&action),
        Command::Explain(ask) => explain::run(&ask),
        Command::Import { program } => import::run(program),
        Command::Schema { api } => schema::run(api),
        Command::Profiles(args) => profiles::run(&args),
        Command::Shortcuts { action } => kept::run(&action),
        Command::Status(look) => show::status(&look),
        Command::Top(ask) => top::run(&ask),
        Command::Engines(look) => show::engines(&look),
        Command::Aliases(look) => show::aliases(&look),
        Command::Callers(look) => show::callers(&look),
        Command::Requests(ask) => show::requests(&ask),
        Command::Logs(ask) => logs::run(&ask),
        Command::Operations(ask) => show::operations(&ask),
        Command::Cancel(ask) => show::cancel(&ask),
        Command::Audit(ask) => show::audit(&ask),
        Command::LogLevel(ask) => log_level::run(&ask),
        Command::Start(ask) => act::act(Verb::Start, &ask),
        Command::Stop(ask) => act::act(Verb::Stop, &ask),
        Command::Restart(ask) => act::act(Verb::Restart, &ask),
        Command::Drain(ask) => act::act(Verb::Drain, &ask),
        Command::Undrain(ask) => act::act(Verb::Undrain, &ask),
        Command::Sleep(ask) => act::put_to_sleep(&ask),
        Command::Wake(ask) => act::act(Verb::Wake, &ask),
        Command::Roll(ask) => act::roll(&ask),
        Command::Scale(ask) => act::scale(&ask),
        Command::Lora(ask) => act::lora(&ask),
        Command::Add(ask) => entries::add(&ask),
        Command::Remove(ask) => entries::remove(&ask),
        Command::Gpus { json } => gpus::run(json),
        Command::Bench(args) => bench::run(&args),
        Command::Chat(args) => chat::run(&args),
        Command::Models(ask) => models::run(ask),
        Command::Doctor(ask) => doctor::run(&ask),
        Command::Sim(args) => sim::run(*args),
        Command::Completions { shell } => completions::print_for(shell, &mut command_line()),
        Command::Man { folder } => completions::man(&folder, command_line()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_is_in_the_list() {
        command_line().debug_assert();
        let listed: Vec<&str> = help::GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = command_line();
        let mut known: Vec<&str> =
            command.get_subcommands().filter(|one| !one.is_hide_set()).map(clap::Command::get_name).collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        known.sort_unstable();
        assert_eq!(sorted, known, "each command once");
    }
}
