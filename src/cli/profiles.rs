//! `enginehouse profiles`: the built-in profiles and the user's own.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::kept::{Action, Kind};
use super::output::fail;
use super::saved::store::{Store, write_new};
use super::saved::terminal::say;
use crate::app::{SavedName, profile_dir};
use crate::config::{self, Profile, builtin_profiles, profiles_yaml};
use crate::similar::similar;
use crate::text_table::aligned;

/// What is asked of profiles.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    /// Print only the profile with this name
    name: Option<SavedName>,
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

/// Does it.
pub(super) fn run(args: &Args) -> ExitCode {
    let kind = Kind {
        store: Store { folder: profile_dir(), what: "profile" },
        section: "profiles",
        check: |name, text| config::check_profile(name, text, &|name| std::env::var(name).ok()),
    };
    let done = match &args.action {
        None => rows(&kind.store)
            .and_then(|rows| chosen(&rows, args.name.as_ref().map(SavedName::as_str)))
            .map(|text| say(&text)),
        Some(ProfileAction::Kept(Action::List { json })) => {
            rows(&kind.store).map(|rows| say(&listed(&rows, &kind.store, *json)))
        }
        Some(ProfileAction::Kept(Action::Show { name } | Action::Export { name, file: None, .. })) => {
            rows(&kind.store).and_then(|rows| chosen(&rows, Some(name.as_str()))).map(|text| say(&text))
        }
        Some(ProfileAction::Kept(Action::Export { name, file: Some(file), force }))
            if builtin(name.as_str()) && !is_own(&kind.store, name) =>
        {
            let written =
                rows(&kind.store).and_then(|rows| write_new(file, &chosen(&rows, Some(name.as_str()))?, *force));
            written.map(|()| say(&format!("Written to {}.\n", file.display())))
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

/// All of them, or the one with this name, as a part of a configuration.
fn chosen(rows: &[Row], name: Option<&str>) -> Result<String, String> {
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
    let mut out = String::from("profiles:\n");
    for row in wanted {
        let part = match (&row.own, &row.builtin) {
            (Some(Ok(text)), _) => config::entry_text("profiles", &row.name, text),
            (Some(Err(why)), _) if name.is_some() => return Err(why.clone()),
            (Some(Err(_)), _) => format!("  # {}: the file of this profile of yours cannot be read.\n", row.name),
            (None, Some(profile)) => profiles_yaml(std::slice::from_ref(profile)),
            (None, None) => continue,
        };
        out += part.strip_prefix("profiles:\n").unwrap_or(&part);
    }
    Ok(out)
}

fn listed(rows: &[Row], store: &Store, json: bool) -> String {
    let description = |row: &Row| {
        let own = row.own.as_ref().and_then(|own| match own {
            Ok(text) => config::as_written(text)?.get("description").and_then(Value::as_str).map(str::to_owned),
            Err(_) => Some("(its file cannot be read)".to_owned()),
        });
        let builtin = || row.builtin.as_ref().filter(|_| row.own.is_none()).map(|profile| profile.description.clone());
        own.or_else(builtin).unwrap_or_default()
    };
    if json {
        let file = |row: &Row| {
            row.own.is_some().then(|| store.folder.join(format!("{}.yaml", row.name)).display().to_string())
        };
        let one = |row: &Row| {
            json!({
                "name": row.name,
                "source": if row.own.is_some() { "user" } else { "builtin" },
                "replaces_builtin": row.own.is_some() && row.builtin.is_some(),
                "file": file(row),
                "description": description(row),
            })
        };
        let all: Value = rows.iter().map(one).collect();
        return format!("{all:#}\n");
    }
    let mut lines = vec![["NAME", "WHOSE", "DESCRIPTION"].map(str::to_owned)];
    for row in rows {
        let whose = match (&row.own, &row.builtin) {
            (Some(_), Some(_)) => "yours, replaces the built-in one",
            (Some(_), None) => "yours",
            (None, _) => "built-in",
        };
        lines.push([row.name.clone(), whose.to_owned(), description(row)]);
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
        assert!(text(Some("fast")).is_err_and(|reason| reason.contains("standard, moe_optimized")));
        std::fs::write(folder.path().join("fast.yaml"), "# Mine\nargs: { seed: 1 }\n").expect("written");
        std::fs::write(folder.path().join("standard.yaml"), "description: ours\n").expect("written");
        assert_eq!(text(Some("fast")).as_deref(), Ok("profiles:\n  fast:\n    # Mine\n    args: { seed: 1 }\n"));
        let list = rows(&store).map(|rows| listed(&rows, &store, false)).expect("listed");
        assert!(list.contains("standard           yours, replaces the built-in one  ours\n"), "{list}");
        std::fs::write(folder.path().join("odd.yaml"), b"\xff").expect("written");
        let list = rows(&store).map(|rows| listed(&rows, &store, false)).expect("listed");
        assert!(list.contains("cannot be read") && list.contains("fast"), "{list}");
        assert!(text(Some("odd")).is_err_and(|why| why.contains("not UTF-8")));
        assert!(text(None).is_ok_and(|text| text.contains("  fast:\n") && text.contains("# odd: ")));
    }
}
