//! What the home screen and the wizard have done: by the same code as the commands that do it.

use std::path::PathBuf;

use serde_json::Value;

use super::port::free_pair;
use crate::api::Client;
use crate::app::{self, RunningGateway, SavedName, Source, config_dir, profile_dir, shortcut_dir, state_dirs};
use crate::cli::background::{self, Detached};
use crate::cli::running::Running as Ask;
use crate::cli::saved::edit::edit;
use crate::cli::saved::list::{Row, row};
use crate::cli::saved::store::Store;
use crate::cli::{check, gpus, run, saved};
use crate::config::{self, Layer, Layers, ModelAnswers, builtin_profiles};
use crate::gpu::Inventory;
use crate::local_models::{Found, Places, scan};
use crate::supervisor;
use crate::tui::machine::{Gateway, Kept, Kind, Machine, Profile, Running, Saved, Start};
use crate::tui::monitor::Link;

/// This machine and this user.
pub(super) struct Here;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn store(kind: Kind) -> Store {
    match kind {
        Kind::Configuration => Store { folder: config_dir(), what: "configuration" },
        Kind::Profile => Store { folder: profile_dir(), what: "profile" },
        Kind::Shortcut => Store { folder: shortcut_dir(), what: "shortcut" },
    }
}

fn saved_name(name: &str) -> Result<SavedName, String> {
    name.parse().map_err(|why| format!("`{name}`: {why}."))
}

/// The file of what is to be started.
fn file(what: &Start) -> Result<PathBuf, String> {
    match what {
        Start::Saved(name) => store(Kind::Configuration).existing(&saved_name(name)?),
        Start::Text { name, text } => {
            let name = saved_name(name)?;
            run::write(&name, &named(text, name.as_str()))
        }
    }
}

/// A configuration with this name, unless it has one.
fn named(text: &str, name: &str) -> String {
    match config::as_written(text) {
        Some(root) if root.contains_key("name") => text.to_owned(),
        _ => format!("{text}\n# For `enginehouse shutdown {name}`.\nname: \"{name}\"\n"),
    }
}

/// The way to a gateway that is found by its process; later by its name.
fn gateway(found: &RunningGateway) -> Gateway {
    let client = Client::new(found.admin, found.token.as_ref());
    let ask = Ask { gateway: Some(found.name.clone()), ..Ask::default() };
    let link = Link::new(client, move || ask.find().ok().map(|found| found.client));
    Gateway { link, label: format!("The gateway `{}`", found.name), ran_before: false }
}

fn by_process(pid: u32) -> Option<RunningGateway> {
    RunningGateway::all().into_iter().find(|gateway| gateway.pid == pid)
}

impl Machine for Here {
    fn saved(&self) -> Result<Vec<Saved>, String> {
        let store = store(Kind::Configuration);
        let saved = |name: &SavedName| {
            let Row { name: text, models, ports, modified, valid, errors, .. } = row(&store, name);
            let summary = || {
                let file = name.file(&store.folder);
                let config = Source::new(std::slice::from_ref(&file), Vec::new(), None).load();
                config.map(|config| config::overview(&config)).unwrap_or_default()
            };
            Saved {
                name: text,
                models,
                ports,
                changed: modified.unwrap_or_default().replace('T', " ").replace('Z', ""),
                text: if valid { summary() } else { errors.join("\n") },
                is_valid: valid,
            }
        };
        Ok(store.names()?.iter().map(saved).collect())
    }

    fn running(&self) -> Vec<Running> {
        let running = |gateway: RunningGateway| {
            let client = Client::new(gateway.admin, gateway.token.as_ref());
            // The process of a file that was left may be another one since.
            let status = client.status().ok().filter(|status| status.pid == gateway.pid)?;
            let models = client.models().map(|found| found.models).unwrap_or_default();
            Some(Running {
                name: status.name,
                pid: gateway.pid,
                operators: gateway.admin.to_string(),
                file: gateway.configuration_file.display().to_string(),
                models: models.into_iter().map(|model| model.model).collect(),
            })
        };
        RunningGateway::all().into_iter().filter_map(running).collect()
    }

    fn attach(&self, running: &Running) -> Result<Gateway, String> {
        let found = by_process(running.pid).ok_or_else(|| format!("`{}` has ended.", running.name))?;
        Ok(gateway(&found))
    }

    fn start(&self, what: &Start) -> Result<Gateway, String> {
        let file = file(what)?;
        let runs = |one: &Running| matches!(what, Start::Saved(_)) && file == std::path::Path::new(&one.file);
        if let Some(running) = self.running().iter().find(|one| runs(one)) {
            return Ok(Gateway { ran_before: true, ..self.attach(running)? });
        }
        let detached = Detached { files: vec![file], settings: Vec::new(), state_dir: None, ready_file: None };
        let started = background::start(&detached)?;
        // One with a state directory of its own is not in the usual place.
        let folder = started.log.parent().and_then(|folder| RunningGateway::on(folder).ok()?);
        let found = folder.filter(|found| found.pid == started.pid).or_else(|| by_process(started.pid));
        found.map(|found| gateway(&found)).ok_or_else(|| {
            format!(
                "{started}\nIt runs, but it is not found: `enginehouse top --admin {}` shows it.",
                started.operators
            )
        })
    }

    fn kept(&self) -> Result<Vec<Kept>, String> {
        let mut all = Vec::new();
        for kind in [Kind::Configuration, Kind::Profile, Kind::Shortcut] {
            let store = store(kind);
            all.extend(store.names()?.into_iter().map(|name| Kept {
                kind,
                file: name.file(&store.folder).display().to_string(),
                name: name.as_str().to_owned(),
            }));
        }
        Ok(all)
    }

    fn folders(&self) -> Vec<(String, String)> {
        let folders = [
            ("Configurations", config_dir()),
            ("Profiles", profile_dir()),
            ("Shortcuts", shortcut_dir()),
            ("Records and logs", state_dirs()),
        ];
        folders.map(|(what, folder)| (what.to_owned(), folder.display().to_string())).to_vec()
    }

    fn delete(&self, kind: Kind, name: &str) -> Result<(), String> {
        store(kind).delete(&saved_name(name)?, true).map(drop)
    }

    fn edit(&self, kind: Kind, name: &str) -> Result<(), String> {
        let name = saved_name(name)?;
        let file = store(kind).existing(&name)?;
        let said = |found: config::Diagnostics| found.to_string();
        match kind {
            Kind::Configuration => edit(&file, &|text| saved::check(&file, text)),
            Kind::Profile => edit(&file, &|text| config::check_profile(name.as_str(), text, &variable).map_err(said)),
            Kind::Shortcut => edit(&file, &|text| {
                config::check_model(name.as_str(), text, app::user_profiles(), &variable).map(drop).map_err(said)
            }),
        }
    }

    fn text(&self, name: &str) -> Result<String, String> {
        store(Kind::Configuration).text(&saved_name(name)?)
    }

    fn save(&self, name: &str, text: &str, read: Option<&str>) -> Result<(), String> {
        let (store, name) = (store(Kind::Configuration), saved_name(name)?);
        if read.is_some_and(|read| store.text(&name).is_ok_and(|now| now != read)) {
            return Err(format!(
                "`{}` was changed by others meanwhile, and was not replaced: leave this without saving, and edit it anew.",
                name.as_str()
            ));
        }
        if read.is_none() && name.file(&store.folder).exists() {
            return Err(format!("A configuration `{}` is saved already: type another name.", name.as_str()));
        }
        saved::check(&name.file(&store.folder), text)?;
        store.save(&name, text, read.is_some())
    }

    fn review(&self, name: Option<&str>, text: &str) -> Result<String, String> {
        let file = name.map(saved_name).transpose()?.map(|name| name.file(&config_dir()));
        let is_filed = file.is_some();
        let layer = Layer { path: file.unwrap_or_default(), text: text.into() };
        let layers = Layers::new(vec![layer], [].into());
        let config = config::parse_layers(&layers.with_profiles(app::user_profiles()), &variable)
            .map_err(|found| found.to_string())?;
        check::told(&config, is_filed, &variable, &gpus::read)
    }

    fn gpus(&self, name: Option<&str>) -> Inventory {
        let mut inventory = gpus::read();
        let file = name.and_then(|name| saved_name(name).ok()).map(|name| name.file(&config_dir()));
        let config = file.and_then(|file| Source::new(&[file], Vec::new(), None).load().ok());
        if let Some(config) = config {
            inventory.forget(&supervisor::processes(&app::state_dir(&config)));
        }
        inventory
    }

    fn local_models(&self) -> Found {
        scan(&Places::new(&variable, Vec::new()))
    }

    fn shortcuts(&self) -> (Vec<ModelAnswers>, usize) {
        let (mut models, mut bad) = (Vec::new(), 0);
        for name in store(Kind::Shortcut).names().unwrap_or_default() {
            let Ok(text) = run::shortcut(&name) else {
                bad += 1;
                continue;
            };
            let read = config::as_written(&text).and_then(|root| ModelAnswers::read(name.as_str(), &root).ok());
            models.extend(read.map(|model| ModelAnswers { entry: Some(text), ..model }));
        }
        (models, bad)
    }

    fn profiles(&self) -> Vec<Profile> {
        let store = store(Kind::Profile);
        let yours = |name: &SavedName| {
            let root = store.text(name).ok().and_then(|text| config::as_written(&text)).unwrap_or_default();
            Profile {
                name: name.as_str().to_owned(),
                description: "Yours.".to_owned(),
                gpu_memory: root.get("gpu_memory").and_then(Value::as_f64),
                args: root.get("args").and_then(Value::as_object).cloned().unwrap_or_default(),
            }
        };
        let own: Vec<Profile> = store.names().unwrap_or_default().iter().map(yours).collect();
        let builtin = builtin_profiles();
        let mut all: Vec<Profile> = builtin
            .into_iter()
            .map(|config::Profile { name, description, gpu_memory, args, .. }| {
                let own = own.iter().find(|own| own.name == name).cloned();
                own.unwrap_or(Profile { name, description, gpu_memory, args })
            })
            .collect();
        for profile in own {
            if all.iter().all(|known| known.name != profile.name) {
                all.push(profile);
            }
        }
        all
    }

    fn port(&self) -> u16 {
        free_pair()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_has_one_name() {
        assert_eq!(named("name: mine\n", "other"), "name: mine\n");
        assert!(named("models: {}\n", "other").ends_with("\nname: \"other\"\n"));
    }
}
