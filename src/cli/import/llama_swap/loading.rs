//! When llama-swap's models are loaded, and which of them at the same time: `ttl`, groups and `preload` to `load` and `idle`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::values::{map, texts, whole};
use crate::config::Gpus;
use crate::placement::{LARGEST_SHARE, memory_share};

/// Sums of shares such as 0.45 + 0.5 are a little off.
const ROUNDING: f64 = 1e-9;

/// Longest time that a setting may have: seconds.
pub(super) const YEAR: u64 = 365 * 24 * 3600;

/// What stands for GPUs that are chosen automatically: they may be any.
const ANY: &str = "*";

/// A model that was converted, as far as it matters when it is loaded.
pub(super) struct Loaded {
    /// Its name.
    pub(super) id: String,
    /// After so many seconds without a request it is unloaded; 0: never.
    pub(super) ttl: u64,
    /// Its further names.
    pub(super) aliases: Vec<String>,
    /// What is written for it.
    pub(super) model: Value,
}

impl Loaded {
    /// Whether Enginehouse starts it.
    fn is_started(&self) -> bool {
        self.model["source"].is_string()
    }

    /// The GPUs of which it takes a share.
    fn gpus(&self) -> BTreeSet<String> {
        match &self.model["gpus"] {
            Value::Array(gpus) => gpus.iter().map(Value::to_string).collect(),
            _ => BTreeSet::from([ANY.to_owned()]),
        }
    }

    fn share(&self) -> f64 {
        memory_share((self.model["gpu_memory"].as_f64(), &Map::new()), &[], &Gpus::Any(1))
    }
}

/// Writes `load` and `idle` of all models, and says what else becomes of groups and `preload`.
pub(super) fn loading(all: &Map<String, Value>, models: &[Loaded], draft: &mut Draft) {
    let started: Vec<&Loaded> = models.iter().filter(|model| model.is_started()).collect();
    let found = |name: &String| {
        let is_called = |model: &&&Loaded| model.id == *name || model.aliases.contains(name);
        started.iter().find(is_called).map(|model| model.id.as_str())
    };
    let mut top = Section::default();
    let mut wishes: Vec<(&str, String)> = Vec::new();
    let groups = groups(all);
    if !groups.is_empty() {
        let text = "which models are loaded at the same time follows from `gpus` and `gpu_memory` here; what of each group is alike is said below.";
        draft.notes.say(&mut top, "groups", text);
    }
    for (path, group) in groups {
        let members = texts(group.get("members").unwrap_or(&Value::Null));
        draft.notes.say(&mut top, &path, told(&group));
        if is_on(&group, "persistent", false) && !takes_turns(&group) {
            wishes.extend(members.iter().filter_map(found).map(|id| (id, format!("{path}.persistent"))));
        }
    }
    let preload = texts(map(map(all, "hooks"), "on_startup").get("preload").unwrap_or(&Value::Null));
    let path = "hooks.on_startup.preload";
    wishes.extend(preload.iter().filter_map(found).map(|id| (id, path.to_owned())));
    let mut eager: Vec<&str> = Vec::new();
    for (id, path) in wishes {
        match stays(id, &eager, &started) {
            _ if eager.contains(&id) => {}
            Ok(()) => eager.push(id),
            Err(why) => {
                let text = format!("`{id}` is loaded by its first request, not at the start: {why}");
                draft.notes.say(&mut top, &path, text);
            }
        }
    }
    draft.top.append(top);
    for model in models {
        let Some(section) = draft.models.inner(&model.id) else { continue };
        if !model.is_started() {
            if model.ttl > 0 {
                let text = "was left out: somebody else runs its engine.";
                draft.notes.say(section, &format!("models.{}.ttl", model.id), text);
            }
        } else if eager.contains(&model.id.as_str()) {
            section.put("load", "eager");
        } else {
            section.put("load", "on_demand");
            if model.ttl > 0 {
                let mut idle = Section::default();
                idle.put("stop_after", format!("{}s", model.ttl));
                section.nest("idle", idle);
            }
        }
    }
}

/// The groups, at whichever of the two places they are, each with its path.
fn groups(all: &Map<String, Value>) -> Vec<(String, Map<String, Value>)> {
    let settings = map(map(map(all, "routing"), "router"), "settings");
    let at = |place: &'static str, of: &Map<String, Value>| {
        let all = map(of, "groups").iter();
        let one = |(name, group): (&String, &Value)| {
            (format!("{place}groups.{name}"), group.as_object().cloned().unwrap_or_default())
        };
        all.map(one).collect::<Vec<_>>()
    };
    [at("", all), at("routing.router.settings.", settings)].concat()
}

fn is_on(group: &Map<String, Value>, key: &str, usual: bool) -> bool {
    group.get(key).and_then(Value::as_bool).unwrap_or(usual)
}

/// Whether its members have their GPUs one after the other.
fn takes_turns(group: &Map<String, Value>) -> bool {
    is_on(group, "swap", true) && texts(group.get("members").unwrap_or(&Value::Null)).len() > 1
}

/// What is alike and what is not.
fn told(group: &Map<String, Value>) -> String {
    let mut told = if is_on(group, "swap", true) {
        "`swap: true`: members that have no room beside one another take turns; two that have room both stay loaded."
    } else {
        "`swap: false`: members are loaded together where their shares leave room for all of them; where not, they take turns."
    }
    .to_owned();
    if is_on(group, "exclusive", true) {
        told.push_str(" `exclusive: true`: models of other groups end only where their memory is needed.");
    }
    if is_on(group, "persistent", false) && takes_turns(group) {
        told.push_str(
            " `persistent: true`: was left out, because members that take turns cannot keep their memory from models of other groups.",
        );
    } else if is_on(group, "persistent", false) {
        told.push_str(
            " `persistent: true`: its models have `load: eager`, which loads them with the gateway and for good, as far as \
             nothing else is said of one.",
        );
    }
    told
}

/// Whether a model can keep its GPUs beside those that do already, so that each of the others can still be loaded.
///
/// # Errors
/// Why not.
fn stays(id: &str, eager: &[&str], all: &[&Loaded]) -> Result<(), String> {
    let (kept, others): (Vec<&Loaded>, Vec<&Loaded>) =
        all.iter().copied().partition(|model| model.id == id || eager.contains(&model.id.as_str()));
    if let Some(model) = all.iter().find(|model| model.id == id && model.ttl > 0) {
        return Err(format!("its `ttl` of {}s ends it, which `load: eager` would not.", model.ttl));
    }
    let meets = |one: &Loaded, gpu: &str| {
        let gpus = one.gpus();
        gpu == ANY || gpus.contains(gpu) || gpus.contains(ANY)
    };
    let mut places: BTreeSet<String> = all.iter().flat_map(|model| model.gpus()).collect();
    if places.len() > 1 {
        places.remove(ANY);
    }
    for gpu in places {
        let of = |models: &[&Loaded]| -> Vec<(String, f64)> {
            models.iter().filter(|one| meets(one, &gpu)).map(|one| (one.id.clone(), one.share())).collect()
        };
        let (kept, others) = (of(&kept), of(&others));
        let largest = others.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
        if !kept.iter().any(|(kept, _)| kept == id) {
            continue;
        }
        let sum: f64 = kept.iter().chain(&largest).map(|(_, share)| share).sum();
        if sum > LARGEST_SHARE + ROUNDING {
            let (other, _) = largest.or_else(|| kept.into_iter().find(|(kept, _)| kept != id)).unwrap_or_default();
            return Err(format!(
                "there would be no room for `{other}` beside it if it kept its GPU (`load: eager`). Lower `gpu_memory` of \
                 both for that, or send it a request after each start."
            ));
        }
    }
    Ok(())
}

/// After how many seconds without requests a model is unloaded; 0: never. `usual`: where it does not say itself.
pub(super) fn ttl(fields: &Map<String, Value>, usual: u64) -> u64 {
    let own = fields.get("ttl").filter(|ttl| !ttl.is_null());
    // -1 is the usual one, too.
    let own = own.filter(|ttl| ttl.as_i64().is_none_or(|ttl| ttl >= 0));
    own.map_or(usual, |ttl| whole(ttl).filter(|ttl| *ttl <= YEAR).unwrap_or(0))
}

/// Says of which models the GPU is not known.
pub(super) fn first_gpu(models: &[&str], draft: &mut Draft) {
    if models.is_empty() {
        return;
    }
    let mut top = Section::default();
    let names: Vec<String> = models.iter().map(|name| format!("`{name}`")).collect();
    let text = format!(
        "the commands of {} name no GPU, and vLLM takes the first one then: `gpus: [0]` is written. Models take turns only on GPUs \
         that are written. Give them others where they are to be on others, or `gpus: 1` for any that has room.",
        names.join(", ")
    );
    draft.notes.say(&mut top, "models", text);
    draft.top.append(top);
}
