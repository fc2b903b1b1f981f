//! The command line: one file per subcommand.

mod background;
pub mod check;
mod config_arg;
mod explain;
mod gpus;
mod import;
mod kept;
mod needs;
mod output;
mod profiles;
mod reload;
mod run;
mod saved;
pub mod schema;
mod serve;
mod signals;
mod sim;
mod stop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::sim::Args as SimArgs;

/// One OpenAI-compatible endpoint in front of many vLLM engines, which it starts, watches and stops
#[derive(Debug, Parser)]
#[command(name = "enginehouse", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the engines of a configuration and serve them at one endpoint
    Serve(serve::Args),
    /// Stop a gateway and its engines; also stops the engines of a gateway that is dead
    Stop(stop::Args),
    /// Make a running gateway read its configuration file again; requests are not interrupted
    Reload(reload::Gateway),
    /// Show what a reload of this file would change in the running gateway, without changing it
    Plan(reload::Gateway),
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
    /// Serve one model without a configuration file
    Run(run::Args),
    /// Show the GPUs of this machine: memory, load, processes, MIG instances
    ///
    /// Needs the NVIDIA driver. If its library libnvidia-ml.so is not found, set ENGINEHOUSE_NVML to the path of that file.
    Gpus {
        /// Print JSON (memory in bytes, utilisation in percent, temperature in °C, power in watts; null: unknown)
        #[arg(long)]
        json: bool,
    },
    /// Run a simulated engine, which answers like `vllm serve` and needs no GPU
    Sim(Box<SimArgs>),
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Stop(args) => stop::run(&args),
        Command::Reload(gateway) => reload::reload(&gateway),
        Command::Plan(gateway) => reload::plan(&gateway),
        Command::Check(args) => check::run(&args),
        Command::Config { action } => saved::run(&action),
        Command::Explain(ask) => explain::run(&ask),
        Command::Import { program } => import::run(program),
        Command::Schema { api } => schema::run(api),
        Command::Profiles(args) => profiles::run(&args),
        Command::Shortcuts { action } => kept::run(&action),
        Command::Run(args) => run::run(&args),
        Command::Gpus { json } => gpus::run(json),
        Command::Sim(args) => sim::run(*args),
    }
}
