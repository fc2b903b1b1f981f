//! `enginehouse profiles`: the built-in profiles and the user's own.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;

use super::kept::{Action, Kind, Part, entry};
use super::output::{complain, fail, print_json};
use super::saved::store::{Store, export};
use super::saved::terminal::say;
use crate::app::{SavedName, profile_dir};
use crate::config::{self, Diagnostics, Profile, builtin_profiles, profiles_yaml};
use crate::similar::similar;
use crate::text_table::aligned;

/// What is asked of profiles.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    /// Print only the profile with this name
    name: Option<SavedName>,
    /// Print JSON: the same part of a configuration
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<ProfileAction>,
}

/// What is done with profiles.
#[derive(Debug, Subcommand)]
enum ProfileAction {
    #[command(flatten)]
    Kept(Action),
    /// Delete your profile that replaces a built-in one, which counts again
    Reset {
        /// Its name
        name: SavedName,
    },
}

/// One profile as it is listed.
struct Row {
    name: String,
    builtin: Option<Profile>,
    /// The text of the user's, or why it cannot be read.
    own: Option<Result<String, String>>,
}

/// What the list tells of one.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    source: Source,
    /// It takes the place of a built-in one.
    replaces_builtin: bool,
    /// Where the user's is.
    file: Option<String>,
    description: String,
    valid: bool,
    /// What is wrong with it.
    error: Option<String>,
}

/// Whose a profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    User,
    Builtin,
}

/// Does it.
pub(super) fn run(args: &Args) -> ExitCode {
    let kind = Kind { store: Store { folder: profile_dir(), what: "profile" }, section: "profiles", check };
    let done = match &args.action {
        None => show(&kind.store, args.name.as_ref(), args.json),
        Some(ProfileAction::Kept(Action::List { json })) => list(&kind.store, *json),
        Some(ProfileAction::Kept(Action::Show { name, json })) => show(&kind.store, Some(name), *json),
        Some(ProfileAction::Kept(Action::Export { name, file, force })) => {
            rows(&kind.store).and_then(|rows| export(&chosen(&rows, Some(name.as_str()))?, file.as_deref(), *force))
        }
        Some(ProfileAction::Kept(Action::Delete { name, .. }))
            if builtin(name.as_str()) && !is_own(&kind.store, name) =>
        {
            Err(format!("`{}` is a built-in profile, which cannot be deleted.", name.as_str()))
        }
        Some(ProfileAction::Kept(other)) => kind.run(other),
        Some(ProfileAction::Reset { name }) => reset(&kind.store, name),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn check(name: &str, text: &str) -> Result<(), Diagnostics> {
    config::check_profile(name, text, &|name| std::env::var(name).ok())
}

fn builtin(name: &str) -> bool {
    builtin_profiles().iter().any(|profile| profile.name == name)
}

fn is_own(store: &Store, name: &SavedName) -> bool {
    name.file(&store.folder).is_file()
}

/// The built-in profiles in their order, and then the other ones of the user.
fn rows(store: &Store) -> Result<Vec<Row>, String> {
    let mut own = Vec::new();
    for name in store.names()? {
        own.push((name.as_str().to_owned(), store.text(&name)));
    }
    let mut rows: Vec<Row> = builtin_profiles()
        .into_iter()
        .map(|profile| {
            let at = own.iter().position(|(name, _)| *name == profile.name);
            Row { name: profile.name.clone(), builtin: Some(profile), own: at.map(|at| own.remove(at).1) }
        })
        .collect();
    rows.extend(own.into_iter().map(|(name, text)| Row { name, builtin: None, own: Some(text) }));
    Ok(rows)
}

/// Prints all of them, or the one with this name.
fn show(store: &Store, name: Option<&SavedName>, json: bool) -> Result<(), String> {
    let (rows, name) = (rows(store)?, name.map(SavedName::as_str));
    if json {
        print_json(&chosen_json(&rows, name)?);
    } else {
        say(&chosen(&rows, name)?);
    }
    Ok(())
}

/// All of them, or the one with this name.
fn wanted<'a>(rows: &'a [Row], name: Option<&str>) -> Result<Vec<&'a Row>, String> {
    let wanted: Vec<&Row> = rows.iter().filter(|row| name.is_none_or(|name| row.name == name)).collect();
    if let (Some(name), true) = (name, wanted.is_empty()) {
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let near = similar(name, names.iter().copied(), 1)
            .first()
            .map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
        return Err(format!(
            "There is no profile `{name}`.{near} There are {}; others are in configurations.",
            names.join(", ")
        ));
    }
    Ok(wanted)
}

/// The same as a part of a configuration, in JSON. Those that cannot be read are left out where all are shown.
fn chosen_json(rows: &[Row], name: Option<&str>) -> Result<Part, String> {
    let mut entries = Vec::new();
    for row in wanted(rows, name)? {
        let value = match (&row.own, &row.builtin) {
            (Some(Ok(text)), _) => entry("profile", &row.name, text),
            (Some(Err(why)), _) => Err(why.clone()),
            (None, Some(profile)) => Ok(as_json(profile)),
            (None, None) => continue,
        };
        match value {
            Ok(value) => entries.push((row.name.clone(), value)),
            Err(why) if name.is_some() => return Err(why),
            Err(why) => complain(&format!("{} was left out: {why}", row.name)),
        }
    }
    Ok(Part::of("profiles", entries))
}

/// A built-in profile as it is written.
fn as_json(profile: &Profile) -> Value {
    let mut written = config::as_written(&profiles_yaml(std::slice::from_ref(profile))).unwrap_or_default();
    written.get_mut("profiles").and_then(|all| all.get_mut(&profile.name)).map(Value::take).unwrap_or_default()
}

/// The same as text, with the comments that are written there.
fn chosen(rows: &[Row], name: Option<&str>) -> Result<String, String> {
    let mut out = String::from("profiles:\n");
    for row in wanted(rows, name)? {
        let own = row.own.clone().map(|own| own.and_then(|text| entry("profile", &row.name, &text).map(|_| text)));
        let part = match (own, &row.builtin) {
            (Some(Ok(text)), _) => config::entry_text("profiles", &row.name, &text),
            (Some(Err(why)), _) if name.is_some() => return Err(why),
            (Some(Err(_)), _) => format!("  # {}: the file of this profile of yours cannot be read.\n", row.name),
            (None, Some(profile)) => profiles_yaml(std::slice::from_ref(profile)),
            (None, None) => continue,
        };
        out += part.strip_prefix("profiles:\n").unwrap_or(&part);
    }
    Ok(out)
}

/// Prints one line of each.
fn list(store: &Store, json: bool) -> Result<(), String> {
    let all: Vec<Listed> = rows(store)?.iter().map(|row| Listed::of(row, store)).collect();
    if json {
        print_json(&all);
    } else {
        say(&table(&all));
    }
    Ok(())
}

impl Listed {
    fn of(row: &Row, store: &Store) -> Self {
        let own = row.own.as_ref().and_then(|own| match own {
            Ok(text) => config::as_written(text)?.get("description").and_then(Value::as_str).map(str::to_owned),
            Err(_) => Some("(its file cannot be read)".to_owned()),
        });
        let builtin = || row.builtin.as_ref().filter(|_| row.own.is_none()).map(|profile| profile.description.clone());
        let is_own = row.own.is_some();
        let error = row.own.as_ref().and_then(|own| match own {
            Ok(text) => check(&row.name, text).err().map(|found| found.to_string()),
            Err(why) => Some(why.clone()),
        });
        Self {
            name: row.name.clone(),
            source: if is_own { Source::User } else { Source::Builtin },
            replaces_builtin: is_own && row.builtin.is_some(),
            file: is_own.then(|| store.folder.join(format!("{}.yaml", row.name)).display().to_string()),
            description: own.or_else(builtin).unwrap_or_default(),
            valid: error.is_none(),
            error,
        }
    }
}

fn table(all: &[Listed]) -> String {
    let mut lines = vec![["NAME", "WHOSE", "STATE", "DESCRIPTION"].map(str::to_owned)];
    for one in all {
        let whose = match (one.source, one.replaces_builtin) {
            (Source::User, true) => "yours, replaces the built-in one",
            (Source::User, false) => "yours",
            (Source::Builtin, _) => "built-in",
        };
        let state = if one.valid { "valid" } else { "not valid" };
        lines.push([one.name.clone(), whose.to_owned(), state.to_owned(), one.description.clone()]);
    }
    aligned(&lines)
}

fn reset(store: &Store, name: &SavedName) -> Result<(), String> {
    if !builtin(name.as_str()) {
        let name = name.as_str();
        return Err(format!(
            "There is no built-in profile `{name}`; `enginehouse profiles delete {name}` deletes one of yours."
        ));
    }
    if !is_own(store, name) {
        say(&format!("`{}` is the built-in profile already.\n", name.as_str()));
        return Ok(());
    }
    store.delete(name, true).map(|said| say(&said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_one_or_a_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store { folder: folder.path().to_owned(), what: "profile" };
        let text = |name: Option<&str>| rows(&store).and_then(|rows| chosen(&rows, name));
        assert!(text(None).is_ok_and(|text| text.contains("  standard:\n") && text.contains("  gpt_oss_hopper:\n")));
        let one = text(Some("moe_optimized")).expect("a profile");
        let expected = "profiles:\n  moe_optimized:\n    description: \"Mixture-of-experts models on several GPUs: whole \
                        experts on each instead of slices of all\"\n    args:\n      enable-expert-parallel: true\n";
        assert_eq!(one, expected);
        let json = rows(&store).and_then(|rows| chosen_json(&rows, Some("moe_optimized"))).expect("a profile");
        let json = serde_json::to_value(json).expect("JSON");
        assert_eq!(json["profiles"]["moe_optimized"]["args"]["enable-expert-parallel"], true, "{json}");
        assert!(text(Some("fast")).is_err_and(|reason| reason.contains("standard, moe_optimized")));
        std::fs::write(folder.path().join("fast.yaml"), "# Mine\nargs: { seed: 1 }\n").expect("written");
        std::fs::write(folder.path().join("standard.yaml"), "description: ours\n").expect("written");
        assert_eq!(text(Some("fast")).as_deref(), Ok("profiles:\n  fast:\n    # Mine\n    args: { seed: 1 }\n"));
        let list = rows(&store)
            .map(|rows| table(&rows.iter().map(|row| Listed::of(row, &store)).collect::<Vec<_>>()))
            .expect("listed");
        assert!(list.contains("standard           yours, replaces the built-in one  valid  ours\n"), "{list}");
        std::fs::write(folder.path().join("odd.yaml"), b"\xff").expect("written");
        let list = rows(&store)
            .map(|rows| table(&rows.iter().map(|row| Listed::of(row, &store)).collect::<Vec<_>>()))
            .expect("listed");
        assert!(list.contains("not valid  (its file cannot be read)") && list.contains("fast"), "{list}");
        assert!(text(Some("odd")).is_err_and(|why| why.contains("not UTF-8")));
        std::fs::write(folder.path().join("odd.yaml"), "a: [").expect("written");
        assert!(text(Some("odd")).is_err_and(|why| why.contains("profiles edit odd")));
        assert!(text(None).is_ok_and(|text| text.contains("  fast:\n") && text.contains("# odd: ")));
    }
}
