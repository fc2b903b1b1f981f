//! The GPUs of this machine as operators see them: what the driver told last, and the engines that were given each.

use std::sync::Arc;

use crate::api::GpusView;
use crate::engines::{Engine, Pool};
use crate::inventory::{Inventory, Monitor, find, units};

/// All GPUs; never waits for the driver.
pub(super) fn show(monitor: &Monitor, engines: &[(Arc<Pool>, Arc<Engine>)]) -> GpusView {
    let given: Vec<(&str, Arc<Vec<String>>)> =
        engines.iter().filter_map(|(_, engine)| Some((engine.id.as_str(), engine.process.gpus()?))).collect();
    let inventory = with_engines(&monitor.latest(), &given);
    GpusView { inventory, age_seconds: monitor.age().map(|age| age.as_secs_f64()) }
}

/// The inventory, with the engines on each card and MIG instance.
fn with_engines(inventory: &Inventory, given: &[(&str, Arc<Vec<String>>)]) -> Inventory {
    let units = units(inventory);
    let on = |index: u32, mig: Option<u32>| -> Option<Vec<String>> {
        let here = |text: &String| find(&units, text).is_ok_and(|unit| unit.key() == (index, mig));
        Some(given.iter().filter(|(_, gpus)| gpus.iter().any(here)).map(|(id, _)| (*id).to_owned()).collect())
    };
    let mut shown = inventory.clone();
    for gpu in &mut shown.gpus {
        gpu.engines = on(gpu.index, None);
        for part in gpu.mig.iter_mut().flatten() {
            part.engines = on(gpu.index, Some(part.index));
        }
    }
    shown
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
        let gpus = with_engines(&inventory, &given).gpus;
        let engines: Vec<_> = gpus.iter().map(|gpu| gpu.engines.clone().expect("told").join(" ")).collect();
        assert_eq!(engines, ["x/0", "x/0 y/0", ""]);
        assert_eq!(gpus[2].mig.as_ref().map(|parts| parts[0].engines.clone()), Some(Some(vec!["z/0".to_owned()])));
        assert_eq!(gpus[1].uuid.as_deref(), Some("GPU-b"));
    }
}
