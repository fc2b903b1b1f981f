//! Every alias by the name that clients use: a pattern (`qwen3:*`) is expanded to one alias for each variant.

use std::collections::HashMap;

use super::path::Path;
use super::raw::{Raw, RawAlias, RawSettings};

/// All patterns together are expanded to this many names at most.
pub(super) const MOST: usize = 1000;

/// The end of a pattern's name.
pub(super) const STAR: &str = ":*";

/// One name of an alias.
#[derive(Clone)]
pub(super) struct ExpandedAlias<'a> {
    /// The name that clients use.
    pub(super) name: String,
    /// Where it is written.
    pub(super) path: Path,
    /// What is written there.
    pub(super) raw: &'a RawAlias,
    /// The words and settings of its variants, in order; they are applied after those of the alias.
    pub(super) variants: Vec<(&'a str, &'a RawSettings)>,
}

/// All names of aliases in file order; a pattern's variants stand where the pattern stands.
pub(super) struct ExpandedAliases<'a> {
    all: Vec<ExpandedAlias<'a>>,
    /// Positions in `all`; of several of one name the first.
    by_name: HashMap<String, usize>,
}

impl<'a> ExpandedAliases<'a> {
    /// Those of a configuration. Patterns beyond [`MOST`] names are left out; a rule reports them.
    pub(super) fn of(raw: &'a Raw) -> Self {
        let mut all: Vec<ExpandedAlias<'a>> = Vec::new();
        let mut room = MOST;
        for (name, alias) in raw.aliases.iter() {
            let path = Path::of(&["aliases", name]);
            let plain = ExpandedAlias { name: name.to_owned(), path, raw: alias, variants: Vec::new() };
            match name.strip_suffix(STAR) {
                Some(stem) if alias.variants.is_some() && count(alias) <= room => {
                    room -= count(alias);
                    all.extend(expand(ExpandedAlias { name: stem.to_owned(), ..plain }));
                }
                None if alias.variants.is_none() => all.push(plain),
                // Too many, or half a pattern: rules report it.
                _ => {}
            }
        }
        let by_name = all.iter().enumerate().rev().map(|(at, alias)| (alias.name.clone(), at)).collect();
        Self { all, by_name }
    }

    /// All of them, in file order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ExpandedAlias<'a>> {
        self.all.iter()
    }

    /// The one of that name.
    pub(super) fn get(&self, name: &str) -> Option<&ExpandedAlias<'a>> {
        self.by_name.get(name).map(|at| &self.all[*at])
    }

    /// The aliases from `alias` along `model`, itself first, and the name at the end that is no alias. `None` in place of
    /// the name: the chain is a circle, or ends in a split.
    pub(super) fn chain<'s>(&'s self, alias: &'s ExpandedAlias<'a>) -> (Vec<&'s ExpandedAlias<'a>>, Option<&'a str>) {
        let mut chain = vec![alias];
        let mut last = alias;
        loop {
            let Some(next) = last.raw.model.as_deref().filter(|_| last.raw.split.0.is_empty()) else {
                return (chain, None);
            };
            match self.get(next) {
                None => return (chain, Some(next)),
                Some(next) if chain.iter().any(|alias| alias.name == next.name) => return (chain, None),
                Some(next) => last = next,
            }
            chain.push(last);
        }
    }

    /// Whether requests for `name` are split.
    pub(super) fn is_split(&self, name: &str) -> bool {
        let alias = self.get(name);
        alias.is_some_and(|alias| self.chain(alias).0.iter().any(|alias| !alias.raw.split.0.is_empty()))
    }
}

/// One for each combination of variants.
fn expand(stem: ExpandedAlias<'_>) -> Vec<ExpandedAlias<'_>> {
    let raw = stem.raw;
    let dimensions = raw.variants.iter().flat_map(|variants| variants.dimensions());
    dimensions.fold(vec![stem], |aliases, dimension| {
        let with = |alias: &ExpandedAlias<'_>, word: &str| format!("{}:{word}", alias.name);
        let each = aliases.iter().flat_map(|alias| {
            dimension.iter().map(move |(word, variant)| {
                let mut variants = alias.variants.clone();
                variants.push((word, &variant.settings));
                ExpandedAlias { name: with(alias, word), variants, ..alias.clone() }
            })
        });
        each.collect()
    })
}

/// How many names the alias has.
pub(super) fn count(alias: &RawAlias) -> usize {
    let Some(variants) = &alias.variants else { return 1 };
    variants.dimensions().iter().fold(1, |all, dimension| all.saturating_mul(dimension.0.len()))
}
