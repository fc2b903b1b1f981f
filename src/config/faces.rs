//! Every alias by the name callers say: patterns (`qwen3:*`) spelled out, one face for each variant.

use std::collections::HashMap;

use super::path::Path;
use super::raw::{Raw, RawAlias};
use super::raw_settings::{RawSettings, RawVariant};

/// Patterns are spelled out up to so many names altogether.
pub(super) const MOST: usize = 1000;

/// What a pattern ends in.
pub(super) const STAR: &str = ":*";

/// One name of an alias.
#[derive(Clone)]
pub(super) struct Face<'a> {
    /// What callers say.
    pub(super) name: String,
    /// Where it is written.
    pub(super) path: Path,
    /// What is written there.
    pub(super) raw: &'a RawAlias,
    /// The words and settings of its variants, in order, after those of the alias.
    pub(super) variants: Vec<(&'a str, &'a RawSettings)>,
}

/// All names in file order; a pattern's variants stand where the pattern stands. Beyond [`MOST`] they are left out, and
/// [`count`] tells.
pub(super) fn faces(raw: &Raw) -> Vec<Face<'_>> {
    let mut all = Vec::new();
    let mut room = MOST;
    for (name, alias) in raw.aliases.iter() {
        let path = Path::of(["aliases", name]);
        let plain = Face { name: name.to_owned(), path, raw: alias, variants: Vec::new() };
        match (name.strip_suffix(STAR), &alias.variants) {
            (Some(stem), Some(variants)) if count(alias) <= room => {
                room -= count(alias);
                let mut faces = vec![Face { name: stem.to_owned(), ..plain }];
                for dimension in variants.dimensions() {
                    faces = faces
                        .iter()
                        .flat_map(|face| dimension.iter().map(|(word, variant)| with(face, word, variant)))
                        .collect();
                }
                all.extend(faces);
            }
            (None, None) => all.push(plain),
            // Too many, or half a pattern: rules have told.
            _ => {}
        }
    }
    all
}

fn with<'a>(face: &Face<'a>, word: &'a str, variant: &'a RawVariant) -> Face<'a> {
    let mut more = face.clone();
    more.name = format!("{}:{word}", face.name);
    more.variants.push((word, &variant.settings));
    more
}

/// How many names the alias has.
pub(super) fn count(alias: &RawAlias) -> usize {
    let Some(variants) = &alias.variants else { return 1 };
    variants.dimensions().iter().fold(1, |all, dimension| all.saturating_mul(dimension.0.len()))
}

/// Faces by name; of several of one name the first.
pub(super) fn by_name<'f, 'a>(faces: &'f [Face<'a>]) -> HashMap<&'f str, &'f Face<'a>> {
    faces.iter().rev().map(|face| (face.name.as_str(), face)).collect()
}

/// The faces on the way from `face` along `model`, itself first, and the name at the end that is no alias, or where the
/// way is closed: `None` in circles or from a split.
pub(super) fn way<'f, 'a>(
    face: &'f Face<'a>,
    all: &HashMap<&'f str, &'f Face<'a>>,
) -> (Vec<&'f Face<'a>>, Option<&'a str>) {
    let mut faces = vec![face];
    let mut at = face;
    loop {
        let Some(next) = at.raw.model.as_deref().filter(|_| at.raw.split.0.is_empty()) else { return (faces, None) };
        match all.get(next) {
            None => return (faces, Some(next)),
            Some(next) if faces.iter().any(|face| face.name == next.name) => return (faces, None),
            Some(next) => at = *next,
        }
        faces.push(at);
    }
}

/// Whether requests for `name` are split.
pub(super) fn is_split<'f>(name: &str, all: &HashMap<&'f str, &'f Face<'_>>) -> bool {
    let Some(face) = all.get(name) else { return false };
    way(face, all).0.iter().any(|face| !face.raw.split.0.is_empty())
}
