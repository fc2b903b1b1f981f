//! Gathers the facts: reads the configuration and the machine, and asks the driver and the programs. Changes nothing.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::facts::{Configuration, Deployment, Facts, Port, Program, Token, TokenPlace, Wanted};
use super::{machine, ports, wanted};
use crate::app::Source;
use crate::cli::gpus;
use crate::config::{self, Config, Engines, Severity};
use crate::{app, estimate, flags, supervisor};

/// The environment.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Everything that can be known of this machine for the configuration of `source`.
pub(super) fn gather(source: Option<&Source>, state_dir: Option<&Path>, env: Env<'_>) -> Facts {
    let (configuration, config) = match source {
        Some(source) => read(source),
        None => (Configuration::NotGiven, None),
    };
    let wanted = config.as_ref().map(|config| wanted::wanted(config, env)).unwrap_or_default();
    let state_dirs = state_dirs(config.as_ref(), state_dir);
    let deployments: Vec<Deployment> = state_dirs.iter().map(|folder| deployment(folder)).collect();
    // Without a configuration: what one has that says nothing.
    let assumed = config.clone().or_else(default_config);
    let gateways: Vec<i32> = deployments.iter().filter_map(|one| one.gateway.flatten()).collect();
    let listening = ports::listening();
    Facts {
        programs: assumed.as_ref().map(programs).unwrap_or_default(),
        ports: assumed.as_ref().map(|config| listens(config, &gateways, &listening)).unwrap_or_default(),
        engine_ports: assumed.as_ref().map(|config| ports::engine_ports(config.ports.clone(), &listening)),
        gpus: gpus::read(),
        open_files: machine::open_files(),
        state_dir: machine::folder(&own_state_dir(config.as_ref(), state_dir)),
        deployments,
        hub: estimate::hub_cache(env).map(|folder| machine::folder(&folder)),
        token: token(env, config.as_ref()),
        shared_memory: machine::disk(Path::new("/dev/shm")),
        memory: machine::memory(),
        processors: machine::processors(),
        locked_memory: machine::locked_memory(),
        threads: machine::threads(),
        wanted: if config.is_some() { wanted } else { Wanted::default() },
        configuration,
    }
}

fn read(source: &Source) -> (Configuration, Option<Config>) {
    let title = source.title();
    match source.load() {
        Ok(config) => {
            let (models, aliases) = (config.models.len(), config.aliases.len());
            (Configuration::Valid { title, models, aliases }, Some(config))
        }
        Err(found) => {
            let errors: Vec<_> = found.0.iter().filter(|one| one.severity == Severity::Error).collect();
            let first = errors.first().map(|one| format!("{}: {}", one.place(), one.message())).unwrap_or_default();
            (Configuration::Broken { title, errors: errors.len(), first }, None)
        }
    }
}

/// The least that a configuration can say.
fn default_config() -> Option<Config> {
    config::parse("models: {model: {source: model}}", &|_| None).ok()
}

/// The programs that start vLLM, asked for their flags: it can take a minute, the first time after vLLM was installed.
fn programs(config: &Config) -> Vec<Program> {
    if io::stderr().is_terminal() {
        let _ = writeln!(io::stderr(), "Asking vLLM for its flags; the first time this takes a while ...");
    }
    let options = flags::Options::from_env(&|name| std::env::var_os(name));
    let told = |one: flags::Examined| Program {
        name: one.program,
        file: one.file,
        is_elsewhere: one.is_elsewhere,
        version: one.version,
        silent: one.silent,
        found: one.found,
    };
    flags::examine(config, &options).into_iter().map(told).collect()
}

/// Every address that the gateway of `config` listens on.
fn listens(config: &Config, gateways: &[i32], listening: &[ports::Listening]) -> Vec<Port> {
    let mut all: Vec<(String, SocketAddr)> =
        vec![("listen".to_owned(), config.listen), ("admin.listen".to_owned(), config.admin.listen)];
    for alias in &config.aliases {
        all.extend(alias.listen.map(|address| (format!("aliases.{}.listen", alias.name), address)));
    }
    let port = |(key, address)| Port { key, address, state: ports::state(address, gateways, listening) };
    all.into_iter().map(port).collect()
}

fn own_state_dir(config: Option<&Config>, given: Option<&Path>) -> PathBuf {
    match (config, given) {
        (Some(config), _) => app::state_dir(config),
        (None, Some(folder)) => folder.to_owned(),
        (None, None) => app::state_dirs(),
    }
}

/// The state directory of the configuration, or all in the usual place.
fn state_dirs(config: Option<&Config>, given: Option<&Path>) -> Vec<PathBuf> {
    if config.is_some() || given.is_some() {
        return vec![own_state_dir(config, given)];
    }
    let entries = fs::read_dir(app::state_dirs()).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn deployment(folder: &Path) -> Deployment {
    Deployment {
        state_dir: folder.to_owned(),
        gateway: supervisor::gateway(folder),
        processes: supervisor::processes(folder).len(),
    }
}

/// Where the hub's token is, in the order in which the hub's library looks; its value is not looked at.
fn token(env: Env<'_>, config: Option<&Config>) -> Token {
    let is_set = |name: &str| env(name).is_some_and(|text| !text.trim().is_empty());
    let models = config.map(|config| config.models.as_slice()).unwrap_or_default();
    let in_models = models.iter().any(|model| match &model.engines {
        Engines::Spawn(spawn) => spawn.env.contains_key("HF_TOKEN"),
        Engines::Urls(_) => false,
    });
    let variable = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find(|name| is_set(name));
    let place = match variable {
        Some(name) => Some(TokenPlace::Variable(name.to_owned())),
        None if in_models => Some(TokenPlace::Models),
        None => token_file(env),
    };
    let is_true = |text: String| ["1", "on", "yes", "true"].contains(&text.to_lowercase().as_str());
    Token { place, is_offline: env("HF_HUB_OFFLINE").is_some_and(is_true) }
}

fn token_file(env: Env<'_>) -> Option<TokenPlace> {
    let folder = |name: &str| env(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let path = folder("HF_TOKEN_PATH")
        .or_else(|| folder("HF_HOME").map(|home| home.join("token")))
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/token")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface/token")))?;
    let about = fs::metadata(&path).ok().filter(|about| about.is_file() && about.len() > 0)?;
    Some(TokenPlace::File { path, is_open: about.mode() & 0o044 != 0 })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_found_where_the_hub_looks_and_its_value_is_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().display().to_string();
        let env = |set: &'static [&'static str]| {
            let home = home.clone();
            move |name: &str| match name {
                "HF_HOME" => Some(home.clone()),
                name if set.contains(&name) => Some("1".to_owned()),
                _ => None,
            }
        };
        assert_eq!(token(&env(&[]), None), Token { place: None, is_offline: false });
        let file = folder.path().join("token");
        fs::write(&file, "hf_secret").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
        let found = token(&env(&["HF_HUB_OFFLINE"]), None);
        assert_eq!(found, Token { place: Some(TokenPlace::File { path: file, is_open: true }), is_offline: true });
        let variable = token(&env(&["HUGGING_FACE_HUB_TOKEN"]), None);
        assert_eq!(variable.place, Some(TokenPlace::Variable("HUGGING_FACE_HUB_TOKEN".into())));
        let text = "models: {m: {source: s, env: {HF_TOKEN: hf_secret}}}";
        let config = config::parse(text, &|_| None).expect("a configuration");
        assert_eq!(token(&|_| None, Some(&config)).place, Some(TokenPlace::Models));
    }

    #[test]
    fn a_configuration_with_errors_tells_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("g.yaml");
        fs::write(&file, "models: {m: {source: s}}\nlistne: x\n").expect("written");
        let (found, config) = read(&Source::new(&[file], Vec::new(), None));
        assert!(config.is_none());
        assert!(matches!(found, Configuration::Broken { errors: 1, first, .. } if first.contains("listne")));
        assert!(default_config().is_some());
    }
}
