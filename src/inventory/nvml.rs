//! Reads the inventory through NVML, the library that comes with NVIDIA's driver.

use std::ffi::OsStr;

use nvml_wrapper::bitmasks::InitFlags;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{MemoryInfo, ProcessInfo};
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::process::name;
use super::{Gpu, GpuProcess, Inventory, Memory, Mig};

/// What `nvmlDeviceGetMigMode` calls "on" (`NVML_DEVICE_MIG_ENABLE`).
const MIG_ON: u32 = 1;

/// The loaded library of the driver. Loading is dear, reading is not: keep it to read again.
#[derive(Debug)]
pub struct Driver {
    nvml: Nvml,
}

impl Driver {
    /// Loads the library: `library`, or the one the driver installed.
    ///
    /// # Errors
    /// A sentence that says why there is no driver to ask, and what to do.
    pub fn load(library: Option<&OsStr>) -> Result<Self, String> {
        let mut builder = Nvml::builder();
        if let Some(path) = library {
            builder.lib_path(path);
        }
        // A machine whose last card was pulled still has a driver that can say so.
        let nvml = builder.flags(InitFlags::NO_GPUS).init().map_err(|error| no_driver(&error))?;
        Ok(Self { nvml })
    }

    /// Asks the driver for everything.
    #[must_use]
    pub fn read(&self) -> Inventory {
        let mut faults = Vec::new();
        let driver = self.nvml.sys_driver_version().ok();
        let cuda = self.nvml.sys_cuda_driver_version().ok().map(cuda_version);
        let count = self.nvml.device_count();
        if let Err(error) = &count {
            faults.push(format!(
                "the NVIDIA driver cannot say how many GPUs there are: {error}; see what `nvidia-smi` says"
            ));
        }
        let known = count.is_ok();
        let all = 0..count.unwrap_or(0);
        let gpus = all.map(|index| gpu(index, self.nvml.device_by_index(index), &mut faults)).collect();
        Inventory { driver, cuda, gpus, faults, known }
    }
}

/// Why nothing is known, and what to do.
fn no_driver(error: &NvmlError) -> String {
    let remedy = match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            "install NVIDIA's driver, or name its libnvidia-ml.so in ENGINEHOUSE_NVML"
        }
        NvmlError::LibRmVersionMismatch => "the driver was upgraded while it ran: restart the machine",
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            "the library is not NVIDIA's or older than its driver 510: upgrade the driver"
        }
        NvmlError::NoPermission | NvmlError::OperatingSystem => "let this user open /dev/nvidiactl and /dev/nvidia*",
        _ => "see what `nvidia-smi` says",
    };
    let why = match error {
        // The linker's own words; the error's are about the crate that called it.
        NvmlError::LibloadingError(inner) => {
            std::error::Error::source(inner).map_or_else(|| inner.to_string(), ToString::to_string)
        }
        other => other.to_string(),
    };
    format!("no GPU is known, because NVIDIA's driver does not answer: {why}; {remedy}")
}

/// `13000` means 13.0.
fn cuda_version(version: i32) -> String {
    format!("{}.{}", cuda_driver_version_major(version), cuda_driver_version_minor(version))
}

/// One card, lost or not.
fn gpu(index: u32, device: Result<Device<'_>, NvmlError>, faults: &mut Vec<String>) -> Gpu {
    let mut gaps = Gaps::default();
    let mut gpu = match gaps.fill("handle", device) {
        Some(device) => ask(index, &device, &mut gaps),
        None => Gpu { index, ..Gpu::default() },
    };
    if gaps.lost.is_some() {
        // Half of a dying card's answers would look like a card with room.
        gpu = Gpu { index, uuid: gpu.uuid, name: gpu.name, lost: true, ..Gpu::default() };
    }
    faults.extend(gaps.sentences(&format!("GPU {index}")));
    gpu
}

fn ask(index: u32, device: &Device<'_>, gaps: &mut Gaps) -> Gpu {
    let mig = instances(device, gaps);
    Gpu {
        index,
        uuid: gaps.fill("UUID", device.uuid()),
        name: gaps.fill("name", device.name()),
        lost: false,
        memory: gaps.fill("memory", device.memory_info()).map(memory),
        utilisation: match device.utilization_rates() {
            // A card in parts has no utilisation of its own, which is no fault of it.
            Err(NvmlError::NotSupported) if mig.is_some() => None,
            answer => gaps.fill("utilisation", answer).and_then(|rates| u8::try_from(rates.gpu).ok()),
        },
        temperature: gaps.fill("temperature", device.temperature(TemperatureSensor::Gpu)),
        power: gaps.fill("power", device.power_usage()).map(|milliwatts| f64::from(milliwatts) / 1000.0),
        processes: processes(device, gaps),
        mig,
        engines: None,
    }
}

/// The MIG instances of a card where MIG is on.
fn instances(device: &Device<'_>, gaps: &mut Gaps) -> Option<Vec<Mig>> {
    let mode = match device.mig_mode() {
        // Most cards have no MIG, old drivers do not know of it: nothing is missing.
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound) => return None,
        answer => gaps.fill("MIG mode", answer)?,
    };
    if mode.current != MIG_ON {
        return None;
    }
    let most = gaps.fill("MIG instances", device.mig_device_count())?;
    let parts = (0..most).filter_map(|index| match device.mig_device_by_index(index) {
        // Places without an instance.
        Err(NvmlError::NotFound | NvmlError::InvalidArg) => None,
        answer => gaps.fill("MIG instances", answer).map(|part| Mig {
            index,
            uuid: gaps.fill("MIG UUID", part.uuid()),
            name: gaps.fill("MIG name", part.name()),
            memory: gaps.fill("MIG memory", part.memory_info()).map(memory),
            processes: processes(&part, gaps),
            engines: None,
        }),
    });
    Some(parts.collect())
}

fn memory(info: MemoryInfo) -> Memory {
    Memory { total: info.total, used: info.used, free: info.free }
}

/// Who uses a card: processes that compute, by themselves or through MPS, and those that draw, which hold memory too.
fn processes(device: &Device<'_>, gaps: &mut Gaps) -> Option<Vec<GpuProcess>> {
    let computing = gaps.fill("processes", device.running_compute_processes())?;
    let mut more = |found| match found {
        // Cards for servers, and parts of cards, cannot draw; old ones and old drivers have no MPS.
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound) => {
            Some(Vec::new())
        }
        answer => gaps.fill("processes", answer),
    };
    let drawing = more(device.running_graphics_processes())?;
    let shared = more(device.mps_running_compute_processes())?;
    Some(merge(computing.into_iter().chain(drawing).chain(shared)))
}

/// One entry for each pid; a process that computes and draws is listed twice, with the same memory.
fn merge(found: impl Iterator<Item = ProcessInfo>) -> Vec<GpuProcess> {
    let mut processes: Vec<(u32, Option<u64>)> = found
        .map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => (process.pid, Some(bytes)),
            UsedGpuMemory::Unavailable => (process.pid, None),
        })
        .collect();
    // The larger of two figures comes first and stays.
    processes.sort_by_key(|&(pid, memory)| (pid, std::cmp::Reverse(memory)));
    processes.dedup_by_key(|&mut (pid, _)| pid);
    processes.into_iter().map(|(pid, memory)| GpuProcess { pid, name: name(pid), memory, engine: None }).collect()
}

/// What one card did not tell, and why.
#[derive(Debug, Default)]
struct Gaps {
    lost: Option<NvmlError>,
    unsupported: Vec<&'static str>,
    failed: Vec<(&'static str, NvmlError)>,
}

impl Gaps {
    /// The answer, or `None` and a note why `field` is unknown.
    fn fill<T>(&mut self, field: &'static str, answer: Result<T, NvmlError>) -> Option<T> {
        let error = match answer {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        match error {
            NvmlError::GpuLost | NvmlError::ResetRequired => self.lost = Some(error),
            NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
                if !self.unsupported.contains(&field) {
                    self.unsupported.push(field);
                }
            }
            error => {
                if self.failed.iter().all(|(known, _)| *known != field) {
                    self.failed.push((field, error));
                }
            }
        }
        None
    }

    /// What to tell the operator about `gpu`.
    fn sentences(self, gpu: &str) -> Vec<String> {
        if let Some(error) = self.lost {
            return vec![format!(
                "{gpu} is lost: {error}; nothing can run on it until it is reset (`nvidia-smi --gpu-reset`) or the \
                 machine restarts"
            )];
        }
        let failed = self.failed.into_iter();
        let mut told: Vec<_> = failed
            .map(|(field, error)| {
                format!("{gpu}: its {field} cannot be read and counts as unknown: {error}; see what `nvidia-smi` says")
            })
            .collect();
        if !self.unsupported.is_empty() {
            let fields = self.unsupported.join(", ");
            told.push(format!("{gpu}: unknown, because the card or its driver does not support it: {fields}"));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, used_gpu_memory: UsedGpuMemory) -> ProcessInfo {
        ProcessInfo { pid, used_gpu_memory, gpu_instance_id: None, compute_instance_id: None }
    }

    #[test]
    fn a_process_that_computes_and_draws_counts_once_with_the_memory_that_is_known() {
        let found = [
            process(7, UsedGpuMemory::Unavailable),
            process(3, UsedGpuMemory::Used(1)),
            process(7, UsedGpuMemory::Used(9)),
        ];
        let merged: Vec<_> = merge(found.into_iter()).iter().map(|process| (process.pid, process.memory)).collect();
        assert_eq!(merged, [(3, Some(1)), (7, Some(9))]);
    }

    #[test]
    fn a_lost_card_is_told_in_one_sentence() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.fill::<()>("power", Err(NvmlError::NotSupported)), None);
        assert_eq!(gaps.fill::<()>("memory", Err(NvmlError::GpuLost)), None);
        assert_eq!(gaps.fill::<()>("name", Err(NvmlError::GpuLost)), None);
        let told = gaps.sentences("GPU 1");
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("GPU 1 is lost: device fell off the bus"), "{told:?}");
    }

    #[test]
    fn fields_that_are_not_supported_share_a_sentence_and_are_named_once() {
        let mut gaps = Gaps::default();
        for field in ["power", "utilisation", "power"] {
            assert_eq!(gaps.fill::<()>(field, Err(NvmlError::NotSupported)), None);
        }
        let told = gaps.sentences("GPU 0");
        assert_eq!(told, ["GPU 0: unknown, because the card or its driver does not support it: power, utilisation"]);
    }

    #[test]
    fn cuda_versions_read_as_nvidia_writes_them() {
        assert_eq!([13000, 12080].map(cuda_version), ["13.0", "12.8"]);
    }
}
