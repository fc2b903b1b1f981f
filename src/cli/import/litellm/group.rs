//! Entries of one name to models, and to an alias where one model is not enough.

use serde_json::{Value, json};

use super::super::changes::{headers, members};
use super::super::document::Section;
use super::super::draft::Draft;
use super::super::names::is_name;
use super::deployment::{Deployment, Kind};

/// Largest weight of a part.
const LARGEST_WEIGHT: u64 = 1_000_000;

/// All entries of one name.
pub(super) struct Group {
    /// What clients ask for.
    pub(super) name: String,
    /// Those that can be here.
    pub(super) deployments: Vec<Deployment>,
}

/// A group whose models are written.
pub(super) struct Written {
    /// What clients ask for.
    pub(super) name: String,
    /// The models that are tried first, with their weights.
    pub(super) parts: Vec<(String, u64)>,
    /// The models that are tried after those, in their order.
    pub(super) later: Vec<String>,
    /// Whether an alias has the name; otherwise it is the one model's.
    pub(super) has_alias: bool,
}

/// Entries that are one model.
struct Cluster {
    kind: Kind,
    order: u64,
    weight: Option<u64>,
    all: Vec<Deployment>,
}

/// Writes the models of a group. `alone`: whether a model may have the name, if there is one; `random`: how engines are chosen.
pub(super) fn write(draft: &mut Draft, group: Group, alone: bool, random: bool) -> Written {
    let mut clusters: Vec<Cluster> = Vec::new();
    for one in group.deployments {
        let (order, weight) = (one.order.unwrap_or(u64::MAX), one.weight);
        match clusters.iter_mut().find(|other| other.kind == one.kind && (other.order, other.weight) == (order, weight))
        {
            Some(cluster) => cluster.all.push(one),
            None => clusters.push(Cluster { kind: one.kind.clone(), order, weight, all: vec![one] }),
        }
    }
    clusters.sort_by_key(|cluster| cluster.order);
    let first = clusters.first().map_or(u64::MAX, |cluster| cluster.order);
    let is_model = alone && clusters.len() == 1 && is_name(&group.name);
    let base = base(&group.name, clusters.first().map(|cluster| &cluster.kind));
    let (mut parts, mut later, several) = (Vec::new(), Vec::new(), clusters.len() > 1);
    for (at, cluster) in clusters.into_iter().enumerate() {
        let name = match () {
            () if is_model => group.name.clone(),
            () if several => draft.names.take_free(&format!("{base}-{}", at + 1)),
            () => draft.names.take_free(&format!("{base}-engine")),
        };
        let weight = cluster.weight.unwrap_or(1).saturating_mul(cluster.all.len() as u64).min(LARGEST_WEIGHT);
        if cluster.order == first {
            parts.push((name.clone(), weight))
        } else {
            later.push(name.clone())
        }
        model(draft, &name, cluster, random);
    }
    if parts.iter().all(|(_, weight)| *weight == 0) {
        parts.iter_mut().for_each(|(_, weight)| *weight = 1);
    }
    Written { name: group.name, parts, later, has_alias: !is_model }
}

/// What names of models begin with, if the group's name cannot be one.
fn base(name: &str, kind: Option<&Kind>) -> String {
    let served = || kind.and_then(|kind| kind.served.clone()).filter(|served| is_name(served));
    let stem = || name.trim_end_matches(|c: char| "*/-:".contains(c) || c.is_whitespace()).to_owned();
    let candidates = [Some(name.to_owned()), Some(stem()), served()];
    // Room for what is added.
    candidates.into_iter().flatten().find(|name| is_name(name) && name.len() < 200).unwrap_or_else(|| "model".into())
}

fn model(draft: &mut Draft, name: &str, cluster: Cluster, random: bool) {
    let mut out = Section::default();
    let mut urls: Vec<String> = Vec::new();
    for one in &cluster.all {
        for (key, text) in &one.left {
            draft.notes.say(&mut out, &format!("{}.{key}", one.path), text);
        }
        if urls.contains(&one.url) {
            draft.notes.say(
                &mut out,
                &one.path,
                "is the same engine as another entry of this name, and there \
                once.",
            );
        } else {
            urls.push(one.url.clone());
        }
    }
    let path = cluster.all.first().map_or(String::new(), |one| one.path.clone());
    let several = urls.len() > 1;
    draft.put(&mut out, &path, name, "urls", json!(urls));
    if let Some(key) = cluster.kind.key {
        draft.put(&mut out, &format!("{path}.litellm_params.api_key"), name, "api_key", key);
    }
    match cluster.kind.served {
        Some(served) if served == name => {}
        Some(served) => draft.put(&mut out, &path, name, "served_name", served.into()),
        None => draft.notes.say(
            &mut out,
            &path,
            "its `model` is not one name: the engines are asked which \
            model they serve, and every request goes to that one.",
        ),
    }
    if !cluster.kind.is_vllm {
        out.comment("Not asked for its health, because it may not be a vLLM. If it is one, remove this line.");
        out.put("health", "off");
    }
    if random && several {
        out.put("balance", "random");
    }
    if !cluster.kind.remove.is_empty() {
        out.put("remove", json!(cluster.kind.remove));
    }
    members(draft, &format!("{path}.litellm_params"), name, "defaults", &cluster.kind.defaults, &mut out);
    headers(draft, &format!("{path}.litellm_params.extra_headers"), name, &cluster.kind.headers, &mut out);
    draft.model(name, out);
}

impl Written {
    /// What an alias of this name points at; `fallback`: what is tried after its own.
    pub(super) fn alias(&self, fallback: Vec<String>) -> Section {
        let mut alias = Section::default();
        match &self.parts[..] {
            [(only, _)] => alias.put("model", only.clone()),
            parts => {
                let mut split = Section::default();
                parts.iter().for_each(|(name, weight)| split.put(name.clone(), Value::from(*weight)));
                alias.nest("split", split);
            }
        }
        let mut all: Vec<String> = Vec::new();
        let only = self.parts.first().filter(|_| self.parts.len() == 1).map(|(name, _)| name);
        for name in self.later.iter().cloned().chain(fallback) {
            if only != Some(&name) && !all.contains(&name) {
                all.push(name);
            }
        }
        if !all.is_empty() {
            alias.put("fallback", json!(all));
        }
        alias
    }

    /// The names that others may fall back to in its place.
    pub(super) fn targets(&self) -> Vec<String> {
        if self.has_alias && self.parts.len() > 1 {
            self.parts.iter().map(|(name, _)| name.clone()).collect()
        } else if is_name(&self.name) {
            vec![self.name.clone()]
        } else {
            Vec::new()
        }
    }
}
