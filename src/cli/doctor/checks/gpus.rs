//! NVIDIA's driver and the GPUs it shows.

use super::super::facts::{Facts, GpuNeed};
use super::super::report::Check;

/// Driver, then GPUs.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let (inventory, need) = (&facts.gpus, facts.wanted.gpu_need);
    if !inventory.known {
        let why = inventory.faults.first().map_or("NVIDIA's driver tells of no GPU", String::as_str);
        let found = format!("{}.", capitalized(why));
        return vec![match need {
            GpuNeed::None => Check::ok("driver", format!("{found} Nothing of this configuration needs one.")),
            GpuNeed::Sure => Check::problem("driver", found, "Engines on GPUs cannot start until it answers."),
            GpuNeed::Likely | GpuNeed::Unknown => Check::warning(
                "driver",
                found,
                "Without GPUs only simulated engines, a vLLM built for CPUs, and engines elsewhere (`urls`) work.",
            ),
        }];
    }
    let [driver, cuda] =
        [&inventory.driver, &inventory.cuda].map(|text| text.as_deref().unwrap_or("of unknown version"));
    let mut checks = vec![Check::ok("driver", format!("NVIDIA's driver {driver} answers; CUDA {cuda}."))];
    checks.extend(shown(facts));
    checks
}

fn shown(facts: &Facts) -> Vec<Check> {
    let (inventory, need) = (&facts.gpus, facts.wanted.gpu_need);
    let mut checks = Vec::new();
    if inventory.gpus.is_empty() {
        let found = "NVIDIA's driver shows no GPU.";
        checks.push(match need {
            GpuNeed::None => Check::ok("gpus", found),
            need => {
                Check::bad(need == GpuNeed::Sure, "gpus", found, "Give the container access to them (`--gpus all`).")
            }
        });
        return checks;
    }
    for gpu in &inventory.gpus {
        if gpu.lost {
            let found = format!("GPU {} fell off the bus, or needs a reset: nothing can run on it.", gpu.index);
            checks.push(Check::problem(
                "gpus",
                found,
                "`nvidia-smi --gpu-reset`, or restart the machine; `dmesg` has the reason (Xid).",
            ));
        } else if gpu.mig.as_ref().is_some_and(Vec::is_empty) {
            let found = format!("GPU {} is in MIG mode and has no instances: nothing can run on it.", gpu.index);
            checks.push(Check::warning("gpus", found, "Make instances (`nvidia-smi mig -cgi … -C`), or turn MIG off."));
        }
    }
    let lost = |fault: &&String| !fault.contains(" is lost: ");
    for fault in inventory.faults.iter().filter(lost) {
        checks.push(Check::warning(
            "gpus",
            format!("{}.", capitalized(fault)),
            "`enginehouse gpus` shows what is known.",
        ));
    }
    if checks.is_empty() {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for name in inventory.gpus.iter().map(|gpu| gpu.name.as_deref().unwrap_or("of unknown name")) {
            match kinds.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => kinds.push((name, 1)),
            }
        }
        let kinds: Vec<String> = kinds.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        checks.push(Check::ok("gpus", format!("{}.", kinds.join(", "))));
    }
    checks
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Status;
    use super::super::super::testing::healthy;
    use super::*;
    use crate::inventory::{Gpu, Inventory};

    fn of(gpus: Inventory, need: GpuNeed) -> Vec<(&'static str, Status)> {
        let mut facts = Facts { gpus, ..healthy() };
        facts.wanted.gpu_need = need;
        checks(&facts).iter().map(|check| (check.name, check.status)).collect()
    }

    #[test]
    fn no_driver_is_as_bad_as_gpus_are_needed() {
        let none = || Inventory::fault("no GPU is known, because …".into());
        assert_eq!(of(none(), GpuNeed::Sure), [("driver", Status::Problem)]);
        assert_eq!(of(none(), GpuNeed::Likely), [("driver", Status::Warning)]);
        assert_eq!(of(none(), GpuNeed::Unknown), [("driver", Status::Warning)]);
        assert_eq!(of(none(), GpuNeed::None), [("driver", Status::Ok)]);
    }

    #[test]
    fn gpus_that_nothing_can_run_on_are_told() {
        let empty = || Inventory { known: true, ..Inventory::default() };
        assert_eq!(of(empty(), GpuNeed::Sure), [("driver", Status::Ok), ("gpus", Status::Problem)]);
        assert_eq!(of(empty(), GpuNeed::None), [("driver", Status::Ok), ("gpus", Status::Ok)]);
        let gpus = vec![Gpu { lost: true, ..Gpu::default() }, Gpu { index: 1, mig: Some(vec![]), ..Gpu::default() }];
        let faults = vec!["GPU 0 is lost: gone".to_owned(), "GPU 1: its memory cannot be read".to_owned()];
        let bad = Inventory { gpus, faults, ..empty() };
        let want =
            [("driver", Status::Ok), ("gpus", Status::Problem), ("gpus", Status::Warning), ("gpus", Status::Warning)];
        assert_eq!(of(bad, GpuNeed::Likely), want);
    }
}
