//! The command line: one file per subcommand.

pub mod check;
mod doctor;
mod explain;
mod gpus;
mod import;
mod models;
mod needs;
mod output;
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
    Serve {
        /// The configuration (YAML; conf/reference.yaml explains every key)
        file: PathBuf,
        /// Directory for records and engine logs (instead of `state_dir` of the configuration)
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
        /// Write process id and addresses to this file (JSON) as soon as the gateway accepts requests
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Stop a gateway and its engines; also stops the engines of a gateway that is dead
    Stop {
        /// The configuration (YAML) of the gateway
        file: Option<PathBuf>,
        /// The state directory of the gateway (instead of `state_dir` of the configuration)
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
        /// Stop all gateways of this user whose state directory is in the default place
        #[arg(long, conflicts_with_all = ["file", "state_dir"])]
        all: bool,
    },
    /// Make a running gateway read its configuration file again; requests are not interrupted
    Reload(reload::Gateway),
    /// Show what a reload of this file would change in the running gateway, without changing it
    Plan(reload::Gateway),
    /// Check a configuration: print which engine would run where, or all errors
    Check {
        /// The configuration (YAML); `-`: standard input
        file: PathBuf,
        /// The state directory that the gateway is served with, if `serve` is told one: engines that run from there have their GPUs
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
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
    /// Print the built-in profiles (flags and environment that `profile:` of a model sets) as a part of a configuration
    Profiles {
        /// Print only the profile with this name
        name: Option<String>,
    },
    /// Show the GPUs of this machine: memory, load, processes, MIG instances
    ///
    /// Needs the NVIDIA driver. If its library libnvidia-ml.so is not found, set ENGINEHOUSE_NVML to the path of that file.
    Gpus {
        /// Print JSON (memory in bytes, utilisation in percent, temperature in °C, power in watts; null: unknown)
        #[arg(long)]
        json: bool,
    },
    /// Show the models and LoRA adapters on this machine: size, context length, quantization, GPU memory they need
    ///
    /// Looks in the cache of the Hugging Face hub (HF_HUB_CACHE, HF_HOME), and in the folders of --dir. Only small files and the
    /// headers of weights are read. Examples: `enginehouse models qwen`, `enginehouse models --dir /srv/models --json`.
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
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { file, state_dir, ready_file } => serve::run(&file, state_dir, ready_file),
        Command::Stop { file, state_dir, all } => stop::run(file.as_deref(), state_dir, all),
        Command::Reload(gateway) => reload::reload(&gateway),
        Command::Plan(gateway) => reload::plan(&gateway),
        Command::Check { file, state_dir } => check::run(&file, state_dir),
        Command::Explain(ask) => explain::run(&ask),
        Command::Import { program } => import::run(program),
        Command::Schema { api } => schema::run(api),
        Command::Profiles { name } => profiles::run(name.as_deref()),
        Command::Gpus { json } => gpus::run(json),
        Command::Models(ask) => models::run(ask),
        Command::Doctor(ask) => doctor::run(&ask),
        Command::Sim(args) => sim::run(*args),
    }
}
