//! From aliases as written to aliases as they are: patterns spelled out, ways through other aliases followed to their ends.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use super::super::address;
use super::super::alias::SESSION;
use super::super::faces::{Face, by_name, faces, way};
use super::super::finding::{Finding, Why};
use super::super::gym::gym;
use super::super::path::Path;
use super::super::raw::{Named, Raw, RawModel};
use super::super::raw_settings::RawDialects;
use super::super::types::{Alias, Dialects, Mirror, ResponseModel, Settings};
use super::settings::settings;
use crate::ids::Name;

/// All aliases, in file order.
pub(super) fn aliases(raw: &Raw) -> Result<Vec<Alias>, Finding> {
    let faces = faces(raw);
    let all = by_name(&faces);
    let house = House { raw, own: owned_settings(&faces)?, all: &all };
    faces.iter().map(|face| house.alias(face)).collect()
}

/// What each name changes itself: the settings of its alias, then those of its variants.
fn owned_settings<'f>(faces: &'f [Face<'_>]) -> Result<HashMap<&'f str, Vec<Settings>>, Finding> {
    let own = |face: &'f Face<'_>| {
        let alias = format!("alias {}", face.path.last_key().unwrap_or(&face.name));
        let mut own = vec![settings(&face.path, &alias.as_str().into(), &face.raw.settings)?];
        for (word, variant) in &face.variants {
            let whose = format!("{alias}, variant {word}");
            own.push(settings(&face.path.key("variants"), &whose.into(), variant)?);
        }
        own.retain(|settings| !settings.is_empty());
        Ok((face.name.as_str(), own))
    };
    faces.iter().map(own).collect()
}

struct House<'h, 'f, 'a> {
    raw: &'a Raw,
    own: HashMap<&'f str, Vec<Settings>>,
    all: &'h HashMap<&'f str, &'f Face<'a>>,
}

impl<'f, 'a> House<'_, 'f, 'a> {
    fn alias(&self, face: &'f Face<'a>) -> Result<Alias, Finding> {
        let (way, end) = way(face, self.all);
        // What is not written here is as where it points.
        let split = way.iter().find(|face| !face.raw.split.0.is_empty());
        let parts: Vec<(Name, u32)> = split
            .iter()
            .flat_map(|face| face.raw.split.iter())
            .map(|(name, weight)| (Name::from(name), weight.0))
            .collect();
        let model: Name = match (end, heaviest(&parts)) {
            (Some(model), _) => model.into(),
            (None, Some(part)) => self.end(part).into(),
            (None, None) => {
                return Err(Why::new("It points nowhere.", "Add `model`.").at(face.path.clone()));
            }
        };
        let fallback = way.iter().map(|face| &face.raw.fallback).find(|names| !names.is_empty());
        let sticky = split.and_then(|face| face.raw.sticky.as_deref()).unwrap_or(SESSION);
        let listen = match &face.raw.listen {
            None => None,
            Some(text) => Some(address::listen(text).map_err(|why| why.at(face.path.key("listen")))?),
        };
        let mirror = way.iter().find_map(|face| face.raw.mirror.as_ref());
        Ok(Alias {
            name: face.name.as_str().into(),
            settings: way.iter().rev().flat_map(|face| self.own.get(&*face.name)).flatten().cloned().collect(),
            hidden: face.raw.hidden,
            listen,
            fallback: fallback.into_iter().flatten().map(|name| name.as_str().into()).collect(),
            split: parts,
            sticky: HeaderName::try_from(sticky).unwrap_or(HeaderName::from_static(SESSION)),
            mirror: mirror
                .and_then(|mirror| Some(Mirror { to: mirror.to.as_deref()?.into(), percent: mirror.percent? })),
            dialect: self.dialect(&way, &model),
            response_model: self.response_model(&way, &model),
            gym: face.raw.gym.clone().map(|raw| Arc::new(gym(raw))),
            model,
        })
    }

    /// The model or adapter behind `name`, which is no split.
    fn end<'n>(&self, name: &'n str) -> &'n str
    where
        'a: 'n,
    {
        self.all.get(name).and_then(|face| way(face, self.all).1).unwrap_or(name)
    }

    /// The model called `name`, or that has an adapter of that name.
    fn owner(&self, name: &str) -> Option<&RawModel> {
        let has = |model: &RawModel| model.lora.iter().flat_map(Named::iter).any(|(adapter, _)| adapter == name);
        self.raw.models.iter().find(|(model, raw)| *model == name || has(raw)).map(|(_, raw)| raw)
    }

    /// The first that says, from the alias to the model.
    fn response_model(&self, way: &[&Face<'_>], model: &str) -> ResponseModel {
        let said = way.iter().find_map(|face| face.raw.response_model);
        said.or_else(|| self.owner(model)?.response_model).unwrap_or_default()
    }

    /// The first that says, from the alias to the model.
    fn dialect(&self, way: &[&Face<'_>], model: &str) -> Dialects {
        let said = || way.iter().map(|face| &face.raw.dialect).chain(self.owner(model).map(|model| &model.dialect));
        Dialects {
            responses: said().find_map(|raw| raw.responses).unwrap_or_default(),
            messages: said().find_map(|raw| raw.messages).unwrap_or_default(),
        }
    }
}

/// The dialects that a model has of itself.
pub(super) fn dialects(raw: &RawDialects) -> Dialects {
    Dialects { responses: raw.responses.unwrap_or_default(), messages: raw.messages.unwrap_or_default() }
}

/// The part with the greatest weight; of several the first.
fn heaviest(parts: &[(Name, u32)]) -> Option<&str> {
    parts.iter().rev().max_by_key(|(_, weight)| *weight).map(|(name, _)| &**name)
}

/// The settings of a model.
pub(super) fn of_model(name: &str, raw: &RawModel) -> Result<Settings, Finding> {
    settings(&Path::of(["models", name]), &format!("model {name}").into(), &raw.settings)
}
