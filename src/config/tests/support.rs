//! What the tests of configurations share.

use crate::config::*;

/// An environment of a few variables.
pub(super) fn env(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("sk-from-env".into()),
        "THREADS" => Some("3".into()),
        "YES" => Some("true".into()),
        "TEMP" => Some("0.5".into()),
        _ => None,
    }
}

/// The configuration in a good text.
pub(super) fn good(text: &str) -> Config {
    parse(text, &env).unwrap_or_else(|found| panic!("{found}\n\n{text}"))
}

/// How the first model is started.
pub(super) fn spawn(config: &Config) -> &Spawn {
    match &config.models[0].engines {
        Engines::Spawn(spawn) => spawn,
        Engines::Urls(_) => panic!("these engines run already"),
    }
}

/// What is wrong with a text.
pub(super) fn found(text: &str) -> Vec<Diagnostic> {
    match parse(text, &env) {
        Ok(config) => panic!("nothing wrong with\n{text}\n{config:?}"),
        Err(found) => found.0,
    }
}

/// `text` has exactly these diagnostics: each a path and a part of its text.
#[track_caller]
pub(super) fn assert_found(text: &str, expected: &[(&str, &str)]) {
    let found = found(text);
    let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
    let wanted: Vec<&str> = expected.iter().map(|(path, _)| *path).collect();
    assert_eq!(paths, wanted, "\n{text}\n{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    for (one, (_, part)) in found.iter().zip(expected) {
        assert!(one.to_string().contains(part), "{part:?} is not in:\n{one}");
    }
}

/// The same for members of one started model.
#[track_caller]
pub(super) fn assert_found_in_model(members: &str, expected: &[(&str, &str)]) {
    assert_found(&format!("models: {{m: {{source: s, {members}}}}}"), expected);
}
