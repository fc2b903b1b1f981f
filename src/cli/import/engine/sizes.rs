//! How many GPUs an engine needs, by its parallel sizes.

use serde_json::Value;

use super::super::values::whole;
use super::taken::Engine;

impl Engine {
    /// What one flag is a number of; 1 where it is not set; `None` where it is no number.
    fn size(&self, flag: &str) -> Option<u64> {
        self.args.get(flag).map_or(Some(1), whole)
    }

    /// Whether it would run on the first GPU alone: nothing says which it has, and it needs one.
    pub(in crate::cli::import) fn has_first_gpu(&self) -> bool {
        const SIZES: [&str; 3] = ["tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"];
        self.gpus.is_empty() && !self.is_elsewhere() && SIZES.iter().all(|flag| self.size(flag) == Some(1))
    }

    /// Whether its GPUs may be those of other machines.
    fn is_elsewhere(&self) -> bool {
        self.args.contains_key("nnodes") || self.args.get("distributed-executor-backend").is_some_and(|it| it == "ray")
    }

    /// The value of `gpus:`, of which the parallel sizes are a part; those that say the same as it are taken away.
    pub(super) fn take_gpus(&mut self) -> Option<Value> {
        let (tensor, pipeline, data) = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size");
        let ranks = self.size(tensor).and_then(|size| size.checked_mul(self.size(pipeline)?));
        let before = self.gpus.len();
        let mut seen = Vec::new();
        self.gpus.retain(|gpu| !seen.contains(gpu) && (seen.push(gpu.clone()), true).1);
        if self.gpus.len() < before {
            self.say("gpus", "had a GPU twice, which is there once now.");
        }
        if self.is_elsewhere() {
            return (!self.gpus.is_empty()).then(|| Value::Array(std::mem::take(&mut self.gpus)));
        }
        let count = if self.gpus.is_empty() {
            let all = ranks?.checked_mul(self.size(data)?)?;
            Some(all).filter(|count| (2..=1024).contains(count))?
        } else {
            self.gpus.len() as u64
        };
        if ranks.is_none_or(|ranks| ranks > count) {
            self.say(
                tensor,
                &format!(
                    "and `{pipeline}` were left out: they need more than the {count} listed \
                GPUs, over which tensor parallelism goes now."
                ),
            );
            self.args.shift_remove(tensor);
            self.args.shift_remove(pipeline);
        } else if self.size(tensor) == Some(count) && [pipeline, data].iter().all(|flag| self.size(flag) == Some(1)) {
            // The default with these GPUs.
            self.args.shift_remove(tensor);
        }
        Some(if self.gpus.is_empty() { count.into() } else { Value::Array(std::mem::take(&mut self.gpus)) })
    }
}
