//! Why engines cannot all have their GPUs, in words.

use std::fmt;

use super::types::Demand;
use crate::config::Gpus;
use crate::ids::EngineId;
use crate::inventory::Inventory;

/// One reason why not all engines can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Engines that have no place because of it; those that run already are not among them.
    pub engines: Vec<EngineId>,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    -> {}", self.reason, self.remedy)
    }
}

/// `1 GPU`, `2 GPUs`.
pub(super) fn number_of_gpus(count: usize) -> String {
    format!("{count} {}", if count == 1 { "GPU" } else { "GPUs" })
}

/// Why no GPU can be chosen for `demand` where the driver does not tell which there are.
pub(super) fn blind(inventory: &Inventory, demand: &Demand) -> Option<Conflict> {
    let Gpus::Any(count) = demand.gpus else { return None };
    let why = match inventory.driver {
        None => "no NVIDIA driver was found",
        Some(_) => "the NVIDIA driver does not tell which GPUs there are",
    };
    let details = inventory.faults.first().map_or_else(String::new, |fault| format!(" ({fault})"));
    let gpus = number_of_gpus(count);
    Some(Conflict {
        engines: vec![demand.engine.clone()],
        reason: format!("model {} needs {gpus}, but {why}, so GPUs cannot be chosen{details}", demand.model),
        remedy: "List them, such as `gpus: [0]`.".into(),
    })
}

/// Why the engine cannot spread over the GPUs it is to have.
pub(super) fn ranks(demand: &Demand) -> Option<Conflict> {
    let ranks = demand.ranks?;
    let gpus = match &demand.gpus {
        Gpus::AsVisible => return None,
        Gpus::Any(count) => *count,
        Gpus::Listed(gpus) => gpus.len(),
    };
    let count = gpus as u64;
    let used = ranks.used(count);
    if count == 0 || used == 0 || (used <= count && count.is_multiple_of(used)) {
        return None;
    }
    let sizes = match ranks.tensor {
        Some(tensor) if ranks.others == 1 => format!("tensor parallelism of {tensor}"),
        Some(tensor) => format!("tensor parallelism of {tensor} times {} (pipeline, data, context)", ranks.others),
        None => format!("pipeline, data and context parallelism of together {}", ranks.others),
    };
    Some(Conflict {
        engines: vec![demand.engine.clone()],
        reason: format!("model {}: {} for each engine do not fit its {sizes}", demand.model, number_of_gpus(gpus)),
        remedy: format!("Give each engine {used} GPUs (`gpus`), or change the parallel sizes in `args`."),
    })
}

/// Conflicts of the same reason as one; those that differ only in the GPU too.
pub(super) fn together(conflicts: Vec<Conflict>) -> Vec<Conflict> {
    let mut told: Vec<(Conflict, Vec<String>)> = Vec::new();
    for conflict in conflicts {
        let (label, rest) = split(&conflict.reason);
        let same = told.iter_mut().find(|(known, _)| split(&known.reason).1 == rest && known.remedy == conflict.remedy);
        match same {
            Some((known, labels)) => {
                for engine in conflict.engines {
                    if !known.engines.contains(&engine) {
                        known.engines.push(engine);
                    }
                }
                if let Some(label) = label.filter(|label| !labels.iter().any(|other| other == label)) {
                    labels.push(label.to_owned());
                }
            }
            None => {
                let labels = label.map(str::to_owned).into_iter().collect();
                told.push((conflict, labels));
            }
        }
    }
    let mend = |(mut conflict, labels): (Conflict, Vec<String>)| {
        if labels.len() > 1 {
            conflict.reason = format!("GPUs {}: {}", labels.join(", "), split(&conflict.reason).1);
        }
        conflict
    };
    told.into_iter().map(mend).collect()
}

/// `1` and the rest of `GPU 1: …`.
fn split(reason: &str) -> (Option<&str>, &str) {
    let Some((label, rest)) = reason.strip_prefix("GPU ").and_then(|reason| reason.split_once(": ")) else {
        return (None, reason);
    };
    if label.bytes().all(|byte| byte.is_ascii_digit()) { (Some(label), rest) } else { (None, reason) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::ranks::Ranks;
    use super::*;

    #[test]
    fn sizes_fit_the_gpus_or_divide_their_number() {
        let fits = |count: usize, of: Value| {
            let ranks = Ranks::of(of.as_object().expect("an object"));
            let engine = EngineId::new("m", 0);
            super::ranks(&Demand {
                engine,
                model: "m".into(),
                gpus: Gpus::Any(count),
                share: 0.9,
                ranks,
                in_turns: false,
            })
            .is_none()
        };
        for (count, of) in [(4, json!({})), (4, json!({ "tp": 4 })), (4, json!({ "tp": 2 })), (4, json!({ "pp": 2 }))] {
            assert!(fits(count, of.clone()), "{count} {of}");
        }
        for (count, of) in [
            (2, json!({ "tp": 4 })),
            (3, json!({ "tp": 2 })),
            (4, json!({ "tp": 2, "pp": 2, "dp": 2 })),
            (4, json!({ "pp": 3 })),
            (1, json!({ "dp": 2 })),
            (1, json!({ "tp": u64::MAX, "pp": u64::MAX - 1 })),
        ] {
            assert!(!fits(count, of.clone()), "{count} {of}");
        }
        assert!(fits(1, json!({ "tp": 8, "nnodes": 2 })), "ranks on other machines need no GPU here");
        assert!(fits(1, json!({ "dp": 8, "dpl": 0, "tp": "x" })), "what is no number is vLLM's to refuse");
    }
}
