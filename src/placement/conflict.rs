//! Why engines cannot all have their GPUs, in words.

use std::fmt;

use super::{Demand, Gpus, Inventory};
use crate::ids::EngineId;

/// One reason why not everybody can run.
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

/// Why no GPU can be chosen for `demand` where the driver does not tell which there are.
pub(super) fn blind(inventory: &Inventory, demand: &Demand) -> Option<Conflict> {
    let Gpus::Any(count) = demand.gpus else { return None };
    let why = match inventory.driver {
        None => "no NVIDIA driver was found",
        Some(_) => "the NVIDIA driver does not tell which GPUs there are",
    };
    let details = inventory.faults.first().map_or_else(String::new, |fault| format!(" ({fault})"));
    let plural = if count == 1 { "GPU" } else { "GPUs" };
    Some(Conflict {
        engines: vec![demand.engine.clone()],
        reason: format!("model {} needs {count} {plural}, but {why}, so GPUs cannot be chosen{details}", demand.model),
        remedy: "List them, such as `gpus: [0]`.".into(),
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
