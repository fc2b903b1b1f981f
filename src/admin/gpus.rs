//! The GPUs of this machine as operators see them: what the driver told last, and the engines that were given each.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::engines::{Engine, Pool};
use crate::inventory::{Inventory, Monitor, find, units};
use crate::telemetry::GpuSample;

/// All GPUs, for metrics.
pub(super) fn sample(monitor: &Monitor) -> GpuSample {
    GpuSample { inventory: monitor.latest(), age: monitor.age() }
}

/// All GPUs; never waits for the driver.
pub(super) fn show(monitor: &Monitor, engines: &[(Arc<Pool>, Arc<Engine>)]) -> Value {
    let age = monitor.age();
    let given: Vec<(&str, Arc<Vec<String>>)> =
        engines.iter().filter_map(|(_, engine)| Some((engine.id.as_str(), engine.process.gpus()?))).collect();
    let mut value = described(&monitor.latest(), &given);
    value["age_seconds"] = json!(age.map(|age| age.as_secs_f64()));
    value
}

/// The inventory as `enginehouse gpus --json` has it, with the engines on each card and MIG instance.
fn described(inventory: &Inventory, given: &[(&str, Arc<Vec<String>>)]) -> Value {
    let units = units(inventory);
    let on = |index: u32, mig: Option<u32>| -> Vec<&str> {
        let here = |text: &String| find(&units, text).is_ok_and(|unit| unit.key() == (index, mig));
        given.iter().filter(|(_, gpus)| gpus.iter().any(here)).map(|(id, _)| *id).collect()
    };
    // Nothing in an inventory is what JSON cannot hold.
    let mut value = serde_json::to_value(inventory).unwrap_or_default();
    for (at, gpu) in inventory.gpus.iter().enumerate() {
        value["gpus"][at]["engines"] = json!(on(gpu.index, None));
        for (place, part) in gpu.mig.iter().flatten().enumerate() {
            value["gpus"][at]["mig"][place]["engines"] = json!(on(gpu.index, Some(part.index)));
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Gpu, Mig};

    #[test]
    fn engines_are_shown_with_the_gpus_they_were_given_by_whatever_name() {
        let card = |index, uuid: &str| Gpu { index, uuid: Some(uuid.into()), ..Gpu::default() };
        let mut gpus = vec![card(0, "GPU-a"), card(1, "GPU-b"), card(2, "GPU-c")];
        gpus[2].mig = Some(vec![Mig { index: 4, uuid: Some("MIG-d".into()), ..Mig::default() }]);
        let inventory = Inventory { gpus, ..Inventory::default() };
        let given = |id, gpus: &[&str]| (id, Arc::new(gpus.iter().map(ToString::to_string).collect::<Vec<_>>()));
        let given = [given("x/0", &["0", "1"]), given("y/0", &["GPU-b"]), given("z/0", &["MIG-d"]), given("w/0", &[])];
        let value = described(&inventory, &given);
        assert_eq!(value["gpus"][0]["engines"], json!(["x/0"]));
        assert_eq!(value["gpus"][1]["engines"], json!(["x/0", "y/0"]));
        assert_eq!(value["gpus"][2]["engines"], json!([]));
        assert_eq!(value["gpus"][2]["mig"][0]["engines"], json!(["z/0"]));
        assert_eq!(value["gpus"][1]["uuid"], "GPU-b");
        assert_eq!((&value["faults"], value.get("known")), (&json!([]), None));
    }
}
