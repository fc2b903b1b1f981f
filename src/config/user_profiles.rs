//! Profiles that a user keeps beside configurations: each is part of a configuration as soon as a model of it names it.

use super::document::{self, Kind, Node, Origins};
use super::layer::Layer;

/// The key of profiles.
const SECTION: &str = "profiles";

/// The user's profiles, by name. What cannot be read is left out: nobody may need it.
#[derive(Clone, Debug, Default)]
pub(super) struct UserProfiles(Vec<(String, Node)>);

impl UserProfiles {
    /// Those in these files, whose lines are added to those of `origins`.
    pub(super) fn read(files: &[Layer], origins: &mut Origins) -> Self {
        let mut profiles = Vec::new();
        for file in files {
            let Some(name) = file.path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let mut found = Vec::new();
            let Some(mut node) = document::read(&file.text, &mut found).filter(|_| found.is_empty()) else { continue };
            let lines = u64::try_from(file.text.lines().count()).unwrap_or(u64::MAX);
            origins.add_aside(&file.path.display().to_string(), lines, &mut node);
            profiles.push((name.to_owned(), node));
        }
        Self(profiles)
    }

    /// The document with those of the profiles that its models name and that it does not have itself.
    pub(super) fn named_by(&self, root: &Node) -> Node {
        let has = |name: &str| mapping(root, SECTION).iter().any(|(known, ..)| known == name);
        let wanted: Vec<&(String, Node)> =
            self.0.iter().filter(|(name, _)| !has(name) && is_named(root, name)).collect();
        let (false, Kind::Map(members)) = (wanted.is_empty(), &root.kind) else { return root.clone() };
        let mut members = members.clone();
        let at = members.iter().position(|(key, ..)| key == SECTION).unwrap_or_else(|| {
            members.push((SECTION.to_owned(), 0, empty()));
            members.len() - 1
        });
        let section = &mut members[at].2;
        if matches!(section.kind, Kind::Null) {
            *section = empty();
        }
        if let Kind::Map(profiles) = &mut section.kind {
            // The line of its first key is in its file, and so are those of all below.
            profiles.extend(wanted.into_iter().map(|(name, node)| (name.clone(), node.line, node.clone())));
        }
        Node { kind: Kind::Map(members), ..root.clone() }
    }
}

/// Whether a model names the profile.
fn is_named(root: &Node, name: &str) -> bool {
    mapping(root, "models").iter().any(|(_, _, model)| {
        let Kind::Map(members) = &model.kind else { return false };
        let named = |(key, _, value): &(String, u64, Node)| {
            key == "profile" && matches!(&value.kind, Kind::Text(text) if text == name)
        };
        members.iter().any(named)
    })
}

/// The members of a mapping at the top; none where it is none.
fn mapping<'a>(root: &'a Node, key: &str) -> &'a [(String, u64, Node)] {
    let Kind::Map(members) = &root.kind else { return &[] };
    match members.iter().find(|(name, ..)| name == key).map(|(_, _, node)| &node.kind) {
        Some(Kind::Map(members)) => members,
        _ => &[],
    }
}

fn empty() -> Node {
    Node { kind: Kind::Map(Vec::new()), line: 0, spelling: String::new() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, Diagnostics, Engines, Layers, notes, parse_layers};

    fn read(text: &str, profiles: &[(&str, &str)]) -> Result<Config, Diagnostics> {
        let layer =
            |(name, text): &(&str, &str)| Layer { path: format!("/p/{name}.yaml").into(), text: (*text).into() };
        let profiles: Arc<[Layer]> = profiles.iter().map(layer).collect();
        parse_layers(&Layers::of(Path::new("/c/a.yaml"), text).with_profiles(profiles), &|_| None)
    }

    fn args(config: &Config) -> String {
        match &config.models[0].engines {
            Engines::Spawn(spawn) => serde_json::to_string(&spawn.args).expect("JSON"),
            Engines::Urls(_) => panic!("engines of ours"),
        }
    }

    const MODEL: &str = "models:\n  m: { source: s, profile: low_memory }\n";

    #[test]
    fn a_users_profile_is_used_where_a_model_names_it_and_a_note_says_so() {
        let profiles = [("low_memory", "args: { seed: 1 }\n"), ("other", "gpu_memory: 7\n"), ("broken", "a: [")];
        let config = read(MODEL, &profiles).expect("what is not named is not looked at");
        assert_eq!(args(&config), r#"{"seed":1}"#, "it replaces the built-in one");
        let noted: Vec<String> = notes(&config).iter().map(ToString::to_string).collect();
        let [note] = &noted[..] else { panic!("one note: {noted:?}") };
        assert!(note.contains("line 2") && note.contains("/p/low_memory.yaml"), "{note}");
        let own = read(&format!("profiles: {{ low_memory: {{ args: {{ seed: 2 }} }} }}\n{MODEL}"), &profiles);
        let own = own.expect("valid");
        assert_eq!((args(&own).as_str(), notes(&own).len()), (r#"{"seed":2}"#, 0), "the file's own wins");
        assert_eq!(read(MODEL, &profiles).expect("valid").name, read(MODEL, &[]).expect("valid").name);
    }

    #[test]
    fn what_is_wrong_with_a_users_profile_is_told_with_its_file() {
        let found = read(MODEL, &[("low_memory", "# Mine\ngpu_memory: 7\n")]).expect_err("too much");
        let places: Vec<String> = found.0.iter().map(|one| one.place()).collect();
        assert_eq!(places, ["profiles.low_memory.gpu_memory, line 2 of /p/low_memory.yaml"]);
        let found = read(&format!("{MODEL}threads: 0\n"), &[("low_memory", "args: {}\n")]).expect_err("none");
        assert_eq!(found.0[0].place(), "threads, line 3", "there is one file");
    }
}
