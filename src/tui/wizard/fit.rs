//! What fits on which GPU, by the shares that placement counts with, and why something does not. Pure.

use serde_json::{Map, Value};

use super::known::Known;
use crate::config::{Answers, Gpus, ModelAnswers, flag_name};
use crate::gpu::Inventory;
use crate::ids::EngineId;
use crate::inventory::{Unit, gib, units};
use crate::placement::{self, Assignment, Conflict, Demand, LARGEST_SHARE, memory_share};
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

/// What a model takes of a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The share of all of its engines there.
    pub(super) share: f64,
    /// Whether it takes that only when it is its turn.
    pub(super) in_turns: bool,
}

/// What the other models of this configuration take of a unit.
pub(super) fn others<'a>(answers: &'a Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Vec<Taken<'a>> {
    let all = answers.models.iter().enumerate().filter(|(place, model)| *place != at && has(model, unit));
    #[expect(clippy::cast_precision_loss, reason = "there are few engines")]
    let taken = |model: &'a ModelAnswers| Taken {
        name: &model.name,
        share: share(model, known) * engines_on(model, unit) as f64,
        in_turns: model.on_demand,
    };
    all.map(|(_, model)| taken(model)).collect()
}

/// Those of the others that take something of a unit while a model does: those that keep their GPUs, and, if it keeps them, too, the
/// largest one of those in turns, which has to find room beside it. One in turns does not meet others that are.
fn at_once(others: Vec<Taken<'_>>, is_in_turns: bool) -> Vec<Taken<'_>> {
    let (in_turns, mut all): (Vec<_>, Vec<_>) = others.into_iter().partition(|other| other.in_turns);
    let largest = in_turns.into_iter().max_by(|one, other| one.share.total_cmp(&other.share));
    all.extend(largest.filter(|_| !is_in_turns));
    all
}

fn sum(taken: &[Taken<'_>]) -> f64 {
    taken.iter().map(|one| one.share).sum()
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
    let beside = at_once(others.clone(), model.on_demand);
    let sum = sum(&beside);
    if sum + own > LARGEST_SHARE + ROUNDING {
        return Some(format!("{label}: {}", too_much(&others, &beside, model.on_demand, own)));
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

/// Why a share of `own` is too much beside others, and what can be done: `others` are all on the unit, `beside` those that count.
fn too_much(others: &[Taken<'_>], beside: &[Taken<'_>], is_in_turns: bool, own: f64) -> String {
    let who: String = beside.iter().map(|one| format!("{} takes {:.2}, ", clean(one.name), one.share)).collect();
    let fits = |beside: &[Taken<'_>]| sum(beside) + own <= LARGEST_SHARE + ROUNDING;
    let turns = if !is_in_turns && fits(&at_once(others.to_vec(), true)) {
        " t has it take turns with others."
    } else if !beside.is_empty() && fits(&[]) {
        " T has all on this GPU take turns."
    } else {
        ""
    };
    format!("{who}and {own:.2} more is over {LARGEST_SHARE}. - lowers the share; = shares it equally.{turns}")
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
    places(answers, at, known).map_err(|why| {
        let turns = if places(&in_turns(answers, &|place| place == at), at, known).is_ok() {
            " t has it take turns with others."
        } else if places(&in_turns(answers, &|_| true), at, known).is_ok() {
            " T has all models take turns."
        } else {
            ""
        };
        clean(&format!("{}. {}{turns}", why.reason.trim_end_matches('.'), why.remedy))
    })
}

fn places(answers: &Answers, at: usize, known: &Known) -> Result<Vec<Assignment>, Conflict> {
    let Some(own) = answers.models.get(at) else { return Ok(Vec::new()) };
    let conflicts = match place_all(answers, known) {
        Ok(all) => return Ok(all.into_iter().filter(|one| *one.engine.model() == own.name).collect()),
        Err(conflicts) => conflicts,
    };
    let concerns = |one: &Conflict, is_it: &dyn Fn(&EngineId) -> bool| one.engines.iter().any(is_it);
    let is_own = |engine: &EngineId| *engine.model() == own.name;
    if let Some(why) = conflicts.iter().find(|one| concerns(one, &is_own)) {
        return Err(why.clone());
    }
    if own.on_demand {
        return Ok(Vec::new());
    }
    // One in turns that has no place because this model keeps its own.
    let left = place_all(&in_turns(answers, &|place| place == at), known).err().unwrap_or_default();
    let still = |engine: &EngineId| left.iter().any(|one| one.engines.contains(engine));
    conflicts.into_iter().find(|one| !concerns(one, &still)).map_or(Ok(Vec::new()), Err)
}

/// The same answers with more models in turns.
fn in_turns(answers: &Answers, which: &dyn Fn(usize) -> bool) -> Answers {
    let mut changed = answers.clone();
    let models = changed.models.iter_mut().enumerate();
    models.filter(|(place, _)| which(*place)).for_each(|(_, model)| model.on_demand = true);
    changed
}

fn place_all(answers: &Answers, known: &Known) -> Result<Vec<Assignment>, Vec<Conflict>> {
    let all: Vec<Demand> = answers.models.iter().flat_map(|model| demands(model, known)).collect();
    known.gpus().map_or(Ok(Vec::new()), |inventory| placement::place_in_turns(inventory, &all, &[]))
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
        in_turns: model.on_demand,
    };
    (0..model.replicas).map(demand).collect()
}
