//! Chooses GPUs for engines that want so many of any.
//!
//! Only whole cards with room, and for one engine only cards of one kind. Among those, in this order:
//! 1. cards without another engine of the same model (a card that fails takes one replica, not all);
//! 2. the fewest empty cards: a half-filled one with room is filled before another is begun;
//! 3. the fewest halves of empty pairs (0 and 1, 2 and 3, …): pairs stay whole for engines that need two;
//! 4. the most memory left, in whole GiB, on the card that has least;
//! 5. neighbours: a block that begins at a multiple of its size, then the narrowest;
//! 6. the lowest indices.
//!
//! Engines that need most GPUs are placed first, then those with the largest share. Where that leads nowhere, other
//! choices are tried, the last engine's first, up to a bound.

use std::cmp::Reverse;

use super::conflict::{Conflict, number_of_gpus};
use super::ledger::{Ledger, Slot};
use super::types::Demand;
use crate::config::Gpus;

/// Sets of cards that are compared in all until no second choice is tried any more; enough for any machine that is no
/// puzzle, and done in a moment.
const PATIENCE: usize = 50_000;

/// Sets of cards that are compared; where there are more, only neighbours are.
const SETS: usize = 2_000;

/// Gives every demand for any GPUs its slots in `taken`, or tells why some have none.
pub(super) fn choose<'a>(
    ledger: &mut Ledger<'a>,
    demands: &'a [Demand],
    taken: &mut [Option<Vec<usize>>],
) -> Vec<Conflict> {
    let mut order: Vec<(usize, usize)> = demands
        .iter()
        .enumerate()
        .filter_map(|(at, demand)| match demand.gpus {
            Gpus::Any(count) => Some((at, count)),
            _ => None,
        })
        .collect();
    let share = |at: usize| demands[at].share;
    order.sort_by(|a, b| b.1.cmp(&a.1).then(share(b.0).total_cmp(&share(a.0))).then(a.0.cmp(&b.0)));
    let mut search = Search { ledger, demands, left: PATIENCE };
    if let Some(found) = search.all(&order) {
        for ((at, _), slots) in order.into_iter().zip(found) {
            taken[at] = Some(slots);
        }
        return Vec::new();
    }
    // Not all: each that has no room beside those before it is told.
    let mut conflicts = Vec::new();
    for (at, count) in order {
        match sets(&ledger.slots, &demands[at], count).into_iter().next() {
            Some(best) => best.into_iter().for_each(|slot| ledger.claim(slot, &demands[at])),
            None => conflicts.push(no_room(&ledger.slots, &demands[at], count)),
        }
    }
    conflicts
}

struct Search<'l, 'a> {
    ledger: &'l mut Ledger<'a>,
    demands: &'a [Demand],
    /// Sets that may still be compared.
    left: usize,
}

impl Search<'_, '_> {
    /// Slots for each of `order`, all at once; claims stay put down only when all have found theirs.
    fn all(&mut self, order: &[(usize, usize)]) -> Option<Vec<Vec<usize>>> {
        // Choices that are open at each step, best last; a loop, as there may be thousands of steps.
        let mut open: Vec<Vec<Vec<usize>>> = Vec::new();
        let mut made: Vec<Vec<usize>> = Vec::new();
        let mut forward = true;
        while forward || !open.is_empty() {
            if forward {
                let Some(&(at, count)) = order.get(made.len()) else { return Some(made) };
                let mut choices = sets(&self.ledger.slots, &self.demands[at], count);
                self.left = self.left.saturating_sub(choices.len().max(1));
                choices.reverse();
                open.push(choices);
            } else {
                let slots = made.pop().unwrap_or_default();
                slots.iter().for_each(|&slot| self.ledger.take_back(slot));
                if self.left == 0 {
                    // Undo the rest.
                    open.pop();
                    continue;
                }
            }
            let demand = &self.demands[order[made.len()].0];
            match open.last_mut().and_then(Vec::pop) {
                Some(slots) => {
                    slots.iter().for_each(|&slot| self.ledger.claim(slot, demand));
                    made.push(slots);
                    forward = true;
                }
                None => {
                    open.pop();
                    forward = false;
                }
            }
        }
        None
    }
}

/// Sets of `count` cards that have room for `demand`, the best first.
fn sets(slots: &[Slot<'_>], demand: &Demand, count: usize) -> Vec<Vec<usize>> {
    let fits: Vec<usize> = (0..slots.len()).filter(|&at| slots[at].whole() && slots[at].fits(demand.share)).collect();
    let mut kinds: Vec<Option<&str>> = fits.iter().map(|&at| kind(&slots[at])).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut found = Vec::new();
    for wanted in kinds {
        let alike: Vec<usize> = fits.iter().copied().filter(|&at| kind(&slots[at]) == wanted).collect();
        if alike.len() < count || count == 0 {
            continue;
        }
        if number_of_sets(alike.len(), count) > SETS {
            found.extend(alike.windows(count).map(<[usize]>::to_vec));
        } else {
            combine(&alike, count, &mut Vec::new(), &mut found);
        }
    }
    found.sort_by_cached_key(|set| rank(slots, demand, set));
    found
}

fn kind<'a>(slot: &Slot<'a>) -> Option<&'a str> {
    slot.unit.and_then(|unit| unit.name)
}

/// n over k, or more than anybody compares.
fn number_of_sets(n: usize, k: usize) -> usize {
    (0..k).fold(1, |sets: usize, at| sets.saturating_mul(n - at) / (at + 1))
}

fn combine(of: &[usize], count: usize, chosen: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    if count == 0 {
        found.push(chosen.clone());
        return;
    }
    for (at, &first) in of.iter().enumerate().take(of.len() + 1 - count) {
        chosen.push(first);
        combine(&of[at + 1..], count - 1, chosen, found);
        chosen.pop();
    }
}

/// The lower, the better; see the top of this file.
type Rank = (usize, usize, usize, Reverse<u64>, bool, u32, Vec<u32>);

fn rank(slots: &[Slot<'_>], demand: &Demand, set: &[usize]) -> Rank {
    let count = |test: &dyn Fn(usize) -> bool| set.iter().filter(|&&at| test(at)).count();
    let siblings = |at: usize| slots[at].claims.iter().filter(|claim| *claim.model == demand.model).count();
    let index = |at: usize| slots[at].unit.map_or(0, |unit| unit.gpu.index);
    let other_half = |at: usize| {
        let twin = |other: &usize| {
            slots[*other].whole() && index(*other) == index(at) ^ 1 && kind(&slots[*other]) == kind(&slots[at])
        };
        (0..slots.len()).find(twin).filter(|other| slots[*other].empty() && !set.contains(other))
    };
    let indices: Vec<u32> = set.iter().map(|&at| index(at)).collect();
    let (first, last) = (indices.iter().min().copied().unwrap_or(0), indices.iter().max().copied().unwrap_or(0));
    let size = u32::try_from(set.len()).unwrap_or(u32::MAX).max(1);
    (
        set.iter().map(|&at| siblings(at)).sum(),
        count(&|at| slots[at].empty()),
        count(&|at| slots[at].empty() && other_half(at).is_some()),
        Reverse(set.iter().map(|&at| slots[at].left()).min().unwrap_or(0)),
        !first.is_multiple_of(size),
        last - first,
        indices,
    )
}

fn no_room(slots: &[Slot<'_>], demand: &Demand, count: usize) -> Conflict {
    let cards: Vec<&Slot<'_>> = slots.iter().filter(|slot| slot.unit.is_some_and(|unit| unit.mig.is_none())).collect();
    let (model, share) = (&demand.model, demand.share);
    let gpus = number_of_gpus(count);
    let engines = vec![demand.engine.clone()];
    if cards.len() < count {
        let has = if cards.is_empty() { "none".to_owned() } else { cards.len().to_string() };
        let reason = format!("model {model} needs {gpus} for each engine; this machine has {has}");
        let remedy = "Ask for fewer `gpus`, or see in `enginehouse gpus` whether all are there.".into();
        return Conflict { engines, reason, remedy };
    }
    let free = cards.iter().filter(|slot| slot.whole() && slot.fits(share)).count();
    let room = match free {
        0 => "none has".to_owned(),
        1 => "only 1 has".to_owned(),
        // As many as wanted, but not alike.
        free if free >= count => "those with enough are of different types".to_owned(),
        free => format!("only {free} have"),
    };
    let one_kind = if count > 1 { " of one kind" } else { "" };
    let kinds = free >= count;
    let details: Vec<String> = cards.iter().filter_map(|slot| why_not(slot, share, kinds)).collect();
    Conflict {
        engines,
        reason: format!(
            "model {model} needs {gpus}{one_kind} with a share of {share:.2} left, and {room}: {}",
            details.join("; ")
        ),
        remedy: "Lower `gpu_memory`, `gpus` or `replicas` of a model, or end what holds the memory.".into(),
    }
}

/// What is against a card; its kind, where that is what matters.
fn why_not(slot: &Slot<'_>, share: f64, kinds: bool) -> Option<String> {
    let unit = slot.unit?;
    if unit.gpu.lost {
        return Some(format!("{} is lost", slot.label));
    }
    if unit.gpu.mig.is_some() {
        return Some(format!("{} is in MIG mode (its instances must be listed)", slot.label));
    }
    if slot.fits(share) {
        return kinds.then(|| format!("{} is a {}", slot.label, unit.name.unwrap_or("card of unknown type")));
    }
    let who = slot.who();
    let who = if who.is_empty() { "the share would be above the limit".to_owned() } else { who.join(", ") };
    Some(format!("{}: {who}", slot.label))
}
