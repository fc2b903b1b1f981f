//! Aliases: patterns expanded, chains of aliases followed to their end, and what each takes from the chain.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use super::model::dialects;
use super::settings::{field_path, settings};
use crate::config::address;
use crate::config::diagnostic::Draft;
use crate::config::expanded_alias::{ExpandedAlias, ExpandedAliases};
use crate::config::raw::{Raw, RawCapture, RawModel};
use crate::config::types::{Alias, Capture, Mirror, ResponseModel, SESSION, Settings};
use crate::ids::Name;

/// All aliases, in file order.
pub(super) fn aliases(raw: &Raw) -> Result<Vec<Alias>, Draft> {
    let all = ExpandedAliases::of(raw);
    let own = all.iter().map(|alias| Ok((alias.name.as_str(), own_settings(alias)?)));
    let converter = Converter { raw, own: own.collect::<Result<_, Draft>>()?, all: &all };
    all.iter().map(|alias| converter.alias(alias)).collect()
}

/// What a name changes itself: the settings of its alias, then those of its variants.
fn own_settings(alias: &ExpandedAlias<'_>) -> Result<Vec<Settings>, Draft> {
    let whose = format!("alias {}", alias.path.last_key().unwrap_or(&alias.name));
    let mut own = vec![settings(&alias.path, &whose.as_str().into(), &alias.raw.settings)?];
    for (word, variant) in &alias.variants {
        own.push(settings(&alias.path.key("variants"), &format!("{whose}, variant {word}").into(), variant)?);
    }
    own.retain(|settings| !settings.is_empty());
    Ok(own)
}

struct Converter<'c, 'a> {
    raw: &'a Raw,
    /// By name, what it changes itself.
    own: HashMap<&'c str, Vec<Settings>>,
    all: &'c ExpandedAliases<'a>,
}

impl Converter<'_, '_> {
    fn alias(&self, alias: &ExpandedAlias<'_>) -> Result<Alias, Draft> {
        // What is not written here is as in the next alias of the chain.
        let (chain, end) = self.all.chain(alias);
        let split = chain.iter().find(|alias| !alias.raw.split.0.is_empty());
        let parts = split.iter().flat_map(|alias| alias.raw.split.iter());
        let parts: Vec<(Name, u32)> = parts.map(|(name, weight)| (name.into(), weight.0)).collect();
        let model: Name = match (end, heaviest(&parts)) {
            (Some(model), _) => model.into(),
            (None, Some(part)) => self.model_of(part).into(),
            (None, None) => return Err(Draft::new(alias.path.clone(), "It points nowhere.", "Add `model`.")),
        };
        let listen = alias.raw.listen.as_deref().map(address::listen).transpose();
        let owner = self.owner(&model);
        let mirror = chain.iter().find_map(|alias| alias.raw.mirror.as_ref());
        let fallback = chain.iter().map(|alias| &alias.raw.fallback).find(|names| !names.is_empty());
        let sticky = split.and_then(|alias| alias.raw.sticky.as_deref()).unwrap_or(SESSION);
        let written = chain.iter().map(|alias| &alias.raw.dialect).chain(owner.map(|model| &model.dialect));
        Ok(Alias {
            name: alias.name.as_str().into(),
            settings: chain.iter().rev().flat_map(|alias| self.own.get(&*alias.name)).flatten().cloned().collect(),
            response_model: response_model(&chain, owner),
            hidden: alias.raw.hidden,
            access_log: chain.iter().find_map(|alias| alias.raw.access_log).unwrap_or(true),
            listen: listen.map_err(|draft| draft.at(alias.path.key("listen")))?,
            fallback: fallback.into_iter().flatten().map(|name| name.as_str().into()).collect(),
            split: parts,
            sticky: HeaderName::try_from(sticky).unwrap_or(HeaderName::from_static(SESSION)),
            mirror: mirror
                .and_then(|mirror| Some(Mirror { to: mirror.to.as_deref()?.into(), percent: mirror.percent? })),
            dialect: dialects(written),
            gym: alias.raw.gym.clone().map(Arc::new),
            capture: chain.iter().find_map(|alias| alias.raw.capture.as_ref()).and_then(capture).map(Arc::new),
            model,
        })
    }

    /// The model or adapter behind `name`, which is no split.
    fn model_of<'n>(&'n self, name: &'n str) -> &'n str {
        self.all.get(name).and_then(|alias| self.all.chain(alias).1).unwrap_or(name)
    }

    /// The model called `name`, or that has an adapter of that name.
    fn owner(&self, name: &str) -> Option<&RawModel> {
        let has = |model: &RawModel| model.adapters().any(|(adapter, _)| adapter == name);
        self.raw.models.iter().find(|(model, raw)| *model == name || has(raw)).map(|(_, raw)| raw)
    }
}

/// The first that says, from the alias to the model.
fn response_model(chain: &[&ExpandedAlias<'_>], owner: Option<&RawModel>) -> ResponseModel {
    let written = chain.iter().find_map(|alias| alias.raw.response_model);
    written.or_else(|| owner?.response_model).unwrap_or_default()
}

/// Which bodies are kept; `None`: it says that none are.
fn capture(raw: &RawCapture) -> Option<Capture> {
    let RawCapture { requests, bytes, mask } = raw;
    let mask = mask.iter().map(|text| field_path(text)).collect();
    (*requests > 0).then_some(Capture { requests: *requests, bytes: *bytes, mask })
}

/// The part with the greatest weight; of several the first.
fn heaviest(parts: &[(Name, u32)]) -> Option<&str> {
    parts.iter().rev().max_by_key(|(_, weight)| *weight).map(|(name, _)| &**name)
}
