//! Whether the GPU memory of an engine that ended is free again.

use super::{Inventory, Unit, find, units};

/// Memory that may stay in use without anybody's doing: figures of the driver waver by contexts that come and go.
const SLACK: u64 = 1 << 30;

/// What became of the GPU memory of an engine that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memories {
    /// All of it can be used again.
    Freed,
    /// Some is still in use.
    Held {
        /// Pids of the engine's processes that hold it; empty when the driver names none (it is still tidying up).
        by: Vec<u32>,
        /// Bytes, as far as they are known.
        bytes: u64,
    },
    /// The driver does not tell.
    Unknown,
}

/// Whether the memory that the processes `pids` held on `gpus` (indices or UUIDs) is free.
///
/// `before` is a reading from just before the engine started, where there is one: it tells what others held, which
/// matters where processes are not visible (within a container) or are gone while their memory is not.
#[must_use]
pub fn freed(now: &Inventory, before: Option<&Inventory>, gpus: &[String], pids: &[u32]) -> Memories {
    let (units_now, units_before) = (units(now), before.map(units).unwrap_or_default());
    let (mut by, mut bytes, mut unknown) = (Vec::new(), 0, false);
    for gpu in gpus {
        let Ok(unit) = find(&units_now, gpu) else {
            unknown = true;
            continue;
        };
        // A lost card holds nothing that anybody could use.
        if unit.gpu.lost {
            continue;
        }
        match held(unit, find(&units_before, gpu).ok(), pids) {
            Memories::Freed => {}
            Memories::Held { by: more, bytes: some } => {
                by.extend(more);
                bytes += some;
            }
            Memories::Unknown => unknown = true,
        }
    }
    by.sort_unstable();
    by.dedup();
    match (by.is_empty() && bytes == 0, unknown) {
        (false, _) => Memories::Held { by, bytes },
        (true, true) => Memories::Unknown,
        (true, false) => Memories::Freed,
    }
}

/// The same for one GPU.
fn held(now: &Unit<'_>, before: Option<&Unit<'_>>, pids: &[u32]) -> Memories {
    let own = now.processes.unwrap_or_default().iter().filter(|process| pids.contains(&process.pid));
    let (by, known): (Vec<u32>, Vec<u64>) = own.map(|process| (process.pid, process.memory.unwrap_or(0))).unzip();
    if !by.is_empty() {
        return Memories::Held { by, bytes: known.iter().sum() };
    }
    let visible = now.processes.is_some_and(|processes| !processes.is_empty());
    let excess = |now: u64, before: u64| match now.saturating_sub(before) {
        excess if excess > SLACK => Memories::Held { by: Vec::new(), bytes: excess },
        _ => Memories::Freed,
    };
    if let Some(unaccounted) = now.unaccounted() {
        return match before.and_then(Unit::unaccounted) {
            Some(before) => excess(unaccounted, before),
            // Somebody's, but whose was never known. Where processes are visible at all, ours would be.
            None if visible || unaccounted <= SLACK => Memories::Freed,
            None => Memories::Unknown,
        };
    }
    match (now.memory, before.and_then(|before| before.memory)) {
        (Some(now), Some(before)) => excess(now.used, before.used),
        _ if visible => Memories::Freed,
        _ => Memories::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gpu, GpuProcess, Memory};
    use super::*;

    const GIB: u64 = 1 << 30;

    fn inventory(used: u64, processes: Option<&[(u32, Option<u64>)]>) -> Inventory {
        let process = |&(pid, memory): &(u32, Option<u64>)| GpuProcess { pid, memory, ..GpuProcess::default() };
        let memory = Some(Memory { total: 80 * GIB, used, free: 80 * GIB - used });
        let processes = processes.map(|processes| processes.iter().map(process).collect());
        let gpu = Gpu { uuid: Some("GPU-a".into()), memory, processes, ..Gpu::default() };
        Inventory { gpus: vec![gpu], known: true, ..Inventory::default() }
    }

    fn check(now: &Inventory, before: Option<&Inventory>) -> Memories {
        let found = freed(now, before, &["0".into()], &[7, 8]);
        assert_eq!(found, freed(now, before, &["GPU-a".into()], &[8, 7]));
        found
    }

    #[test]
    fn memory_is_held_while_a_process_of_the_engine_is_listed() {
        let now = inventory(31 * GIB, Some(&[(7, Some(30 * GIB)), (9, Some(GIB))]));
        assert_eq!(check(&now, None), Memories::Held { by: vec![7], bytes: 30 * GIB });
        assert_eq!(check(&inventory(0, Some(&[(8, None)])), None), Memories::Held { by: vec![8], bytes: 0 });
        assert_eq!(check(&inventory(GIB, Some(&[(9, Some(GIB))])), None), Memories::Freed);
        assert_eq!(check(&inventory(0, Some(&[])), None), Memories::Freed);
    }

    #[test]
    fn memory_that_outlives_its_process_is_still_held() {
        let before = inventory(GIB, Some(&[(9, Some(GIB))]));
        let now = inventory(41 * GIB, Some(&[(9, Some(GIB))]));
        assert_eq!(check(&now, Some(&before)), Memories::Held { by: vec![], bytes: 40 * GIB });
        // Another engine that started meanwhile accounts for what it holds.
        let other = inventory(41 * GIB, Some(&[(9, Some(GIB)), (10, Some(40 * GIB))]));
        assert_eq!(check(&other, Some(&before)), Memories::Freed);
    }

    #[test]
    fn where_processes_are_hidden_the_sum_tells_or_nobody_does() {
        for hidden in [None, Some(&[][..])] {
            let (before, now) = (inventory(5 * GIB, hidden), inventory(60 * GIB, hidden));
            assert_eq!(check(&now, Some(&before)), Memories::Held { by: vec![], bytes: 55 * GIB });
            assert_eq!(check(&before, Some(&before)), Memories::Freed);
            assert_eq!(check(&now, None), Memories::Unknown);
        }
        let missing = Inventory { gpus: vec![Gpu::default()], ..Inventory::default() };
        assert_eq!(freed(&missing, None, &["0".into()], &[7]), Memories::Unknown);
        assert_eq!(freed(&Inventory::default(), None, &["0".into()], &[7]), Memories::Unknown);
    }

    #[test]
    fn a_lost_card_holds_nothing_anybody_could_wait_for() {
        let lost = Inventory { gpus: vec![Gpu { lost: true, ..Gpu::default() }], ..Inventory::default() };
        assert_eq!(freed(&lost, None, &["0".into()], &[7]), Memories::Freed);
        assert_eq!(freed(&lost, None, &[], &[7]), Memories::Freed);
    }
}
