//! The GPUs of this machine as operators see them: what the driver told last, and the engines that were given each.

use std::sync::Arc;

use crate::api::{GpuMemory, GpuProcessView, GpuView, GpusView, MigView};
use crate::engines::{Engine, Pool};
use crate::inventory::{Gpu, GpuProcess, Inventory, Memory, Mig, Monitor, find, units};
use crate::telemetry::GpuSample;

/// All GPUs, for metrics.
pub(super) fn sample(monitor: &Monitor) -> GpuSample {
    GpuSample { inventory: monitor.latest(), age: monitor.age() }
}

/// All GPUs; never waits for the driver.
pub(super) fn show(monitor: &Monitor, engines: &[(Arc<Pool>, Arc<Engine>)]) -> GpusView {
    let given: Vec<(&str, Arc<Vec<String>>)> =
        engines.iter().filter_map(|(_, engine)| Some((engine.id.as_str(), engine.process.gpus()?))).collect();
    GpusView { age_seconds: monitor.age().map(|age| age.as_secs_f64()), ..described(&monitor.latest(), &given) }
}

/// The inventory, with the engines on each card and MIG instance.
fn described(inventory: &Inventory, given: &[(&str, Arc<Vec<String>>)]) -> GpusView {
    let units = units(inventory);
    let on = |index: u32, mig: Option<u32>| -> Vec<String> {
        let here = |text: &String| find(&units, text).is_ok_and(|unit| unit.key() == (index, mig));
        given.iter().filter(|(_, gpus)| gpus.iter().any(here)).map(|(id, _)| (*id).to_owned()).collect()
    };
    let card = |gpu: &Gpu| GpuView {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        lost: gpu.lost,
        memory: gpu.memory.map(memory),
        utilisation: gpu.utilisation,
        temperature: gpu.temperature,
        power: gpu.power,
        processes: processes(gpu.processes.as_deref()),
        mig: gpu
            .mig
            .as_ref()
            .map(|parts| parts.iter().map(|part| instance(part, on(gpu.index, Some(part.index)))).collect()),
        engines: on(gpu.index, None),
    };
    GpusView {
        driver: inventory.driver.clone(),
        cuda: inventory.cuda.clone(),
        gpus: inventory.gpus.iter().map(card).collect(),
        faults: inventory.faults.clone(),
        age_seconds: None,
    }
}

fn instance(part: &Mig, engines: Vec<String>) -> MigView {
    MigView {
        index: part.index,
        uuid: part.uuid.clone(),
        name: part.name.clone(),
        memory: part.memory.map(memory),
        processes: processes(part.processes.as_deref()),
        engines,
    }
}

fn memory(memory: Memory) -> GpuMemory {
    GpuMemory { total: memory.total, used: memory.used, free: memory.free }
}

fn processes(processes: Option<&[GpuProcess]>) -> Option<Vec<GpuProcessView>> {
    let one = |it: &GpuProcess| GpuProcessView { pid: it.pid, name: it.name.clone(), memory: it.memory };
    processes.map(|processes| processes.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_shown_with_the_gpus_they_were_given_by_whatever_name() {
        let card = |index, uuid: &str| Gpu { index, uuid: Some(uuid.into()), ..Gpu::default() };
        let mut gpus = vec![card(0, "GPU-a"), card(1, "GPU-b"), card(2, "GPU-c")];
        gpus[2].mig = Some(vec![Mig { index: 4, uuid: Some("MIG-d".into()), ..Mig::default() }]);
        let inventory = Inventory { gpus, ..Inventory::default() };
        let given = |id, gpus: &[&str]| (id, Arc::new(gpus.iter().map(ToString::to_string).collect::<Vec<_>>()));
        let given = [given("x/0", &["0", "1"]), given("y/0", &["GPU-b"]), given("z/0", &["MIG-d"]), given("w/0", &[])];
        let gpus = described(&inventory, &given).gpus;
        let engines: Vec<_> = gpus.iter().map(|gpu| gpu.engines.join(" ")).collect();
        assert_eq!(engines, ["x/0", "x/0 y/0", ""]);
        assert_eq!(gpus[2].mig.as_ref().map(|parts| parts[0].engines.clone()), Some(vec!["z/0".to_owned()]));
        assert_eq!(gpus[1].uuid.as_deref(), Some("GPU-b"));
    }
}
