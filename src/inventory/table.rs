//! The inventory as text: a table for people, JSON for scripts.

use std::fmt::Write;

use super::{Gpu, GpuProcess, Inventory, Memory, Mig};
use crate::text_table::aligned;

const UNKNOWN: &str = "unknown";
/// Where a question makes no sense.
const NONE: &str = "-";

/// JSON with the names of [`Inventory`]'s fields: bytes, percent, °C, watts; `null` is unknown.
#[must_use]
pub fn json(inventory: &Inventory) -> String {
    // Maps with keys that are no strings are what cannot be written; there are none.
    serde_json::to_string_pretty(inventory).unwrap_or_default() + "\n"
}

/// Aligned columns: cards and their MIG instances, then processes, then what is unknown and why.
#[must_use]
pub fn table(inventory: &Inventory) -> String {
    let mut out = String::new();
    if inventory.driver.is_some() || inventory.cuda.is_some() {
        let [driver, cuda] = [&inventory.driver, &inventory.cuda].map(|text| text.as_deref().unwrap_or(UNKNOWN));
        let _ = writeln!(out, "driver {driver}, CUDA {cuda}\n");
    }
    if inventory.gpus.is_empty() {
        if inventory.faults.is_empty() {
            out.push_str("NVIDIA's driver sees no GPU; a container needs access to them (`--gpus all`)\n");
        }
    } else {
        out.push_str(&aligned(&cards(&inventory.gpus)));
        let processes = all_processes(&inventory.gpus);
        if processes.len() > 1 {
            let _ = write!(out, "\n{}", aligned(&processes));
        }
        if !inventory.faults.is_empty() {
            out.push('\n');
        }
    }
    for fault in &inventory.faults {
        let _ = writeln!(out, "{fault}");
    }
    out
}

fn cards(gpus: &[Gpu]) -> Vec<Vec<String>> {
    let head = ["GPU", "NAME", "USED", "FREE", "TOTAL", "UTIL", "TEMP", "POWER", "UUID"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for gpu in gpus {
        rows.push(card(gpu));
        match gpu.mig.as_deref() {
            Some([]) => {
                let mut row = vec![String::new(), "MIG is on, without instances: nothing can run here".to_owned()];
                row.resize(head.len(), String::new());
                rows.push(row);
            }
            Some(parts) => rows.extend(parts.iter().map(|part| instance(gpu.index, part))),
            None => {}
        }
    }
    rows
}

fn card(gpu: &Gpu) -> Vec<String> {
    let name = gpu.name.as_deref().unwrap_or(UNKNOWN);
    let name = if gpu.lost { format!("{name} (lost)") } else { name.to_owned() };
    let [used, free, total] = amounts(gpu.memory);
    vec![
        gpu.index.to_string(),
        name,
        used,
        free,
        total,
        shown(gpu.utilisation.map(|percent| format!("{percent} %"))),
        shown(gpu.temperature.map(|degrees| format!("{degrees} °C"))),
        shown(gpu.power.map(|watts| format!("{watts:.0} W"))),
        shown(gpu.uuid.clone()),
    ]
}

fn instance(gpu: u32, part: &Mig) -> Vec<String> {
    let [used, free, total] = amounts(part.memory);
    let mut row = vec![format!("{gpu}:{}", part.index), shown(part.name.clone()), used, free, total];
    row.extend([NONE; 3].map(str::to_owned));
    row.push(shown(part.uuid.clone()));
    row
}

fn all_processes(gpus: &[Gpu]) -> Vec<Vec<String>> {
    let mut rows = vec![["GPU", "PID", "MEMORY", "PROCESS"].map(str::to_owned).to_vec()];
    let mut add = |place: String, processes: &Option<Vec<GpuProcess>>| {
        for process in processes.iter().flatten() {
            let memory = shown(process.memory.map(gib));
            rows.push(vec![place.clone(), process.pid.to_string(), memory, shown(process.name.clone())]);
        }
    };
    for gpu in gpus {
        add(gpu.index.to_string(), &gpu.processes);
        for part in gpu.mig.iter().flatten() {
            add(format!("{}:{}", gpu.index, part.index), &part.processes);
        }
    }
    rows
}

fn amounts(memory: Option<Memory>) -> [String; 3] {
    match memory {
        Some(memory) => [memory.used, memory.free, memory.total].map(gib),
        None => [UNKNOWN; 3].map(str::to_owned),
    }
}

fn shown(value: Option<String>) -> String {
    value.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Bytes as GiB with one digit.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
#[must_use]
pub fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn inventory() -> Inventory {
        let memory = Memory { total: 80 * GIB, used: 70 * GIB + GIB / 2, free: 9 * GIB };
        let good = Gpu {
            uuid: Some("GPU-0".into()),
            name: Some("NVIDIA H100".into()),
            memory: Some(memory),
            utilisation: Some(93),
            temperature: Some(61),
            power: Some(511.6),
            processes: Some(vec![
                GpuProcess { pid: 4711, name: Some("python3 train.py".into()), memory: Some(70 * GIB), engine: None },
                GpuProcess { pid: 5, ..GpuProcess::default() },
            ]),
            ..Gpu::default()
        };
        let lost = Gpu { index: 1, lost: true, ..Gpu::default() };
        let faults = vec!["GPU 1 is lost".into()];
        Inventory {
            driver: Some("580.95.05".into()),
            cuda: Some("13.0".into()),
            gpus: vec![good, lost],
            faults,
            known: true,
        }
    }

    #[test]
    fn a_table_shows_cards_processes_and_faults() {
        let expected = "\
driver 580.95.05, CUDA 13.0

GPU  NAME            USED      FREE     TOTAL     UTIL     TEMP     POWER    UUID
0    NVIDIA H100     70.5 GiB  9.0 GiB  80.0 GiB  93 %     61 °C    512 W    GPU-0
1    unknown (lost)  unknown   unknown  unknown   unknown  unknown  unknown  unknown

GPU  PID   MEMORY    PROCESS
0    4711  70.0 GiB  python3 train.py
0    5     unknown   unknown

GPU 1 is lost
";
        assert_eq!(table(&inventory()), expected);
    }

    #[test]
    fn instances_stand_below_their_card() {
        let mut inventory = inventory();
        inventory.gpus.truncate(1);
        let processes = Some(vec![GpuProcess { pid: 8, memory: Some(GIB), ..GpuProcess::default() }]);
        let part = Mig { index: 2, uuid: Some("MIG-2".into()), processes, ..Mig::default() };
        inventory.gpus[0].mig = Some(vec![part]);
        let text = table(&inventory);
        assert!(
            text.contains("\n0:2  unknown      unknown   unknown  unknown   -     -      -      MIG-2\n"),
            "{text}"
        );
        assert!(text.contains("\n0:2  8     1.0 GiB   unknown\n"), "{text}");
        inventory.gpus[0].mig = Some(Vec::new());
        assert!(table(&inventory).contains("MIG is on, without instances"));
    }

    #[test]
    fn a_machine_without_a_card_or_a_driver_says_so_in_one_sentence() {
        let none = Inventory { faults: vec!["no driver".into()], ..Inventory::default() };
        assert_eq!(table(&none), "no driver\n");
        assert!(table(&Inventory::default()).starts_with("NVIDIA's driver sees no GPU"));
    }
}
