//! What would run where, and what it needs: all that is told of a configuration that can be read; vLLM is not asked.

use std::fmt::{self, Display, Formatter};

use serde::{Serialize, Serializer};

use crate::cli::needs::{self, Need};
use crate::config::{Config, Diagnostic, Engines, Gpus, Overview, Severity};
use crate::ids::EngineId;
use crate::inventory::Inventory;
use crate::placement::{self, Assignment, Conflict, Demand, Place};
use crate::{app, supervisor};

/// What would run where.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    #[serde(flatten)]
    overview: Overview,
    /// The directory of records and engine logs; `null`: no engine is started, or the file has no name yet.
    records: Option<String>,
    placement: Placement,
    /// What models need whose files are on this machine.
    memory: Vec<Need>,
}

/// Which engine gets which GPUs of this machine.
#[derive(Debug, Default, Serialize)]
struct Placement {
    /// Why GPUs were not checked on this machine.
    not_checked: Option<String>,
    #[serde(serialize_with = "assigned")]
    engines: Vec<Assignment>,
}

/// The GPUs of one engine.
#[derive(Serialize)]
struct Assigned<'a> {
    engine: &'a str,
    /// `null`: those that the environment shows.
    gpus: Option<Vec<Gpu<'a>>>,
    /// Share of the memory of each; `null`: unknown.
    share: Option<f64>,
}

/// A GPU of an engine.
#[derive(Serialize)]
struct Gpu<'a> {
    /// The word for `CUDA_VISIBLE_DEVICES`.
    visible: &'a str,
    index: Option<u32>,
    uuid: Option<&'a str>,
    name: Option<&'a str>,
    /// All of its memory, in bytes.
    memory: Option<u64>,
    /// Bytes that processes hold which are not engines of ours.
    held_by_others: u64,
}

fn assigned<S: Serializer>(all: &[Assignment], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(all.iter().map(|one| Assigned {
        engine: one.engine.as_str(),
        gpus: one.gpus.as_ref().map(|places| places.iter().map(gpu).collect()),
        share: (one.share > 0.0).then_some(one.share),
    }))
}

fn gpu(place: &Place) -> Gpu<'_> {
    Gpu {
        visible: &place.text,
        index: place.index,
        uuid: place.uuid.as_deref(),
        name: place.name.as_deref(),
        memory: place.total,
        held_by_others: place.foreign,
    }
}

impl Plan {
    /// That of `config`, and what is wrong with it. `is_filed`: the file has its name, and so has the state directory.
    pub(super) fn of(
        config: &Config,
        is_filed: bool,
        env: &dyn Fn(&str) -> Option<String>,
        read: &dyn Fn() -> Inventory,
    ) -> (Self, Vec<Diagnostic>) {
        let (placement, found) = placed(config, read);
        let starts = || config.models.iter().any(|model| matches!(model.engines, Engines::Spawn(_)));
        let records = (is_filed && starts()).then(|| app::state_dir(config).display().to_string());
        let memory = needs::needs(config, &placement.engines, env);
        (Self { overview: Overview::of(config), records, placement, memory }, found)
    }
}

impl Display for Plan {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.overview.fmt(out)?;
        if let Some(records) = self.records.as_ref().filter(|_| self.overview.state_dir.is_none()) {
            writeln!(out, "\nRecords and engine logs: {records}")?;
        }
        let placed = match &self.placement {
            Placement { not_checked: Some(why), .. } => format!("GPUs were not checked on this machine: {why}\n"),
            Placement { engines, .. } if engines.is_empty() => String::new(),
            Placement { engines, .. } => placement::table(engines),
        };
        for text in [placed, needs::text(&self.memory)].iter().filter(|text| !text.is_empty()) {
            write!(out, "\n{text}")?;
        }
        Ok(())
    }
}

/// Which engine gets which GPUs of this machine. Where no driver tells of GPUs (configurations are written on laptops
/// too), only what is wrong on any machine is an error.
fn placed(config: &Config, read: &dyn Fn() -> Inventory) -> (Placement, Vec<Diagnostic>) {
    let mut demands = placement::demands(config);
    let pinned = |demand: &Demand| demand.gpus != Gpus::AsVisible;
    if !demands.iter().any(pinned) {
        return (Placement::default(), Vec::new());
    }
    let mut inventory = read();
    // The memory of this gateway's own engines, if they run now, is the memory that they are to have.
    inventory.forget(&supervisor::processes(&app::state_dir(config)));
    let why = || inventory.faults.first().map_or_else(|| "the driver reported none".to_owned(), Clone::clone);
    let not_checked = (!inventory.known).then(why);
    if not_checked.is_some() {
        demands.retain(|demand| !matches!(demand.gpus, Gpus::Any(_)));
    }
    match placement::place_in_turns(&inventory, &demands, &[]) {
        Ok(engines) => (Placement { not_checked, engines }, Vec::new()),
        Err(conflicts) => {
            let found = conflicts.into_iter().map(|one| misplaced(config, one)).collect();
            (Placement { not_checked, engines: Vec::new() }, found)
        }
    }
}

/// Engines that cannot have their GPUs; told where the first of them has its `gpus`.
fn misplaced(config: &Config, conflict: Conflict) -> Diagnostic {
    let model = conflict.engines.first().map(EngineId::model).unwrap_or_default();
    let settings: [&[&str]; 2] = [&["models", model, "gpus"], &["models", model]];
    config.source_map.diagnostic(Severity::Error, &settings, conflict.reason, conflict.remedy)
}
