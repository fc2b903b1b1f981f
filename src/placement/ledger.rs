//! Who takes what of each GPU, while places are given.

use super::conflict::Conflict;
use super::types::{Demand, Held, Keeps, Place};
use crate::config::Gpus;
use crate::ids::{EngineId, Name};
use crate::inventory::{Inventory, NotFound, Unit, find, gib, units};

/// Largest share of one GPU's memory that may be promised to engines; the rest is the driver's and CUDA's own.
pub const LARGEST_SHARE: f64 = 0.95;

/// Largest share that engines and other processes together may take: vLLM refuses to start when less is free than it asks for,
/// and what the driver reports wavers a little.
const LARGEST_WITH_FOREIGN: f64 = 0.98;

/// Sums of shares such as 0.45 + 0.5 are a little off.
const ROUNDING: f64 = 1e-9;

/// Memory in use without a known holder counts only beyond this: the figures of contexts and the driver vary.
const UNACCOUNTED: u64 = 1 << 30;

/// A share up to which other processes leave a GPU empty for our purposes (a desktop, a monitor).
const EMPTY: f64 = 0.03;

/// All GPUs and MIG instances with what they carry.
pub(super) struct Ledger<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) units: Vec<Unit<'a>>,
    /// One for each unit, or for each word that is listed where no driver tells.
    pub(super) slots: Vec<Slot<'a>>,
}

/// What one GPU carries.
pub(super) struct Slot<'a> {
    /// `None` where no driver tells.
    pub(super) unit: Option<Unit<'a>>,
    /// `GPU 1`.
    pub(super) label: String,
    /// Engines of ours.
    pub(super) claims: Vec<Claim<'a>>,
    /// Engines of ours that are looked at as if they had ended.
    pub(super) leaving: Vec<&'a EngineId>,
    /// Other processes.
    pub(super) foreign: Vec<Foreign>,
}

/// What an engine of ours takes.
pub(super) struct Claim<'a> {
    pub(super) engine: &'a EngineId,
    pub(super) model: &'a Name,
    pub(super) share: f64,
    /// Whether it runs already.
    pub(super) held: bool,
}

/// Memory that foreign processes hold.
pub(super) struct Foreign {
    /// `python3 train.py (pid 4711)`.
    pub(super) who: String,
    pub(super) bytes: u64,
}

impl<'a> Ledger<'a> {
    /// With everything that runs put down.
    pub(super) fn new(inventory: &'a Inventory, demands: &'a [Demand], held: &'a [Held]) -> Self {
        let units = units(inventory);
        let slots = if inventory.known {
            let slot = |unit: &Unit<'a>| Slot {
                unit: Some(*unit),
                label: unit.label(),
                claims: Vec::new(),
                leaving: Vec::new(),
                foreign: Vec::new(),
            };
            units.iter().map(slot).collect()
        } else {
            named(demands, held)
        };
        let mut ledger = Self { inventory, units, slots };
        for engine in held {
            // The memory of one that sleeps is counted like that of others: by what its processes hold.
            for slot in engine.gpus.iter().filter_map(|text| ledger.slot(text).ok()).collect::<Vec<_>>() {
                match engine.keeps {
                    Keeps::Share => {
                        let (engine, model, share) = (&engine.engine, &engine.model, engine.share);
                        ledger.slots[slot].claims.push(Claim { engine, model, share, held: true });
                    }
                    Keeps::Nothing => ledger.slots[slot].leaving.push(&engine.engine),
                    Keeps::Remainder => {}
                }
            }
        }
        for slot in &mut ledger.slots {
            let engines: Vec<&EngineId> =
                slot.claims.iter().map(|claim| claim.engine).chain(slot.leaving.iter().copied()).collect();
            slot.foreign = slot.unit.map_or_else(Vec::new, |unit| foreign(&unit, &engines, held));
        }
        ledger
    }

    /// The slot that a word means.
    pub(super) fn slot(&self, text: &str) -> Result<usize, NotFound> {
        if !self.inventory.known {
            let label = spoken(text);
            return self.slots.iter().position(|slot| slot.label == label).ok_or(NotFound::Unknown);
        }
        let key = find(&self.units, text)?.key();
        self.units.iter().position(|unit| unit.key() == key).ok_or(NotFound::Unknown)
    }

    /// Puts down that `demand` takes its share.
    pub(super) fn claim(&mut self, slot: usize, demand: &'a Demand) {
        let claim = Claim { engine: &demand.engine, model: &demand.model, share: demand.share, held: false };
        self.slots[slot].claims.push(claim);
    }

    /// Undoes the newest `claim`.
    pub(super) fn take_back(&mut self, slot: usize) {
        self.slots[slot].claims.pop();
    }

    /// GPUs that were promised more than they have, a conflict each.
    pub(super) fn overfull(&self) -> Vec<Conflict> {
        self.slots.iter().filter_map(Slot::overfull).collect()
    }

    /// What `demand` gets on `slots`.
    pub(super) fn places(&self, demand: &Demand, slots: &[usize]) -> Vec<Place> {
        let texts = self.texts(demand, slots);
        let places = slots.iter().zip(texts).map(|(&slot, text)| {
            let slot = &self.slots[slot];
            let foreign = slot.foreign.iter().map(|other| other.bytes).sum();
            slot.unit.map_or_else(
                || Place { text: text.clone(), ..Place::default() },
                |unit| Place {
                    text: text.clone(),
                    index: Some(unit.gpu.index),
                    mig: unit.mig,
                    uuid: unit.uuid.map(str::to_owned),
                    name: unit.name.map(str::to_owned),
                    total: unit.memory.map(|memory| memory.total),
                    foreign,
                },
            )
        });
        places.collect()
    }
}

impl Slot<'_> {
    /// What engines of ours take.
    pub(super) fn ours(&self) -> f64 {
        self.claims.iter().map(|claim| claim.share).sum()
    }

    /// What others take; 0 when the driver does not tell.
    #[expect(clippy::cast_precision_loss, reason = "a share is shown with two digits")]
    pub(super) fn theirs(&self) -> f64 {
        let bytes: u64 = self.foreign.iter().map(|other| other.bytes).sum();
        match self.unit.and_then(|unit| unit.memory) {
            Some(memory) if memory.total > 0 => bytes as f64 / memory.total as f64,
            _ => 0.0,
        }
    }

    /// Whether `share` more can be promised.
    pub(super) fn fits(&self, share: f64) -> bool {
        let ours = self.ours() + share;
        ours <= LARGEST_SHARE + ROUNDING && ours + self.theirs() <= LARGEST_WITH_FOREIGN + ROUNDING
    }

    /// Whether it is empty.
    pub(super) fn empty(&self) -> bool {
        self.claims.is_empty() && self.theirs() <= EMPTY
    }

    /// Whether it can be given as a whole card.
    pub(super) fn whole(&self) -> bool {
        self.unit.is_some_and(|unit| unit.mig.is_none() && !unit.gpu.lost && unit.gpu.mig.is_none())
    }

    /// GiB that are neither reserved nor in use.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "whole GiB are compared")]
    #[expect(clippy::cast_sign_loss, reason = "at least 0")]
    pub(super) fn left(&self) -> u64 {
        let total = self.unit.and_then(|unit| unit.memory).map_or(0, |memory| memory.total);
        let share = (1.0 - self.ours() - self.theirs()).max(0.0);
        (total as f64 * share / (1u64 << 30) as f64) as u64
    }

    /// Who is there, in words: "model a takes 0.90, python3 (pid 4711) holds 35.0 GiB".
    pub(super) fn who(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut sum = 0.0;
        let mut groups: Vec<(String, usize)> = Vec::new();
        for claim in &self.claims {
            sum += claim.share;
            let over = !claim.held && sum > LARGEST_SHARE + ROUNDING;
            let verb = if over { "asks" } else { "takes" };
            let text = format!("model {} {verb} {:.2}", claim.model, claim.share);
            match groups.iter_mut().find(|(known, _)| *known == text) {
                Some((_, times)) => *times += 1,
                None => groups.push((text, 1)),
            }
        }
        let times = |(text, times): (String, usize)| if times > 1 { format!("{text} ({times} times)") } else { text };
        words.extend(groups.into_iter().map(times));
        words.extend(self.foreign.iter().map(|other| format!("{} holds {}", other.who, gib(other.bytes))));
        words
    }

    fn overfull(&self) -> Option<Conflict> {
        let wanted = |claim: &&Claim<'_>| !claim.held && claim.share > 0.0;
        if !self.claims.iter().any(|claim| wanted(&claim)) || self.fits(0.0) {
            return None;
        }
        let (ours, theirs) = (self.ours(), self.theirs());
        let alone = ours > LARGEST_SHARE + ROUNDING;
        let (sum, most) = if alone { (ours, LARGEST_SHARE) } else { (ours + theirs, LARGEST_WITH_FOREIGN) };
        let mut who = self.who();
        if alone {
            // What others hold would confuse the sum.
            who.truncate(who.len() - self.foreign.len());
        }
        let remedy = if alone {
            "Lower `gpu_memory` of one of them, give them different `gpus`, or have them take turns (`load: on_demand` at each)."
        } else {
            "Lower `gpu_memory`, give other `gpus`, or end what holds the memory."
        };
        Some(Conflict {
            engines: self.claims.iter().filter(|claim| !claim.held).map(|claim| claim.engine.clone()).collect(),
            reason: format!("{}: {}; together {sum:.2}, {most} is the most", self.label, who.join(", ")),
            remedy: remedy.into(),
        })
    }
}

/// A slot for each word that is listed: without a driver, the same GPU under two names is two.
fn named<'a>(demands: &[Demand], held: &[Held]) -> Vec<Slot<'a>> {
    let listed = demands.iter().filter_map(|demand| match &demand.gpus {
        Gpus::Listed(texts) => Some(texts),
        _ => None,
    });
    let mut labels: Vec<String> = Vec::new();
    for text in listed.chain(held.iter().map(|held| &held.gpus)).flatten() {
        let label = spoken(text);
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let slot = |label| Slot { unit: None, label, claims: Vec::new(), leaving: Vec::new(), foreign: Vec::new() };
    labels.into_iter().map(slot).collect()
}

/// `GPU 0` for `0`; UUIDs stand for themselves.
fn spoken(text: &str) -> String {
    let text = text.trim();
    text.parse::<u32>().map_or_else(|_| text.to_owned(), |index| format!("GPU {index}"))
}

/// Who holds memory of `unit` and is none of the engines that were given it.
fn foreign(unit: &Unit<'_>, here: &[&EngineId], held: &[Held]) -> Vec<Foreign> {
    let mut found = Vec::new();
    let owner = |pid: u32| held.iter().find(|engine| engine.pids.contains(&pid));
    let given = |engine: &EngineId| here.contains(&engine);
    for process in unit.processes.unwrap_or_default() {
        let Some(bytes) = process.memory.filter(|&bytes| bytes > 0) else { continue };
        let who = match owner(process.pid) {
            Some(engine) if given(&engine.engine) => continue,
            Some(engine) => format!("engine {} (pid {})", engine.engine, process.pid),
            None => format!("{} (pid {})", process.name.as_deref().unwrap_or("an unknown process"), process.pid),
        };
        found.push(Foreign { who, bytes });
    }
    // What no listed process holds may be of engines whose processes are not visible: their whole share, at most.
    let listed =
        |engine: &Held| unit.processes.unwrap_or_default().iter().any(|process| engine.pids.contains(&process.pid));
    let hidden: f64 = held.iter().filter(|held| given(&held.engine) && !listed(held)).map(|held| held.share).sum();
    let Some(memory) = unit.memory else { return found };
    let known: u64 = unit.processes.unwrap_or_default().iter().filter_map(|process| process.memory).sum();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate")]
    #[expect(clippy::cast_sign_loss, reason = "shares are not negative")]
    let hidden = (memory.total as f64 * hidden) as u64;
    let rest = memory.used.saturating_sub(known).saturating_sub(hidden);
    if rest > UNACCOUNTED {
        found.push(Foreign { who: "a process that is not visible from here".into(), bytes: rest });
    }
    found
}
