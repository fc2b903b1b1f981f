//! GPUs that a user lists: which are meant, whether they can be assigned, and what CUDA gets.

use super::conflict::Conflict;
use super::ledger::Ledger;
use super::types::Demand;
use crate::config::Gpus;
use crate::inventory::NotFound;

/// Near UUIDs that are shown.
const NEAR: usize = 3;

impl Ledger<'_> {
    /// The slots that `texts` mean, or everything that is wrong with them.
    pub(super) fn resolve(&self, demand: &Demand, texts: &[String]) -> Result<Vec<usize>, Vec<Conflict>> {
        let mut found: Vec<usize> = Vec::new();
        let mut wrong = Vec::new();
        let mut instances = 0;
        for (at, text) in texts.iter().enumerate() {
            let slot = match self.slot(text) {
                Ok(slot) => slot,
                Err(why) => {
                    wrong.push(self.unknown(text, why));
                    continue;
                }
            };
            let label = &self.slots[slot].label;
            if let Some(before) = found.iter().position(|&other| other == slot) {
                let names =
                    if texts[before] == *text { String::new() } else { format!(", as {} and {text}", texts[before]) };
                wrong.push((
                    format!("{label} is listed twice for one engine{names}"),
                    "List each GPU of an engine once.".to_owned(),
                ));
            } else if let Some(reason) = self.unfit(slot) {
                wrong.push(reason);
            }
            instances += usize::from(self.slots[slot].unit.is_some_and(|unit| unit.mig.is_some()));
            // Where one is wrong, the others keep their places for `position` above.
            found.resize(at, usize::MAX);
            found.push(slot);
        }
        if instances > 0 && texts.len() > 1 {
            let reason = "CUDA shows an engine one MIG instance and nothing beside it, but several GPUs are listed";
            wrong.push((
                reason.to_owned(),
                "List one instance for each engine; more engines are `replicas`.".to_owned(),
            ));
        }
        if wrong.is_empty() {
            return Ok(found);
        }
        let conflict = |(reason, remedy)| Conflict {
            engines: vec![demand.engine.clone()],
            reason: format!("model {}: {reason}", demand.model),
            remedy,
        };
        Err(wrong.into_iter().map(conflict).collect())
    }

    /// Why a GPU that exists cannot be given.
    fn unfit(&self, slot: usize) -> Option<(String, String)> {
        let slot = &self.slots[slot];
        let unit = slot.unit?;
        if unit.gpu.lost {
            let remedy = "Reset it (`nvidia-smi --gpu-reset`), restart the machine, or list another GPU.";
            return Some((format!("{} is lost: nothing can run on it", slot.label), remedy.into()));
        }
        let (None, Some(parts)) = (unit.mig, &unit.gpu.mig) else { return None };
        let instances: Vec<&str> = parts.iter().filter_map(|part| part.uuid.as_deref()).collect();
        let remedy = if instances.is_empty() {
            "Make MIG instances (`nvidia-smi mig -cgi …`) or turn MIG off (`nvidia-smi -mig 0`).".to_owned()
        } else {
            format!("List the UUID of one of its instances: {}.", instances.join(", "))
        };
        Some((format!("{} is in MIG mode and cannot be given as a whole", slot.label), remedy))
    }

    /// Why no GPU is meant, and which may be.
    fn unknown(&self, text: &str, why: NotFound) -> (String, String) {
        let cards: Vec<u32> = self.inventory.gpus.iter().map(|gpu| gpu.index).collect();
        let has = match cards[..] {
            [] => "this machine has none".to_owned(),
            [only] => format!("this machine has only {only}"),
            [first, .., last] => format!("this machine has {first}-{last}"),
        };
        if text.trim().parse::<u32>().is_ok() {
            let remedy = if cards.is_empty() {
                "See what `nvidia-smi` says; a container needs access to its GPUs (`--gpus all`)."
            } else {
                "List a GPU that exists; `enginehouse gpus` shows them."
            };
            return (format!("GPU {text} does not exist: {has}"), remedy.into());
        }
        let mut near: Vec<(f64, &str)> = self
            .units
            .iter()
            .filter_map(|unit| unit.uuid)
            .map(|uuid| (strsim::jaro_winkler(&uuid.to_ascii_lowercase(), &text.to_ascii_lowercase()), uuid))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near: Vec<&str> = near.into_iter().take(NEAR).map(|(_, uuid)| uuid).collect();
        let reason = match why {
            NotFound::Unknown => format!("no GPU or MIG instance has the UUID {text}"),
            NotFound::Ambiguous => format!("several GPUs have a UUID that begins with {text}"),
        };
        let remedy = if near.is_empty() {
            "See what `nvidia-smi -L` says.".to_owned()
        } else {
            format!("Near ones are {}; `enginehouse gpus` shows all.", near.join(", "))
        };
        (reason, remedy)
    }

    /// The words for `CUDA_VISIBLE_DEVICES`.
    ///
    /// Listed GPUs keep the words of the user. Chosen ones are named by index: vLLM reads these words itself, and only
    /// recent versions take UUIDs (0.32 does, in `NvmlCudaPlatform.device_control_id_to_physical_device_id`; up to 0.20
    /// at least `int()` fails on them, its issue 41848). But where a card is lost CUDA counts without it while the driver
    /// counts with it, so an index could mean another card: then UUIDs are used, as they are for words of both kinds.
    pub(super) fn texts(&self, demand: &Demand, slots: &[usize]) -> Vec<String> {
        let units = || slots.iter().filter_map(|&slot| self.slots[slot].unit);
        let written: Vec<String> = match &demand.gpus {
            Gpus::Listed(texts) => texts.iter().map(|text| text.trim().to_owned()).collect(),
            _ => units().map(|unit| unit.gpu.index.to_string()).collect(),
        };
        let indices = written.iter().filter(|text| text.parse::<u32>().is_ok()).count();
        let lost = self.inventory.gpus.iter().any(|gpu| gpu.lost);
        if indices > 0 && (lost || indices < written.len()) {
            let uuids: Option<Vec<String>> = units().map(|unit| unit.uuid.map(str::to_owned)).collect();
            return uuids.filter(|uuids| uuids.len() == written.len()).unwrap_or(written);
        }
        written
    }
}
