//! What a command is about: a model or one of its engines, by name.

use super::output::{Exit, Failure};
use crate::api::{Client, EngineView, Target};
use crate::similar::similar;

/// The model or engine with this name. Where both have it, the model is meant.
///
/// # Errors
/// When there is none; it says which are most like it.
pub(super) fn target(client: &Client, name: &str) -> Result<Target, Failure> {
    let models = client.models()?.models;
    if models.iter().any(|model| model.model == name) {
        return Ok(Target::Model(name.to_owned()));
    }
    let known = || models.iter().flat_map(|model| [&model.model].into_iter().chain(&model.engines)).map(String::as_str);
    if known().any(|known| known == name) {
        return Ok(Target::Engine(name.to_owned()));
    }
    Err(unknown("model and no engine", name, known()))
}

/// The model with this name.
///
/// # Errors
/// When there is none.
pub(super) fn model(client: &Client, name: &str) -> Result<String, Failure> {
    let models = client.models()?.models;
    if models.iter().any(|model| model.model == name) {
        return Ok(name.to_owned());
    }
    Err(unknown("model", name, models.iter().map(|model| model.model.as_str())))
}

/// There is no `what` with this name; those that are most like it, or all that there are.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let mut known: Vec<&str> = known.collect();
    let meant = similar(name, known.iter().copied(), 3);
    let hint = match meant.as_slice() {
        [] if known.is_empty() => "It has none at all.".to_owned(),
        [] => {
            known.truncate(20);
            format!("There are: {}.", known.join(", "))
        }
        meant => format!("Did you mean {}?", meant.join(", or ")),
    };
    Failure::new(Exit::Unknown, format!("The gateway has no {what} `{name}`. {hint}"))
}

/// The engines of `target`, as they are now.
///
/// # Errors
/// When the gateway does not answer.
pub(super) fn engines(client: &Client, target: &Target) -> Result<Vec<EngineView>, Failure> {
    let mut engines = client.engines()?.engines;
    engines.retain(|engine| match target {
        Target::Model(name) => engine.model == *name,
        Target::Engine(id) => engine.engine == *id,
    });
    Ok(engines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_tells_what_was_probably_meant() {
        let told = |name: &str, known: &[&str]| unknown("model", name, known.iter().copied()).text;
        assert!(told("qwenn", &["qwen", "llama"]).ends_with("no model `qwenn`. Did you mean qwen?"));
        assert!(told("zzz", &["qwen", "llama"]).ends_with("There are: qwen, llama."));
        assert!(told("zzz", &[]).ends_with("It has none at all."));
    }
}
