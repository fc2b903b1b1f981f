//! `enginehouse run`: serves one model without a configuration file; one is made for it in its state directory.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use super::output::fail;
use super::saved::store::Store;
use super::saved::terminal::say;
use super::serve;
use crate::app::{SavedName, one_model_file, shortcut_dir, state_dirs};
use crate::config::{self, Answers, Engines, Gpus, ModelAnswers, Setting, draft};
use crate::{private_file, supervisor};

/// The model, and how it is served.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["model", "shortcut"])))]
pub(super) struct Args {
    /// The model: a hub id or a path
    #[arg(long, value_name = "ID|PATH")]
    model: Option<String>,
    /// A shortcut of yours, which says the model and its settings
    #[arg(long, value_name = "NAME")]
    shortcut: Option<SavedName>,
    /// The name of the gateway, for `enginehouse shutdown NAME`; default: made from that of the model
    #[arg(long)]
    name: Option<SavedName>,
    /// The GPUs, by index or UUID: --gpus 0,1
    #[arg(long, value_delimiter = ',', value_name = "GPU")]
    gpus: Vec<String>,
    /// The port for clients on 127.0.0.1; operators get the next one; 0: free ones
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// The profile of the model
    #[arg(long)]
    profile: Option<String>,
    /// Set one key of the configuration to a value (YAML), as for `serve`; can be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// Start it in the background, and return when it accepts requests
    #[arg(long)]
    detach: bool,
}

/// Serves it.
pub(super) fn run(args: &Args) -> ExitCode {
    let written = model(args).and_then(|model| {
        let name = match &args.name {
            Some(name) => name.clone(),
            None => gateway_name(&model.name)?,
        };
        let text = format!(
            "{}\n# For `enginehouse shutdown {1}`.\nname: {1}\n",
            draft(&answers(model, args.port)),
            name.as_str()
        );
        write(&name, &text).map(|file| (name, file))
    });
    match written {
        Ok((name, file)) => {
            if !args.detach {
                say(&format!(
                    "Its configuration is {}. Stop it: Ctrl-C, or enginehouse shutdown {}\n",
                    file.display(),
                    name.as_str()
                ));
            }
            serve::run(&serve::Args::of_file(file, &name, args.settings.clone(), args.detach))
        }
        Err(why) => fail(&why),
    }
}

/// What is to be served.
fn model(args: &Args) -> Result<ModelAnswers, String> {
    let mut model = match (&args.model, &args.shortcut) {
        (Some(model), _) => {
            let name =
                if model.starts_with(['/', '.']) { model.trim_end_matches('/').rsplit('/').next() } else { None };
            ModelAnswers { name: name.unwrap_or(model).to_owned(), source: model.clone(), ..ModelAnswers::default() }
        }
        (None, Some(name)) => shortcut(name)?,
        (None, None) => return Err("Which model? Give --model or --shortcut.".to_owned()),
    };
    if !args.gpus.is_empty() {
        model.gpus = Gpus::Listed(args.gpus.clone());
    }
    if args.profile.is_some() {
        model.profile.clone_from(&args.profile);
    }
    Ok(model)
}

/// The model that a shortcut means.
pub(super) fn shortcut(name: &SavedName) -> Result<ModelAnswers, String> {
    let store = Store { folder: shortcut_dir(), what: "shortcut" };
    let text = store.text(name)?;
    let config = config::check_model(name.as_str(), &text, &|name| std::env::var(name).ok())
        .map_err(|found| format!("The shortcut `{}` is not valid:\n\n{found}", name.as_str()))?;
    match config.models.first().map(|model| &model.engines) {
        Some(Engines::Spawn(spawn)) => Ok(ModelAnswers::of(name.as_str(), spawn)),
        _ => Err(format!("The shortcut `{}` has no engines to be started (`source`).", name.as_str())),
    }
}

fn answers(model: ModelAnswers, port: u16) -> Answers {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let next = if port == 0 { 0 } else { port.checked_add(1).unwrap_or(port - 1) };
    Answers {
        about: "Written by `enginehouse run`, which replaces it at its next start.".to_owned(),
        listen: address(port),
        admin: address(next),
        models: vec![model],
        ..Answers::usual()
    }
}

/// The name of a gateway for this model: what follows the last slash, in lower case.
fn gateway_name(model: &str) -> Result<SavedName, String> {
    let last = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = last.chars().map(fit).skip_while(|c| !c.is_ascii_alphanumeric()).take(60).collect();
    name.parse().map_err(|_| format!("No name for the gateway can be made from {model:?}; give --name NAME."))
}

/// Writes the configuration into the state directory of the gateway.
pub(super) fn write(name: &SavedName, text: &str) -> Result<PathBuf, String> {
    let folder = state_dirs().join(name.as_str());
    let file = one_model_file(name);
    let written = supervisor::make_state_dir(&folder).and_then(|()| {
        private_file::open(OpenOptions::new().truncate(true), &file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
    });
    written.map(|()| file).map_err(|error| format!("{} cannot be written: {error}.", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_named_after_their_model() {
        let name = |model: &str| gateway_name(model).map(|name| name.as_str().to_owned());
        assert_eq!(name("Qwen/Qwen3-0.6B").as_deref(), Ok("qwen3-0.6b"));
        assert_eq!(name("my model").as_deref(), Ok("my-model"));
        assert!(name("ä/é").is_err_and(|why| why.contains("--name")));
    }

    #[test]
    fn operators_have_the_next_port() {
        let ports = |port| {
            let answers = answers(ModelAnswers::default(), port);
            (answers.listen.port(), answers.admin.port())
        };
        assert_eq!((ports(8000), ports(0), ports(u16::MAX)), ((8000, 8001), (0, 0), (65535, 65534)));
    }
}
