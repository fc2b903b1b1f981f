//! The GPUs of this machine as operators see them: what the driver told last, and the engines that were given each.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::process::{Pid, getpgid};

use crate::api::GpusView;
use crate::engines::{Engine, Pool};
use crate::gpu::{Gpu, GpuProcess};
use crate::inventory::{Inventory, Monitor, find, units};

/// All GPUs; never waits for the driver.
pub(super) fn show(monitor: &Monitor, engines: &[(Arc<Pool>, Arc<Engine>)]) -> GpusView {
    let given: Vec<(&str, Arc<Vec<String>>)> =
        engines.iter().filter_map(|(_, engine)| Some((engine.id.as_str(), engine.process.gpus()?))).collect();
    let mut inventory = with_engines(&monitor.latest(), &given);
    let leaders: HashMap<u32, &str> =
        engines.iter().filter_map(|(_, engine)| Some((engine.process.pid()?, engine.id.as_str()))).collect();
    name_processes(&mut inventory, &leaders, process_group);
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

/// Says of which engine each process is. `leaders`: the first process of each engine; all of an engine are in its group.
fn name_processes(shown: &mut Inventory, leaders: &HashMap<u32, &str>, group: impl Fn(u32) -> Option<u32>) {
    for process in shown.gpus.iter_mut().flat_map(processes) {
        process.engine = group(process.pid).and_then(|leader| leaders.get(&leader)).map(ToString::to_string);
    }
}

/// The processes on a card and on its MIG instances.
fn processes(gpu: &mut Gpu) -> impl Iterator<Item = &mut GpuProcess> {
    let parts = gpu.mig.iter_mut().flatten().flat_map(|part| part.processes.iter_mut().flatten());
    gpu.processes.iter_mut().flatten().chain(parts)
}

/// The group of a process that is visible from here.
fn process_group(pid: u32) -> Option<u32> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    u32::try_from(getpgid(Some(pid)).ok()?.as_raw_nonzero().get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Mig;

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

    #[test]
    fn processes_are_those_of_the_engine_in_whose_group_they_are() {
        let process = |pid| GpuProcess { pid, ..GpuProcess::default() };
        let part = Mig { processes: Some(vec![process(12)]), ..Mig::default() };
        let gpu = Gpu {
            processes: Some(vec![process(10), process(11), process(99)]),
            mig: Some(vec![part]),
            ..Gpu::default()
        };
        let mut inventory = Inventory { gpus: vec![gpu], ..Inventory::default() };
        let leaders = HashMap::from([(10, "m/0"), (12, "m/1")]);
        name_processes(&mut inventory, &leaders, |pid| (pid != 99).then_some(pid / 2 * 2));
        let gpu = &inventory.gpus[0];
        let engines: Vec<_> = gpu.processes.iter().flatten().map(|process| process.engine.as_deref()).collect();
        assert_eq!(engines, [Some("m/0"), Some("m/0"), None]);
        assert_eq!(
            gpu.mig.as_ref().expect("parts")[0].processes.as_ref().expect("some")[0].engine.as_deref(),
            Some("m/1")
        );
        assert!(process_group(std::process::id()).is_some() && process_group(u32::MAX).is_none());
    }
}
