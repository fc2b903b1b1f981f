//! The parts of a configuration that rules go through, each with its path.

use serde_json::{Map, Value};

use crate::config::path::Path;
use crate::config::raw::{Named, Raw, RawAlias, RawModel};
use crate::config::units::AsWritten;

/// Every model.
pub(super) fn models(raw: &Raw) -> impl Iterator<Item = (Path, &str, &RawModel)> {
    raw.models.iter().map(|(name, model)| (Path::of(&["models", name]), name, model))
}

/// Every alias, as written.
pub(super) fn aliases(raw: &Raw) -> impl Iterator<Item = (Path, &str, &RawAlias)> {
    raw.aliases.iter().map(|(name, alias)| (Path::of(&["aliases", name]), name, alias))
}

/// What a model or a profile writes about its engines: flags and environment.
pub(super) struct Bundle<'a> {
    /// Where.
    pub(super) path: Path,
    /// The flags.
    pub(super) args: Option<&'a Map<String, Value>>,
    /// The environment.
    pub(super) env: Option<&'a Named<AsWritten>>,
    /// The model; `None`: a profile, for any.
    pub(super) model: Option<&'a RawModel>,
}

/// Every model and every profile.
pub(super) fn bundles(raw: &Raw) -> impl Iterator<Item = Bundle<'_>> {
    let profiles = raw.profiles.iter().map(|(name, profile)| Bundle {
        path: Path::of(&["profiles", name]),
        args: Some(&profile.args),
        env: Some(&profile.env),
        model: None,
    });
    let models = models(raw).map(|(path, _, model)| Bundle {
        path,
        args: model.args.as_ref(),
        env: model.env.as_ref(),
        model: Some(model),
    });
    profiles.chain(models)
}
