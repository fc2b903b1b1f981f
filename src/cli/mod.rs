//! The command line: one file per subcommand.

pub mod check;
mod explain;
mod flag_report;
mod gpus;
mod import;
mod needs;
mod profiles;
mod reload;
pub mod schema;
mod serve;
mod signals;
mod sim;
mod stop;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::sim::Args as SimArgs;

/// One OpenAI-compatible endpoint in front of a house full of vLLM engines.
#[derive(Debug, Parser)]
#[command(name = "enginehouse", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the engines of a configuration and serve them at one endpoint
    Serve {
        /// The configuration (YAML; conf/reference.yaml explains every key)
        file: PathBuf,
        /// Where records and engine logs are kept (instead of the configuration's state_dir)
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
        /// Write the addresses that are served to this file (JSON) as soon as they are
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Stop a house: its gateway, and every engine that a gateway left running, dead or alive
    Stop {
        /// The configuration (YAML) of the house
        file: Option<PathBuf>,
        /// Its state directory (instead of the configuration's)
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
        /// Every house of this user with its state directory in the usual place
        #[arg(long, conflicts_with_all = ["file", "state_dir"])]
        all: bool,
    },
    /// Have a running gateway read its configuration again; requests go on
    Reload(reload::Gateway),
    /// Show what a reload would change; nothing is changed
    Plan(reload::Gateway),
    /// Check a configuration: print what would run where, or everything that is wrong
    Check {
        /// The configuration (YAML)
        file: PathBuf,
    },
    /// Show what becomes of a request: its body (standard input) before and after, and what made each change
    Explain(explain::Ask),
    /// Convert another program's configuration into one for Enginehouse
    Import {
        /// Whose
        #[command(subcommand)]
        program: import::Program,
    },
    /// Print the JSON Schema of the configuration
    Schema {
        /// Print that of the operators' API instead
        #[arg(long)]
        api: bool,
    },
    /// Show the built-in profiles: what `profile:` of a model sets, to be read or pasted into a configuration
    Profiles {
        /// Only this one
        name: Option<String>,
    },
    /// Show the GPUs of this machine: memory, load, processes, MIG instances
    ///
    /// Needs NVIDIA's driver; ENGINEHOUSE_NVML names its libnvidia-ml.so where it is not found by itself.
    Gpus {
        /// Print JSON (memory in bytes, utilisation in percent, temperature in °C, power in watts; null is unknown)
        #[arg(long)]
        json: bool,
    },
    /// Run a simulated engine: answers like `vllm serve`, needs no GPU
    Sim(Box<SimArgs>),
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { file, state_dir, ready_file } => serve::run(&file, state_dir, ready_file),
        Command::Stop { file, state_dir, all } => stop::run(file.as_deref(), state_dir, all),
        Command::Reload(gateway) => reload::reload(&gateway),
        Command::Plan(gateway) => reload::plan(&gateway),
        Command::Check { file } => check::run(&file),
        Command::Explain(ask) => explain::run(&ask),
        Command::Import { program } => import::run(program),
        Command::Schema { api } => schema::run(api),
        Command::Profiles { name } => profiles::run(name.as_deref()),
        Command::Gpus { json } => gpus::run(json),
        Command::Sim(args) => sim::run(*args),
    }
}
