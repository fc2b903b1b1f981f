//! `enginehouse start`, `stop`, `restart`, `drain`, `undrain`, `sleep`, `wake`, `roll`, `scale` and `lora`: what is done with
//! engines of a running gateway.

use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::builder::NonEmptyStringValueParser;

use super::output::{Exit, Failure, ended, print, print_json};
use super::progress::{Progress, doing};
use super::running::Running;
use super::shell::quoted;
use super::target;
use crate::api::{ActionView, AdapterView, Client, OperationState, OperationView, Target, Verb};

/// How often it is looked how an action goes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How an action is waited for.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    #[command(flatten)]
    running: Running,
    /// Return as soon as it is begun
    #[arg(long)]
    no_wait: bool,
    /// Print the operation and its engines as JSON
    #[arg(long)]
    json: bool,
}

/// What is done with a model or an engine.
#[derive(Debug, clap::Args)]
pub(super) struct Act {
    /// A model, or an engine such as qwen/0
    #[arg(value_name = "MODEL|ENGINE", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    #[command(flatten)]
    how: How,
}

/// `enginehouse sleep`.
#[derive(Debug, clap::Args)]
pub(super) struct Sleep {
    #[command(flatten)]
    act: Act,
    /// 1: weights stay in host memory; 2: they are dropped, and loaded again on waking
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    level: u8,
}

/// `enginehouse roll`.
#[derive(Debug, clap::Args)]
pub(super) struct Roll {
    /// The model
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    model: String,
    #[command(flatten)]
    how: How,
}

/// `enginehouse scale`.
#[derive(Debug, clap::Args)]
pub(super) struct Scale {
    /// The model
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    model: String,
    /// How many engines it is to have
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    replicas: u16,
    #[command(flatten)]
    how: How,
}

/// `enginehouse lora`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Lora {
    /// Load a LoRA adapter on all engines of a model
    Add {
        /// The model
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        model: String,
        /// What callers say as `model`
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        adapter: String,
        /// Its folder, as the engines see it, or its id on the Hugging Face hub
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        path: String,
        #[command(flatten)]
        how: How,
    },
    /// Unload a LoRA adapter
    Remove {
        /// The model
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        model: String,
        /// The adapter
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        adapter: String,
        #[command(flatten)]
        how: How,
    },
}

/// Has `verb` done.
pub(super) fn act(verb: Verb, Act { name, how }: &Act) -> ExitCode {
    ended(how.run(|client| {
        let target = target::target(client, name).map_err(|why| {
            let is_meant = verb == Verb::Stop && why.exit == Exit::Unknown && is_file(name);
            if is_meant { Failure::new(Exit::Usage, shutdown_is_meant(name)) } else { why }
        })?;
        Ok((client.act(verb, &target)?, target))
    }))
}

/// Puts engines to sleep.
pub(super) fn put_to_sleep(Sleep { act: ask, level }: &Sleep) -> ExitCode {
    act(Verb::Sleep(*level), ask)
}

/// Replaces engines one by one.
pub(super) fn roll(Roll { model, how }: &Roll) -> ExitCode {
    ended(how.run(|client| {
        let target = Target::Model(target::model(client, model)?);
        Ok((client.act(Verb::Roll, &target)?, target))
    }))
}

/// Gives a model so many engines.
pub(super) fn scale(Scale { model, replicas, how }: &Scale) -> ExitCode {
    ended(how.run(|client| {
        let model = target::model(client, model)?;
        Ok((client.scale(&model, usize::from(*replicas))?, Target::Model(model)))
    }))
}

/// Loads or unloads an adapter.
pub(super) fn lora(ask: &Lora) -> ExitCode {
    ended(match ask {
        Lora::Add { model, adapter, path, how } => how.run(|client| {
            let model = target::model(client, model)?;
            let adapter = AdapterView { name: adapter.clone(), path: path.clone() };
            Ok((client.add_adapter(&model, &adapter)?, Target::Model(model)))
        }),
        Lora::Remove { model, adapter, how } => how.run(|client| {
            let model = target::model(client, model)?;
            Ok((client.remove_adapter(&model, adapter)?, Target::Model(model)))
        }),
    })
}

/// Whether `name` is the file of a configuration, as people know it from other commands.
fn is_file(name: &str) -> bool {
    let path = Path::new(name);
    path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json") || path.is_file()
}

fn shutdown_is_meant(name: &str) -> String {
    format!(
        "`enginehouse stop` stops the engines of a MODEL. To end the gateway of a configuration, with its engines: \
         enginehouse shutdown {}",
        quoted(name)
    )
}

impl How {
    /// Begins something, and waits for its end unless that is not wanted.
    fn run(&self, begin: impl FnOnce(&Client) -> Result<(ActionView, Target), Failure>) -> Result<(), Failure> {
        let client = self.running.find()?.client;
        let (action, target) = begin(&client)?;
        let operation = if self.no_wait { action.operation } else { wait(&client, action.operation, &target)? };
        let engines = target::engines(&client, &target)?;
        if self.json {
            print_json(&ActionView { operation: operation.clone(), engines: engines.clone() });
        }
        let detail = &operation.detail;
        match operation.state {
            OperationState::Failed => {
                let why = operation.error.unwrap_or_else(|| "the gateway does not say why".into());
                Err(Failure::new(Exit::Failed, format!("{detail}: {why}")))
            }
            OperationState::Cancelled => Err(Failure::new(Exit::Failed, format!("{detail}: it was cancelled"))),
            OperationState::Done | OperationState::Running if self.json => Ok(()),
            OperationState::Done => {
                print(&format!("{detail}: done in {:.1} s\n", operation.seconds));
                Ok(())
            }
            OperationState::Running => {
                print(&format!("{detail}: begun (operation {})\n", operation.id));
                Ok(())
            }
        }
    }
}

/// Waits until `operation` is over, and shows how it goes.
fn wait(client: &Client, mut operation: OperationView, target: &Target) -> Result<OperationView, Failure> {
    let (mut progress, since) = (Progress::new(), Instant::now());
    while operation.state == OperationState::Running {
        // What takes no time needs no words.
        if since.elapsed() > LOOK_EVERY {
            progress.show(&doing(&target::engines(client, target)?), since.elapsed());
        }
        sleep(LOOK_EVERY);
        operation = client.operation(&operation.id)?;
    }
    Ok(operation)
}
