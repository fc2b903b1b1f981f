//! The gauges of the GPUs of this machine. What the driver does not tell is left out.

use prometheus::{Error, Gauge, GaugeVec};

use super::register::Register;
use crate::api::GpusView;
use crate::gpu::Gpu;

/// One gauge of each GPU for each thing that is known of it.
#[derive(Debug)]
pub(super) struct GpuGauges {
    memory_total: GaugeVec,
    memory_used: GaugeVec,
    utilisation: GaugeVec,
    temperature: GaugeVec,
    power: GaugeVec,
    lost: GaugeVec,
    /// Which engine was given which GPU.
    engines: GaugeVec,
    /// What each engine holds of which GPU.
    engine_memory: GaugeVec,
    /// No labels; a vector so that it can be left out.
    age: GaugeVec,
}

impl GpuGauges {
    pub(super) fn new(to: &mut Register) -> Result<Self, Error> {
        Ok(Self {
            memory_total: to.gauges("gpu_memory_total_bytes", &LABELS, "Memory of the GPU.")?,
            memory_used: to.gauges(
                "gpu_memory_used_bytes",
                &LABELS,
                "GPU memory that processes use, including processes that the gateway did not start.",
            )?,
            utilisation: to.gauges(
                "gpu_utilization_ratio",
                &LABELS,
                "Share of the last sample period in which the GPU was busy, 0 to 1.",
            )?,
            temperature: to.gauges("gpu_temperature_celsius", &LABELS, "Temperature of the chip.")?,
            power: to.gauges("gpu_power_watts", &LABELS, "Power that the GPU draws.")?,
            lost: to.gauges(
                "gpu_lost",
                &LABELS,
                "1 when the GPU cannot be used (lost from the PCI bus, or needs a reset), else 0.",
            )?,
            engines: to.gauges(
                "gpu_engine_info",
                &["gpu", "model", "engine"],
                "1 for each engine that was given the GPU, or a MIG instance of it: joins figures of GPUs with models.",
            )?,
            engine_memory: to.gauges(
                "gpu_engine_memory_used_bytes",
                &["gpu", "model", "engine"],
                "Memory of the GPU that the engine's processes hold; absent where the driver does not tell it by process.",
            )?,
            age: to.gauges(
                "gpu_reading_age_seconds",
                &[],
                "Age of the GPU figures; it grows while the driver does not answer.",
            )?,
        })
    }

    fn of_each(&self) -> [&GaugeVec; 6] {
        [&self.memory_total, &self.memory_used, &self.utilisation, &self.temperature, &self.power, &self.lost]
    }

    /// Shows `view`, and nothing of earlier ones.
    pub(super) fn set(&self, view: &GpusView) {
        self.of_each().into_iter().for_each(GaugeVec::reset);
        self.age.reset();
        self.engines.reset();
        self.engine_memory.reset();
        if let Some(age) = view.age_seconds {
            self.age.with_label_values::<&str>(&[]).set(age);
        }
        for gpu in &view.inventory.gpus {
            let index = gpu.index.to_string();
            let labels =
                [index.as_str(), gpu.uuid.as_deref().unwrap_or_default(), gpu.name.as_deref().unwrap_or_default()];
            let of = |gauges: &GaugeVec| -> Gauge { gauges.with_label_values(&labels) };
            #[expect(clippy::cast_precision_loss, reason = "bytes of one GPU stay far below 2^52")]
            if let Some(memory) = gpu.memory {
                of(&self.memory_total).set(memory.total as f64);
                of(&self.memory_used).set(memory.used as f64);
            }
            if let Some(percent) = gpu.utilisation {
                of(&self.utilisation).set(f64::from(percent) / 100.0);
            }
            if let Some(degrees) = gpu.temperature {
                of(&self.temperature).set(f64::from(degrees));
            }
            if let Some(watts) = gpu.power {
                of(&self.power).set(watts);
            }
            of(&self.lost).set(f64::from(u8::from(gpu.lost)));
            self.set_engines(&index, gpu);
        }
    }

    /// Shows which engines have what of `gpu`.
    fn set_engines(&self, index: &str, gpu: &Gpu) {
        let labels = |engine: &str| -> [String; 3] {
            let model = engine.rsplit_once('/').map_or("", |(model, _)| model);
            [index.to_owned(), model.to_owned(), engine.to_owned()]
        };
        let parts = || gpu.mig.iter().flatten();
        for engine in parts().filter_map(|part| part.engines.as_ref()).chain(&gpu.engines).flatten() {
            self.engines.with_label_values(&labels(engine)).set(1.0);
        }
        let processes = parts().filter_map(|part| part.processes.as_ref()).chain(&gpu.processes).flatten();
        for process in processes {
            if let (Some(engine), Some(memory)) = (&process.engine, process.memory) {
                #[expect(clippy::cast_precision_loss, reason = "bytes of one GPU stay far below 2^52")]
                self.engine_memory.with_label_values(&labels(engine)).add(memory as f64);
            }
        }
    }
}

/// Index and UUID as the driver has them; the UUID and the name of a lost GPU are unknown, and empty.
const LABELS: [&str; 3] = ["gpu", "uuid", "name"];
