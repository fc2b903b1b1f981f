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
    Err(Failure::new(Exit::Unknown, unknown(name, known())))
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
    Err(Failure::new(Exit::Unknown, unknown(name, models.iter().map(|model| model.model.as_str()))))
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.collect();
    let meant = similar(name, known.iter().copied(), 3);
    let hint = match meant.as_slice() {
        [] if known.is_empty() => "The gateway has no models.".to_owned(),
        [] => {
            known.truncate(20);
            format!("There are: {}.", known.join(", "))
        }
        meant => format!("Did you mean {}?", meant.join(", or ")),
    };
    format!("The gateway has no model and no engine `{name}`. {hint}")
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
        assert!(unknown("qwenn", ["qwen", "llama"].into_iter()).ends_with("Did you mean qwen?"));
        assert!(unknown("zzz", ["qwen", "llama"].into_iter()).ends_with("There are: qwen, llama."));
        assert!(unknown("zzz", [].into_iter()).contains("no models"));
    }
}
