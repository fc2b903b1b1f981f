//! How an engine of vLLM spreads over its GPUs: the product of its parallel sizes.

use serde_json::{Map, Value};

use crate::config::flag_value;

/// Parallel sizes of one engine on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// Tensor-parallel ranks; `None`: not said, so that they follow from the number of GPUs.
    pub tensor: Option<u64>,
    /// Product of all other sizes.
    pub others: u64,
}

impl Ranks {
    /// What `args` say; `None` when ranks run on other machines too, or sizes are no numbers.
    #[must_use]
    pub fn of(args: &Map<String, Value>) -> Option<Self> {
        let given = |name| flag_value(args, name);
        let ray = |name| given(name).is_some_and(|backend| backend == "ray");
        if given("nnodes").or_else(|| given("n")).is_some_and(|nodes| size(nodes) != Some(1))
            || ray("distributed-executor-backend")
            || ray("data-parallel-backend")
        {
            return None;
        }
        let get = |name| given(name).map_or(Some(1), size);
        let data = match given("data-parallel-size-local") {
            Some(here) => size(here)?,
            None => get("data-parallel-size")?,
        };
        let tensor = match given("tensor-parallel-size") {
            Some(value) => Some(size(value)?),
            None => None,
        };
        // The ranks that split the prompt have GPUs of their own (those of `decode-context-parallel-size` have not). None
        // of our own ranks runs here (`data-parallel-size-local: 0`): they need no GPU.
        let others =
            data.checked_mul(get("pipeline-parallel-size")?)?.checked_mul(get("prefill-context-parallel-size")?)?;
        (others > 0 && tensor != Some(0)).then_some(Self { tensor, others })
    }

    /// GPUs that are used of `count`; as many as there are, when tensor parallelism follows from them.
    pub(super) fn used(self, count: u64) -> u64 {
        match self.tensor {
            Some(tensor) => tensor.saturating_mul(self.others),
            None => (count / self.others.max(1)).max(1).saturating_mul(self.others),
        }
    }
}

fn size(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// What `--tensor-parallel-size` of an engine with `count` GPUs is to be; `None`: it is not to be given, being said
/// already, 1 or none of ours.
#[must_use]
pub fn tensor_parallel_size(count: usize, args: &Map<String, Value>) -> Option<u64> {
    let count = count as u64;
    let ranks = Ranks::of(args)?;
    (ranks.tensor.is_none() && count.is_multiple_of(ranks.others))
        .then_some(count / ranks.others)
        .filter(|&size| size > 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn args(of: &Value) -> Map<String, Value> {
        of.as_object().cloned().expect("an object")
    }

    #[test]
    fn tensor_parallelism_follows_from_the_gpus_unless_it_is_said() {
        let size = |count: usize, of: Value| tensor_parallel_size(count, &args(&of));
        assert_eq!(size(4, json!({})), Some(4));
        assert_eq!(size(1, json!({})), None);
        assert_eq!(size(0, json!({})), None);
        assert_eq!(size(4, json!({ "--tensor_parallel_size": 2 })), None);
        assert_eq!(size(4, json!({ "tp": 2, "pp": 2 })), None);
        assert_eq!(size(4, json!({ "pipeline_parallel_size": 2 })), Some(2));
        assert_eq!(size(4, json!({ "dp": 4 })), None);
        assert_eq!(size(4, json!({ "dp": 16, "dpl": "2" })), Some(2));
        assert_eq!(size(4, json!({ "pp": 3 })), None);
        assert_eq!(size(4, json!({ "nnodes": 2 })), None);
        assert_eq!(size(4, json!({ "distributed-executor-backend": "ray" })), None);
    }
}
