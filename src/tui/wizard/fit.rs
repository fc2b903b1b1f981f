//! What fits on which GPU, by the shares that placement counts with, and why something does not. Pure.

use serde_json::{Map, Value};

use super::known::Known;
use crate::config::{Answers, Gpus, ModelAnswers, flag_name};
use crate::gpu::Inventory;
use crate::ids::EngineId;
use crate::inventory::{Unit, gib, units};
use crate::placement::{self, Assignment, Demand, LARGEST_SHARE, memory_share};
use crate::tui::widgets::clean;

/// Sums of shares such as 0.45 + 0.5 are a little off.
pub(super) const ROUNDING: f64 = 1e-9;

/// More is never free: the driver's own memory, and what its figures waver.
const MOST_IN_USE: f64 = 0.98;

/// What processes hold of a GPU is told from this share on: the driver itself holds a little.
const TOLD: f64 = 0.02;

/// The word by which a configuration names a unit.
pub(super) fn word(unit: &Unit<'_>) -> String {
    match (unit.mig, unit.uuid) {
        (Some(_), Some(uuid)) => uuid.to_owned(),
        _ => unit.gpu.index.to_string(),
    }
}

/// Whether a configuration means a unit by `text`.
pub(super) fn names(unit: &Unit<'_>, text: &str) -> bool {
    word(unit) == text || unit.uuid.is_some_and(|uuid| uuid == text)
}

/// The GPUs that are chosen by hand.
pub(super) fn listed(model: &ModelAnswers) -> &[String] {
    match &model.gpus {
        Gpus::Listed(gpus) => gpus,
        Gpus::AsVisible | Gpus::Any(_) => &[],
    }
}

/// Whether a unit is one of them.
pub(super) fn has(model: &ModelAnswers, unit: &Unit<'_>) -> bool {
    listed(model).iter().any(|text| names(unit, text))
}

/// Who says which share a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It itself.
    Model,
    /// Its profile.
    Profile,
    /// Nobody: vLLM's default.
    Default,
    /// Nobody, and it is not vLLM: it is not known.
    Unknown,
}

/// The share of each GPU's memory that an engine of a model takes on GPUs that are chosen, and who says so; 0: it is not known.
pub(super) fn said_share(model: &ModelAnswers, known: &Known) -> (f64, Said) {
    let gpus = match &model.gpus {
        Gpus::AsVisible => Gpus::Listed(Vec::new()),
        gpus => gpus.clone(),
    };
    let of = |share: Option<f64>, args: &Map<String, Value>| memory_share((share, args), &model.command, &gpus);
    let none = Map::new();
    let default = of(None, &none);
    let profile = model.profile.as_ref().and_then(|name| known.profiles.iter().find(|profile| profile.name == *name));
    let of_profile = profile.and_then(|profile| profile.gpu_memory);
    let args = with_own(profile.map(|profile| profile.args.clone()).unwrap_or_default(), &model.args);
    let share = of(model.gpu_memory.or(of_profile), &args);
    #[expect(clippy::float_cmp, reason = "the same constant, or a value that somebody wrote")]
    let is_default = share == default;
    let said = match (model.gpu_memory, of_profile) {
        (Some(_), _) => Said::Model,
        (None, Some(_)) => Said::Profile,
        (None, None) if is_default && share > 0.0 => Said::Default,
        (None, None) if is_default => Said::Unknown,
        (None, None) if flag(&model.args) => Said::Model,
        (None, None) => Said::Profile,
    };
    (share, said)
}

fn is_share(flag: &str) -> bool {
    flag_name(flag) == "gpu-memory-utilization"
}

fn flag(args: &Map<String, Value>) -> bool {
    args.keys().any(|flag| is_share(flag))
}

/// Flags of a profile with those of a model over them, as far as they are about shares.
fn with_own(mut args: Map<String, Value>, own: &Map<String, Value>) -> Map<String, Value> {
    if flag(own) {
        args.retain(|flag, _| !is_share(flag));
    }
    args.extend(own.iter().filter(|(flag, _)| is_share(flag)).map(|(flag, value)| (flag.clone(), value.clone())));
    args
}

/// The share alone.
pub(super) fn share(model: &ModelAnswers, known: &Known) -> f64 {
    said_share(model, known).0
}

/// How many engines of a model a unit has that is chosen for it by hand: one listed once has one.
pub(super) fn engines_on(model: &ModelAnswers, unit: &Unit<'_>) -> usize {
    listed(model).iter().filter(|text| names(unit, text)).count()
}

/// What the other models of this configuration take of a unit.
pub(super) fn others<'a>(answers: &'a Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Vec<(&'a str, f64)> {
    let all = answers.models.iter().enumerate().filter(|(place, model)| *place != at && has(model, unit));
    #[expect(clippy::cast_precision_loss, reason = "there are few engines")]
    let taken = |model: &ModelAnswers| share(model, known) * engines_on(model, unit) as f64;
    all.map(|(_, model)| (model.name.as_str(), taken(model))).collect()
}

/// What processes hold of a unit that are not of this configuration, where that is worth telling.
pub(super) fn foreign(unit: &Unit<'_>) -> Option<u64> {
    let memory = unit.memory?;
    #[expect(clippy::cast_precision_loss, reason = "shares of memory are not exact")]
    let share = memory.used as f64 / memory.total.max(1) as f64;
    (share >= TOLD).then_some(memory.used)
}

/// Why the model at `at` cannot take a unit with its share; `None`: it can.
pub(super) fn refusal(answers: &Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Option<String> {
    let label = unit.label();
    let model = answers.models.get(at)?;
    #[expect(clippy::cast_precision_loss, reason = "there are few engines")]
    let own = share(model, known) * engines_on(model, unit).max(1) as f64;
    if unit.gpu.lost {
        return Some(format!("{label} fell off the bus or needs a reset: nothing can run on it."));
    }
    if unit.mig.is_none() && unit.gpu.mig.is_some() {
        return Some(format!("{label} is in MIG mode: choose one of its instances."));
    }
    let others = others(answers, at, unit, known);
    let sum: f64 = others.iter().map(|(_, share)| share).sum();
    if sum + own > LARGEST_SHARE + ROUNDING {
        let who: Vec<String> = others.iter().map(|(name, share)| format!("{} takes {share:.2}", clean(name))).collect();
        let who = if who.is_empty() { String::new() } else { format!("{}, ", who.join(", ")) };
        return Some(format!(
            "{label}: {who}and {own:.2} more is over {LARGEST_SHARE}. - lowers the share; = shares it equally. Models on one GPU \
             are all loaded at the same time: they cannot take turns."
        ));
    }
    let memory = unit.memory?;
    #[expect(clippy::cast_precision_loss, reason = "shares of memory are not exact")]
    let (used, total) = (memory.used as f64, memory.total as f64);
    (own > 0.0 && used + (own + sum) * total > MOST_IN_USE * total).then(|| {
        format!(
            "{label}: other processes hold {} of its {}: a share of {own:.2} does not fit. - lowers the share.",
            gib(memory.used),
            gib(memory.total)
        )
    })
}

/// Why the GPUs that are chosen by hand cannot be shared by the engines of a model; `None`: they can.
pub(super) fn uneven(model: &ModelAnswers) -> Option<String> {
    let (count, engines) = (listed(model).len(), model.replicas.max(1));
    (count % engines > 0).then(|| {
        format!(
            "{engines} engines cannot share {} evenly: choose {engines} GPUs or a multiple of that, or a: automatic.",
            if count == 1 { "1 GPU".to_owned() } else { format!("{count} GPUs") }
        )
    })
}

/// How many GPUs each engine of a model has.
pub(super) fn each(model: &ModelAnswers) -> usize {
    match &model.gpus {
        Gpus::Any(count) => *count,
        Gpus::Listed(gpus) => gpus.len() / model.replicas.max(1),
        Gpus::AsVisible => 0,
    }
}

/// Why a model cannot run on as many GPUs as its engines have; `None`: it can, as far as is known.
pub(super) fn too_small(model: &ModelAnswers, inventory: &Inventory, known: &Known) -> Option<String> {
    let weights = known.model(&model.source)?.memory.weights?;
    let all = units(inventory);
    let may_have = |unit: &&Unit<'_>| matches!(model.gpus, Gpus::Any(_)) || has(model, unit);
    let totals = all.iter().filter(may_have).filter_map(|unit| Some(unit.memory?.total));
    // Any engine may be given the largest ones.
    let room = if matches!(model.gpus, Gpus::Any(_)) { totals.max() } else { totals.min() }?;
    let (each, share) = (weights / u64::try_from(each(model)).unwrap_or(1).max(1), share(model, known));
    #[expect(clippy::cast_precision_loss, reason = "shares of memory are not exact")]
    let is_over = share > 0.0 && each as f64 > room as f64 * share;
    is_over.then(|| {
        format!(
            "Its weights need {} on each GPU, which is more than a share of {share:.2} of {}: choose more GPUs, or a larger share.",
            gib(each),
            gib(room)
        )
    })
}

/// Where the engines of the model at `at` would run now, by the gateway's own placement of all that is answered so far.
///
/// # Errors
/// Why they would not.
pub(super) fn placed(answers: &Answers, at: usize, known: &Known) -> Result<Vec<Assignment>, String> {
    let (Some(inventory), Some(own)) = (known.gpus(), answers.models.get(at)) else { return Ok(Vec::new()) };
    let all: Vec<Demand> = answers.models.iter().flat_map(|model| demands(model, known)).collect();
    match placement::place_in_turns(inventory, &all, &[]) {
        Ok(all) => Ok(all.into_iter().filter(|one| *one.engine.model() == own.name).collect()),
        Err(conflicts) => {
            let concerns = |engine: &EngineId| *engine.model() == own.name;
            let found = conflicts.iter().find(|one| one.engines.iter().any(concerns));
            found.map_or(Ok(Vec::new()), |one| {
                Err(clean(&format!("{}. {}", one.reason.trim_end_matches('.'), one.remedy)))
            })
        }
    }
}

fn demands(model: &ModelAnswers, known: &Known) -> Vec<Demand> {
    let demand = |replica| Demand {
        engine: EngineId::new(&model.name, replica),
        model: model.name.as_str().into(),
        gpus: match &model.gpus {
            Gpus::Listed(gpus) => Gpus::Listed(placement::share(gpus, model.replicas, replica).to_vec()),
            other => other.clone(),
        },
        share: share(model, known),
        ranks: None,
        in_turns: false,
    };
    (0..model.replicas).map(demand).collect()
}
