//! `enginehouse run`: serves one model without a configuration file; one is made for it in its state directory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use clap::builder::NonEmptyStringValueParser;

use super::output::fail;
use super::saved::store::Store;
use super::saved::terminal::say;
use super::serve;
use super::shell::shutdown_of;
use crate::app::{self, SavedName, Source, config_dir, one_model_file, shortcut_dir, state_dirs};
use crate::config::{self, Answers, Config, Gpus, ModelAnswers, Setting, draft, entry_text};
use crate::{private_file, supervisor};

/// The model, and how it is served.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["model", "shortcut"])))]
pub(super) struct Args {
    /// The model: a hub id or a path
    #[arg(long, value_name = "ID|PATH", value_parser = NonEmptyStringValueParser::new())]
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
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    profile: Option<String>,
    /// Set one key of the configuration to a value (YAML), as for `serve`; can be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// Start it in the background, and return when it accepts requests
    #[arg(long)]
    detach: bool,
}

/// What is made for one model.
struct Made {
    /// The name of the gateway.
    name: SavedName,
    /// Its configuration.
    text: String,
    /// What is put on top of that.
    settings: Vec<Setting>,
}

/// Serves it.
pub(super) fn run(args: &Args) -> ExitCode {
    let written = made(args).and_then(|made| Ok((write(&made.name, &made.text)?, made)));
    match written {
        Ok((file, made)) => {
            let stop = stopped_by(&made.name, &file, &args.settings);
            if !args.detach {
                say(&format!("Its configuration is {}. Stop it: Ctrl-C, or {stop}\n", file.display()));
            }
            serve::run(&serve::Args::of_file(file, stop, made.settings, args.detach))
        }
        Err(why) => fail(&why),
    }
}

/// The configuration of what is to be served.
fn made(args: &Args) -> Result<Made, String> {
    let (called, text, mut settings) = match (&args.model, &args.shortcut) {
        (Some(id), _) => {
            let model = model(id, args);
            (model.name.clone(), draft(&answers(vec![model], args.port)), Vec::new())
        }
        (None, Some(name)) => {
            let (text, _) = shortcut_config(name)?;
            let text = with_entry(&draft(&answers(Vec::new(), args.port)), name.as_str(), &text);
            (name.as_str().to_owned(), text, on_top(name.as_str(), &args.gpus, args.profile.as_deref())?)
        }
        (None, None) => return Err("Which model? Give --model or --shortcut.".to_owned()),
    };
    settings.extend(args.settings.iter().cloned());
    let name = match &args.name {
        Some(name) => name.clone(),
        None => gateway_name(&called)?,
    };
    // In quotes: `null` and `1.0` are names, too.
    let text = format!("{text}\n# For `enginehouse shutdown {0}`.\nname: \"{0}\"\n", name.as_str());
    Ok(Made { name, text, settings })
}

/// The command that stops the gateway. Blocks.
fn stopped_by(name: &SavedName, file: &Path, settings: &[Setting]) -> String {
    // A saved configuration of this name would be meant before ours, and settings may say another name or state directory.
    if settings.is_empty() && !name.file(&config_dir()).is_file() {
        return format!("enginehouse shutdown {}", name.as_str());
    }
    let config = Source::new(&[file.to_owned()], settings.to_vec(), None).load();
    shutdown_of(&config.map_or_else(|_| state_dirs().join(name.as_str()), |config| app::state_dir(&config)))
}

/// A model by its id.
fn model(id: &str, args: &Args) -> ModelAnswers {
    let last = if id.starts_with(['/', '.']) { id.trim_end_matches('/').rsplit('/').next() } else { None };
    let gpus = if args.gpus.is_empty() { Gpus::default() } else { Gpus::Listed(args.gpus.clone()) };
    ModelAnswers {
        name: last.unwrap_or(id).to_owned(),
        source: id.to_owned(),
        gpus,
        profile: args.profile.clone(),
        ..ModelAnswers::default()
    }
}

/// A configuration without models, with this one as it is written: comments, variables and all.
fn with_entry(config: &str, name: &str, text: &str) -> String {
    let head = config.trim_end().strip_suffix("models: {}").unwrap_or(config);
    format!("{head}{}", entry_text("models", name, text))
}

/// What the command line says of the model `name`.
fn on_top(name: &str, gpus: &[String], profile: Option<&str>) -> Result<Vec<Setting>, String> {
    let gpu = |gpu: &String| gpu.parse::<u32>().map_or_else(|_| Value::from(gpu.as_str()), Value::from);
    let gpus = (!gpus.is_empty()).then(|| ("gpus", gpus.iter().map(gpu).collect::<Value>()));
    let profile = profile.map(|profile| ("profile", Value::from(profile)));
    // JSON is YAML.
    let setting = |(key, value)| format!("models.{}.{key}={value}", Value::from(name)).parse();
    gpus.into_iter().chain(profile).map(setting).collect()
}

/// The text of a valid shortcut.
pub(super) fn shortcut(name: &SavedName) -> Result<String, String> {
    shortcut_config(name).map(|(text, _)| text)
}

/// The text of a valid shortcut, and what it means.
fn shortcut_config(name: &SavedName) -> Result<(String, Config), String> {
    let store = Store { folder: shortcut_dir(), what: "shortcut" };
    let text = store.text(name)?;
    let config = config::check_model(name.as_str(), &text, app::user_profiles(), &|name| std::env::var(name).ok())
        .map_err(|found| format!("The shortcut `{}` is not valid:\n\n{found}", name.as_str()))?;
    Ok((text, config))
}

fn answers(models: Vec<ModelAnswers>, port: u16) -> Answers {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let next = if port == 0 { 0 } else { port.checked_add(1).unwrap_or(port - 1) };
    Answers {
        about: "Written by `enginehouse run`, which replaces it at its next start.".to_owned(),
        listen: address(port),
        admin: address(next),
        models,
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
///
/// # Errors
/// When a gateway runs there, which would read it at its next reload, or it cannot be written.
pub(super) fn write(name: &SavedName, text: &str) -> Result<PathBuf, String> {
    let folder = state_dirs().join(name.as_str());
    if let Some(pid) = supervisor::gateway(&folder) {
        let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
        return Err(format!(
            "A gateway of the name `{}` runs already{pid}. Stop it: {}; or choose another name for the new one (--name NAME).",
            name.as_str(),
            shutdown_of(&folder)
        ));
    }
    let file = one_model_file(name);
    let written = supervisor::make_state_dir(&folder).and_then(|()| private_file::replace_text(&file, text));
    written.map(|()| file).map_err(|error| format!("{} cannot be written: {error}.", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Engines;

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
            let answers = answers(Vec::new(), port);
            (answers.listen.port(), answers.admin.port())
        };
        assert_eq!((ports(8000), ports(0), ports(u16::MAX)), ((8000, 8001), (0, 0), (65535, 65534)));
    }

    #[test]
    fn a_shortcut_is_served_as_it_is_written_with_the_command_line_on_top() {
        let shortcut = "# Mine\nsource: s\nreplicas: 2\nenv: { HF_TOKEN: \"${HF_TOKEN}\" }\nprofile: low_memory\n";
        let text = with_entry(&draft(&answers(Vec::new(), 0)), "my.model", shortcut);
        assert!(text.contains("    # Mine\n") && text.contains("${HF_TOKEN}"), "{text}");
        assert_eq!(text.matches("models:").count(), 1, "{text}");
        let settings = on_top("my.model", &["0".into(), "GPU-1a".into()], Some("mine")).expect("settings");
        let written: Vec<String> = settings.iter().map(Setting::argument).collect();
        assert!(written[0].ends_with(r#".gpus=[0,"GPU-1a"]"#) && written[1].ends_with(r#".profile="mine""#));
        let profile = config::Layer { path: "/p/mine.yaml".into(), text: "args: { seed: 1 }".into() };
        let layer = config::Layer { path: "/c/a.yaml".into(), text: text.into() };
        let layers = config::Layers::new(vec![layer], settings.into()).with_profiles([profile].into());
        let config = config::parse_layers(&layers, &|_| Some("secret".into())).expect("valid");
        let Engines::Spawn(spawn) = &config.models[0].engines else { panic!("engines of ours") };
        assert_eq!(&*config.models[0].name, "my.model");
        assert_eq!(
            (&spawn.gpus, spawn.profile.as_deref()),
            (&Gpus::Listed(vec!["0".into(), "GPU-1a".into()]), Some("mine"))
        );
        assert_eq!(spawn.args.get("seed"), Some(&Value::from(1)));
        assert_eq!(spawn.env["HF_TOKEN"], "secret");
    }
}
