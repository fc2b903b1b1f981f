//! One profile or model as a text of its own, the way that it stands under its name in a configuration.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::layer::Layer;
use super::layers::Layers;
use super::load::{parse, parse_layers};
use super::overlay::entry_value;
use super::types::Config;
use super::words::word;

/// Lines before the entry.
const HEAD: u64 = 2;

/// The entry as a part of a configuration.
#[must_use]
pub fn entry_text(section: &str, name: &str, text: &str) -> String {
    let indented = |line: &str| if line.trim().is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
    format!("{section}:\n  {}:\n{}", word(name), text.lines().map(indented).collect::<String>())
}

/// The value of an entry as YAML.
#[must_use]
pub fn entry_yaml(value: &Value) -> Option<String> {
    serde_saphyr::to_string_with_options(value, serde_saphyr::ser_options! { indent_step: 2 }).ok()
}

/// What is wrong with `text` as the profile `name`.
///
/// # Errors
/// Everything, with lines of the text.
pub fn check_profile(name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Diagnostics> {
    entry_value(text)?;
    let user = format!("models: {{ m: {{ source: s, profile: {} }} }}\n", word(name));
    own_lines(parse(&(entry_text("profiles", name, text) + &user), env)).map(drop)
}

/// The configuration that has `text` as its only model, called `name`, which may name the user's `profiles`.
///
/// # Errors
/// Everything that is wrong, with lines of the text.
pub fn check_model(
    name: &str,
    text: &str,
    profiles: Arc<[Layer]>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Diagnostics> {
    entry_value(text)?;
    let layers = Layers::of(Path::new(""), &entry_text("models", name, text)).with_profiles(profiles);
    own_lines(parse_layers(&layers, env))
}

fn own_lines(read: Result<Config, Diagnostics>) -> Result<Config, Diagnostics> {
    // What is wrong with a profile of the user is told with its own file and line.
    let own = |one: Diagnostic| match one.file {
        None => Diagnostic { line: one.line.saturating_sub(HEAD), ..one },
        Some(_) => one,
    };
    read.map_err(|found| Diagnostics(found.0.into_iter().map(own).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_checked_by_themselves_with_their_own_lines() {
        let env = |_: &str| None;
        assert_eq!(check_profile("fast", "# Mine\ngpu_memory: 0.5\nargs:\n  seed: 1\n", &env), Ok(()));
        assert_eq!(check_profile("fast", "{ args: { seed: 1 } }", &env), Ok(()));
        let found = check_profile("fast", "# Mine\n\ngpu_memory: 7\n", &env).expect_err("too much");
        assert_eq!(found.0[0].place(), "profiles.fast.gpu_memory, line 3");
        assert!(check_profile("fast", "- 1\n", &env).is_err() && check_profile("fast", "a: [", &env).is_err());
        let config = check_model("q", "source: s\nprofile: low_memory\ngpus: [0]\n", [].into(), &env).expect("a model");
        assert_eq!(&*config.models[0].name, "q");
        assert!(check_model("q", "gpus: [0]\n", [].into(), &env).is_err(), "there is no source");
        let mine = |text: &str| [Layer { path: "/p/mine.yaml".into(), text: text.into() }].into();
        let with = |profile: &str| check_model("q", "source: s\nprofile: mine\n", mine(profile), &env);
        assert!(with("args: { seed: 1 }\n").is_ok(), "a profile of the user");
        let found = with("# Mine\n\ngpu_memory: 7\n").expect_err("too much");
        assert!(found.0[0].place().contains("line 3 of /p/mine.yaml"), "{found}");
    }

    #[test]
    fn a_value_is_written_as_yaml_that_says_the_same() {
        let value = serde_json::json!({ "args": { "a": "1.10", "b": [1, "x"] }, "description": "x: # y" });
        let text = entry_yaml(&value).expect("YAML");
        assert_eq!(entry_value(&text), Ok(value), "{text}");
    }
}
