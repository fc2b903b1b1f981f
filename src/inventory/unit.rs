//! What an engine can be given: whole GPUs and MIG instances, found by index or UUID.

use super::{Gpu, GpuProcess, Inventory, Memory};

/// Something that CUDA sees as one device: a whole GPU, or a MIG instance of one.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// The card it is, or is a part of.
    pub gpu: &'a Gpu,
    /// Place among the card's MIG instances; `None`: the whole card.
    pub mig: Option<u32>,
    /// UUID of the card or the instance.
    pub uuid: Option<&'a str>,
    /// Name of the card or the instance.
    pub name: Option<&'a str>,
    /// Memory of the card or the instance.
    pub memory: Option<Memory>,
    /// Who uses it.
    pub processes: Option<&'a [GpuProcess]>,
}

impl Unit<'_> {
    /// What tells it from all others: index of the card and place of the instance.
    #[must_use]
    pub fn key(&self) -> (u32, Option<u32>) {
        (self.gpu.index, self.mig)
    }

    /// `GPU 1`, or `MIG instance 1:0`.
    #[must_use]
    pub fn label(&self) -> String {
        match self.mig {
            None => format!("GPU {}", self.gpu.index),
            Some(place) => format!("MIG instance {}:{place}", self.gpu.index),
        }
    }

    /// Bytes in use that no listed process accounts for: of processes that are not visible from here, or that died a
    /// moment ago. `None` when it cannot be told.
    #[must_use]
    pub fn unaccounted(&self) -> Option<u64> {
        let used = self.memory?.used;
        let known = self.processes?.iter().map(|process| process.memory).sum::<Option<u64>>()?;
        Some(used.saturating_sub(known))
    }
}

/// Every card and every MIG instance, a card before its instances.
#[must_use]
pub fn units(inventory: &Inventory) -> Vec<Unit<'_>> {
    let mut all = Vec::new();
    for gpu in &inventory.gpus {
        all.push(Unit {
            gpu,
            mig: None,
            uuid: gpu.uuid.as_deref(),
            name: gpu.name.as_deref(),
            memory: gpu.memory,
            processes: gpu.processes.as_deref(),
        });
        all.extend(gpu.mig.iter().flatten().map(|part| Unit {
            gpu,
            mig: Some(part.index),
            uuid: part.uuid.as_deref(),
            name: part.name.as_deref(),
            memory: part.memory,
            processes: part.processes.as_deref(),
        }));
    }
    all
}

/// Why no single GPU is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// There is none of that index or UUID.
    Unknown,
    /// The beginning of a UUID fits several.
    Ambiguous,
}

/// The unit that `text` means, as CUDA reads it: the index of a card, or a UUID or enough of its beginning.
///
/// # Errors
/// When none or several are meant.
pub fn find<'u, 'i>(units: &'u [Unit<'i>], text: &str) -> Result<&'u Unit<'i>, NotFound> {
    let text = text.trim();
    if let Ok(index) = text.parse::<u32>() {
        return units.iter().find(|unit| unit.key() == (index, None)).ok_or(NotFound::Unknown);
    }
    let same = |unit: &&Unit<'_>| unit.uuid.is_some_and(|uuid| uuid.eq_ignore_ascii_case(text));
    if let Some(unit) = units.iter().find(same) {
        return Ok(unit);
    }
    // Only cards may be abbreviated, and by more than the mark that all UUIDs share.
    if text.len() <= "GPU-".len() {
        return Err(NotFound::Unknown);
    }
    let begins = |uuid: &str| uuid.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let mut found = units.iter().filter(|unit| unit.mig.is_none() && unit.uuid.is_some_and(begins));
    match (found.next(), found.next()) {
        (Some(unit), None) => Ok(unit),
        (None, _) => Err(NotFound::Unknown),
        (Some(_), Some(_)) => Err(NotFound::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mig;
    use super::*;

    #[test]
    fn a_gpu_is_found_by_index_uuid_and_the_beginning_of_its_uuid() {
        let card = |index, uuid: &str| Gpu { index, uuid: Some(uuid.into()), ..Gpu::default() };
        let mut gpus = vec![card(0, "GPU-ab12"), card(1, "GPU-ab34"), Gpu { index: 2, ..Gpu::default() }];
        gpus[1].mig = Some(vec![Mig { index: 4, uuid: Some("MIG-ab".into()), ..Mig::default() }]);
        let inventory = Inventory { gpus, ..Inventory::default() };
        let units = units(&inventory);
        let key = |text| find(&units, text).map(Unit::key);
        assert_eq!(key("0"), Ok((0, None)));
        assert_eq!(key("2"), Ok((2, None)));
        assert_eq!(key("GPU-AB34"), Ok((1, None)));
        assert_eq!(key("GPU-ab1"), Ok((0, None)));
        assert_eq!(key("GPU-ab"), Err(NotFound::Ambiguous));
        assert_eq!(key("MIG-ab"), Ok((1, Some(4))));
        for nothing in ["3", "GPU-", "GPU-c", "MIG-a", "", "-1"] {
            assert_eq!(key(nothing), Err(NotFound::Unknown), "{nothing}");
        }
    }
}
