//! From a file to a validated configuration, or to everything that is wrong with it.

use std::path::Path as FilePath;

use serde::Deserialize;

use super::convert::convert;
use super::diagnostic::{Diagnostic, Diagnostics, Draft};
use super::document::{Env, Node, Origins, Resolver, SourceMap};
use super::file::{START, read_file};
use super::layers::{Document, Layers};
use super::overlay::{self, Merged, Overlay};
use super::path::Path;
use super::raw::Raw;
use super::types::{Config, without_nulls};
use super::user_profiles::UserProfiles;
use super::{rules, schema};

/// Reads, expands and validates the configuration in the file at `path`; `env` looks up environment variables.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(path: &FilePath, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
    parse_layers(&Layers::of(path, &read_file(path)?), env)
}

/// The same for what consists of `layers`.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse_layers(layers: &Layers, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
    read_layers(layers, env, &layers.gateway_name()).map(|(_, config)| config)
}

/// The same with `overlay` on it. The files must be valid by themselves; entries of the overlay that are not are disabled.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn parse_with(
    layers: &Layers,
    overlay: &Overlay,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Merged, Diagnostics> {
    let name = layers.gateway_name();
    let (Whole { root, origins, profiles }, config) = read_layers(layers, env, &name)?;
    let read = |root: &Node| assemble(root, (&origins, &profiles), env, &name).map_err(Diagnostics);
    Ok(overlay::merge((&root, config), overlay, read))
}

/// The same for a text without a file.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
    parse_layers(&Layers::of(FilePath::new(""), text), env)
}

/// A document with what it may name.
struct Whole {
    root: Node,
    origins: Origins,
    /// The user's profiles.
    profiles: UserProfiles,
}

fn read_layers(layers: &Layers, env: Env<'_>, name: &str) -> Result<(Whole, Config), Diagnostics> {
    let Document { root, mut origins, mut found } = layers.document()?;
    let profiles = layers.profiles(&mut origins);
    match assemble(&root, (&origins, &profiles), env, name) {
        Ok(config) if found.is_empty() => Ok((Whole { root, origins, profiles }, config)),
        Ok(_) => Err(Diagnostics(found)),
        Err(more) => {
            // What is wrong with a mapping as a whole may only follow from a key of it that could not be read.
            let is_news = |one: &Diagnostic| found.iter().all(|known| known.path != one.path);
            let more: Vec<Diagnostic> = more.into_iter().filter(is_news).collect();
            found.extend(more);
            origins.sort(&mut found);
            Err(Diagnostics(found))
        }
    }
}

fn assemble(
    root: &Node,
    (origins, profiles): (&Origins, &UserProfiles),
    env: Env<'_>,
    name: &str,
) -> Result<Config, Vec<Diagnostic>> {
    let root = &profiles.named_by(root);
    let schema = schema::schema();
    let source_map = SourceMap::of(origins.clone());
    let mut resolver = Resolver { schema: &schema, env, source_map, drafts: Vec::new() };
    let mut value = resolver.resolve(root, &Path::default(), Some(&schema)).unwrap_or_default();
    let (mut source_map, mut drafts) = (resolver.source_map, resolver.drafts);
    without_nulls(&mut value);
    source_map.note_document(root, &value);
    drafts.extend(schema::check(&schema, &value));
    // What was not understood, and what a typo was meant to be.
    let unclear: Vec<Path> =
        drafts.iter().flat_map(|draft| [Some(draft.path.setting()), draft.meant.clone()]).flatten().collect();
    schema::prune(&mut value, &schema, &unclear);
    let result = match Raw::deserialize(value) {
        Ok(raw) => {
            drafts.extend(rules::check(&raw).into_iter().filter(|draft| !is_consequence(draft, &unclear)));
            if drafts.is_empty() { convert(raw, name).map_err(|draft| drafts.push(draft)) } else { Err(()) }
        }
        // The schema is made from these types, so it has found this already; if not, this is the place to say so.
        Err(error) => {
            if drafts.is_empty() {
                drafts.push(Draft::of_text(format!("It cannot be understood: {error}."), START));
            }
            Err(())
        }
    };
    match result {
        Ok(config) => Ok(Config { source_map: source_map.into(), ..config }),
        Err(()) => Err(drafts.into_iter().map(|draft| source_map.locate(draft)).collect()),
    }
}

/// Whether a draft only follows from something that is told already.
fn is_consequence(draft: &Draft, unclear: &[Path]) -> bool {
    let of = |path: &Path| unclear.iter().any(|unclear| unclear.leads_to(path));
    // A name that nothing has may be that of an adapter or variant that was not understood.
    let keys: Vec<&str> = draft.path.keys().collect();
    let unknown_name = matches!(keys[..], ["aliases", _, "model" | "fallback" | "split" | "mirror", ..]);
    let names = |path: &Path| path.last_key() == Some("lora") || path.keys().any(|key| key == "variants");
    of(&draft.path) || draft.given.iter().any(of) || unknown_name && unclear.iter().any(names)
}
