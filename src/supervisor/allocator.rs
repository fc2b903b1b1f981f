//! The one owner of GPU memory: which engine has which share of which GPU. Nothing else assigns GPUs.
//!
//! A grant is counted from the moment it is given until it is dropped, so what two callers are given never overlaps,
//! however long the driver takes to answer either of them: it is asked first, and then placed and noted in one step.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::process::group;
use crate::config::Gpus;
use crate::ids::{EngineId, Name};
use crate::inventory::{Inventory, Monitor, find, units};
use crate::placement::{self, Assignment, Conflict, Demand, Held, Keeps};

/// Gives GPUs to engines. A cheap handle.
#[derive(Clone)]
pub(super) struct GpuAllocator(Arc<Inner>);

struct Inner {
    monitor: Monitor,
    table: Mutex<Table>,
}

/// What is granted, by the number of the grant: two starts of one engine must not release each other's.
#[derive(Default)]
struct Table {
    last: u64,
    granted: BTreeMap<u64, Granted>,
}

struct Granted {
    engine: EngineId,
    model: Name,
    gpus: Vec<String>,
    share: f64,
    /// The leader of its process group, while it runs.
    leader: Option<u32>,
    /// Whether it sleeps, so that others may have its share.
    rests: bool,
}

/// The GPUs of one engine, until this is dropped.
pub(super) struct GpuGrant {
    allocator: GpuAllocator,
    number: u64,
    gpus: Option<Vec<String>>,
}

impl GpuGrant {
    /// What `CUDA_VISIBLE_DEVICES` is to name; `None`: the engine sees the GPUs that we see.
    pub(super) fn gpus(&self) -> Option<&[String]> {
        self.gpus.as_deref()
    }

    /// Notes the engine's first process, or that it has none: the memory that its group holds is no other program's.
    pub(super) fn set_leader(&self, leader: Option<u32>) {
        if let Some(granted) = self.allocator.table().granted.get_mut(&self.number) {
            granted.leader = leader;
        }
    }

    /// Counts it with another share of each GPU: the configuration says so now.
    pub(super) fn set_share(&self, share: f64) {
        if let Some(granted) = self.allocator.table().granted.get_mut(&self.number) {
            granted.share = share;
        }
    }

    /// Lets others have its share, because the engine sleeps: of its memory, what its processes hold is counted.
    /// [`GpuAllocator::rouse`] takes the share back.
    pub(super) fn rest(&self) {
        if let Some(granted) = self.allocator.table().granted.get_mut(&self.number) {
            granted.rests = true;
        }
    }

    /// Whether an engine that starts now may use it: it is not lent to others, none of its GPUs is lost, and no index in it may
    /// mean another GPU, because CUDA counts without one that is.
    fn is_usable(&self, now: &Inventory) -> bool {
        if self.allocator.table().granted.get(&self.number).is_none_or(|granted| granted.rests) {
            return false;
        }
        let units = units(now);
        let gpus = self.gpus.as_deref().unwrap_or_default();
        let is_lost = |gpu: &String| find(&units, gpu).is_ok_and(|unit| unit.gpu.lost);
        let by_index = gpus.iter().any(|gpu| gpu.trim().parse::<u32>().is_ok());
        let in_doubt = by_index && now.gpus.iter().any(|gpu| gpu.lost);
        !now.known || !(in_doubt || gpus.iter().any(is_lost))
    }
}

impl Drop for GpuGrant {
    fn drop(&mut self) {
        self.allocator.table().granted.remove(&self.number);
    }
}

impl GpuAllocator {
    /// Nothing is granted yet; `monitor` tells which GPUs there are.
    pub(super) fn new(monitor: Monitor) -> Self {
        Self(Arc::new(Inner { monitor, table: Mutex::default() }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// GPUs for all of `demands`, or for none. Waits for the driver, unless none is needed.
    ///
    /// # Errors
    /// Every reason why they cannot all run, in words.
    pub(super) async fn allocate(&self, demands: &[Demand]) -> Result<Vec<GpuGrant>, String> {
        let inventory = self.inventory(demands).await;
        self.place(&inventory, demands)
    }

    /// GPUs for as many of `demands` as there can be: for all at once where that is possible, since one choice can be in
    /// the way of another; otherwise for one after the other, those with the least choice first.
    pub(super) async fn reserve(&self, demands: &[Demand]) -> Vec<Option<GpuGrant>> {
        let inventory = self.inventory(demands).await;
        if let Ok(all) = self.place(&inventory, demands) {
            return all.into_iter().map(Some).collect();
        }
        let mut order: Vec<(usize, &Demand)> = demands.iter().enumerate().collect();
        order.sort_by_key(|(_, demand)| match demand.gpus {
            Gpus::Any(count) => (true, Reverse(count)),
            Gpus::Listed(_) | Gpus::AsVisible => (false, Reverse(0)),
        });
        let mut grants: Vec<Option<GpuGrant>> = demands.iter().map(|_| None).collect();
        for (at, demand) in order {
            grants[at] = self.place(&inventory, std::slice::from_ref(demand)).ok().and_then(|mut one| one.pop());
        }
        grants
    }

    /// GPUs for an engine that is about to start: those of `current`, as long as they can be used, or others.
    ///
    /// # Errors
    /// Every reason why there are none, in words.
    pub(super) async fn renew(&self, current: Option<GpuGrant>, demand: &Demand) -> Result<GpuGrant, String> {
        if let Some(current) = current.filter(|grant| grant.is_usable(&self.0.monitor.latest())) {
            return Ok(current);
        }
        let mut grants = self.allocate(std::slice::from_ref(demand)).await?;
        grants.pop().ok_or_else(|| "nothing was placed".to_owned())
    }

    /// Notes what an engine that was found running has.
    pub(super) fn adopt(&self, demand: &Demand, gpus: Option<Vec<String>>, leader: u32) -> GpuGrant {
        let grant = self.grant(demand, gpus);
        grant.set_leader(Some(leader));
        grant
    }

    /// Whether one more engine could have what it wants, as far as is known now. `uses_gpus`: it would use GPUs also where
    /// it is not given any; then nothing speaks for room, as nobody knows what it would take.
    pub(super) fn has_room(&self, demand: &Demand, uses_gpus: bool) -> bool {
        let inventory = self.0.monitor.latest();
        match demand.gpus {
            Gpus::AsVisible => !uses_gpus || inventory.gpus.is_empty(),
            Gpus::Any(_) | Gpus::Listed(_) => {
                placement::place(&inventory, std::slice::from_ref(demand), &self.held()).is_ok()
            }
        }
    }

    /// What runs and what there is at the moment, to be asked several questions.
    pub(super) fn look(&self) -> Occupancy {
        Occupancy { inventory: self.0.monitor.latest(), held: self.held() }
    }

    /// Has the `engines` that sleep have their shares again, all or none.
    ///
    /// # Errors
    /// Every reason why there is no room, in words.
    pub(super) fn rouse(&self, engines: &[EngineId]) -> Result<(), String> {
        let inventory = self.0.monitor.latest();
        let mut table = self.table();
        let processes = group::members_of_groups(table.granted.values().filter_map(|granted| granted.leader));
        let is_meant = |granted: &Granted| granted.rests && engines.contains(&granted.engine);
        let demands: Vec<Demand> = table.granted.values().filter(|it| is_meant(it)).map(Granted::demand).collect();
        let held = table.granted.values().map(|granted| {
            let held = granted.held(&processes);
            if is_meant(granted) { Held { keeps: Keeps::Nothing, ..held } } else { held }
        });
        let held: Vec<Held> = held.collect();
        placement::place(&inventory, &demands, &held).map_err(|why| in_words(&why))?;
        table.granted.values_mut().filter(|it| is_meant(it)).for_each(|granted| granted.rests = false);
        Ok(())
    }

    async fn inventory(&self, demands: &[Demand]) -> Arc<Inventory> {
        if demands.iter().all(|demand| demand.gpus == Gpus::AsVisible) {
            return self.0.monitor.latest();
        }
        self.0.monitor.refreshed().await
    }

    /// Places and notes in one step.
    fn place(&self, inventory: &Inventory, demands: &[Demand]) -> Result<Vec<GpuGrant>, String> {
        let processes = group::members_of_groups(self.table().granted.values().filter_map(|granted| granted.leader));
        let mut table = self.table();
        let held: Vec<Held> = table.granted.values().map(|granted| granted.held(&processes)).collect();
        let assigned = placement::place(inventory, demands, &held).map_err(|conflicts| in_words(&conflicts))?;
        let grants = demands.iter().zip(&assigned).map(|(demand, assigned)| {
            let gpus = texts(assigned);
            (table.note(demand, gpus.clone()), gpus)
        });
        let noted: Vec<_> = grants.collect();
        drop(table);
        Ok(noted.into_iter().map(|(number, gpus)| GpuGrant { allocator: self.clone(), number, gpus }).collect())
    }

    fn grant(&self, demand: &Demand, gpus: Option<Vec<String>>) -> GpuGrant {
        let number = self.table().note(demand, gpus.clone());
        GpuGrant { allocator: self.clone(), number, gpus }
    }

    fn held(&self) -> Vec<Held> {
        let table = self.table();
        let processes = group::members_of_groups(table.granted.values().filter_map(|granted| granted.leader));
        table.granted.values().map(|granted| granted.held(&processes)).collect()
    }
}

/// Who had which GPUs at one moment, and which GPUs there were.
pub(super) struct Occupancy {
    inventory: Arc<Inventory>,
    held: Vec<Held>,
}

impl Occupancy {
    /// Whether all of `demands` could have what they want beside what runs, once the engines that are `leaving` are gone.
    /// Engines that sleep are to have what they had: they are in `demands` by their own names.
    ///
    /// # Errors
    /// Every reason why not, in words.
    pub(super) fn has_room(&self, demands: &[Demand], leaving: &dyn Fn(&Held) -> bool) -> Result<(), String> {
        let is_asked_for = |held: &Held| demands.iter().any(|demand| demand.engine == held.engine);
        let held = self.held.iter().map(|held| {
            let leaves = leaving(held) || held.keeps == Keeps::Remainder && is_asked_for(held);
            if leaves { Held { keeps: Keeps::Nothing, ..held.clone() } } else { held.clone() }
        });
        let held: Vec<Held> = held.collect();
        placement::place(&self.inventory, demands, &held).map(drop).map_err(|why| in_words(&why))
    }

    /// Whether an engine has GPUs, or needs none, and does not sleep.
    pub(super) fn is_held_by(&self, engine: &EngineId) -> bool {
        self.held.iter().any(|held| held.engine == *engine && held.keeps == Keeps::Share)
    }
}

impl Table {
    fn note(&mut self, demand: &Demand, gpus: Option<Vec<String>>) -> u64 {
        self.last += 1;
        let granted = Granted {
            engine: demand.engine.clone(),
            model: demand.model.clone(),
            gpus: gpus.unwrap_or_default(),
            share: demand.share,
            leader: None,
            rests: false,
        };
        self.granted.insert(self.last, granted);
        self.last
    }
}

impl Granted {
    /// The same GPUs, and the same share of each.
    fn demand(&self) -> Demand {
        let gpus = if self.gpus.is_empty() { Gpus::AsVisible } else { Gpus::Listed(self.gpus.clone()) };
        let (engine, model) = (self.engine.clone(), self.model.clone());
        Demand { engine, model, gpus, share: self.share, ranks: None, in_turns: true }
    }

    fn held(&self, processes: &BTreeMap<u32, Vec<u32>>) -> Held {
        Held {
            keeps: if self.rests { Keeps::Remainder } else { Keeps::Share },
            engine: self.engine.clone(),
            model: self.model.clone(),
            gpus: self.gpus.clone(),
            share: self.share,
            pids: self.leader.and_then(|leader| processes.get(&leader).cloned()).unwrap_or_default(),
        }
    }
}

/// In one line: they are logged, and told to clients.
fn in_words(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(|it| format!("{}. {}", it.reason, it.remedy)).collect::<Vec<_>>().join(" ")
}

/// The words for `CUDA_VISIBLE_DEVICES`.
fn texts(assigned: &Assignment) -> Option<Vec<String>> {
    Some(assigned.gpus.as_ref()?.iter().map(|place| place.text.clone()).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::{Gpu, Memory};

    fn card(index: u32) -> Gpu {
        let memory = Some(Memory { total: 80 << 30, used: 0, free: 80 << 30 });
        let uuid = Some(format!("GPU-{index}{index}{index}{index}"));
        Gpu { index, uuid, name: Some("H100".into()), memory, processes: Some(vec![]), ..Gpu::default() }
    }

    fn machine(count: u32) -> Inventory {
        Inventory {
            driver: Some("580".into()),
            gpus: (0..count).map(card).collect(),
            known: true,
            ..Inventory::default()
        }
    }

    fn wants(replica: usize, gpus: Gpus, share: f64) -> Demand {
        Demand { engine: EngineId::new("m", replica), model: "m".into(), gpus, share, ranks: None, in_turns: false }
    }

    fn allocator() -> GpuAllocator {
        GpuAllocator::new(Monitor::start(None))
    }

    #[tokio::test]
    async fn what_is_granted_is_taken_until_the_grant_is_dropped() {
        let (allocator, machine) = (allocator(), machine(1));
        let demands = [wants(0, Gpus::Any(1), 0.6), wants(1, Gpus::Any(1), 0.6)];
        let why = allocator.place(&machine, &demands).err().expect("they do not both fit");
        assert!(why.contains("model m"), "{why}");
        let first = allocator.place(&machine, &demands[..1]).expect("one does").pop().expect("one");
        assert_eq!(first.gpus(), Some(&["0".to_owned()][..]));
        assert!(allocator.place(&machine, &demands[1..]).is_err());
        drop(first);
        assert!(allocator.place(&machine, &demands[1..]).is_ok());
    }

    #[tokio::test]
    async fn a_grant_on_a_lost_gpu_cannot_be_used_nor_one_by_index_beside_it() {
        let (allocator, mut machine) = (allocator(), machine(2));
        let by_index = allocator.grant(&wants(0, Gpus::Any(1), 0.5), Some(vec!["0".into()]));
        let by_uuid = allocator.grant(&wants(1, Gpus::Any(1), 0.5), Some(vec!["GPU-0000".into()]));
        let lost = allocator.grant(&wants(2, Gpus::Any(1), 0.5), Some(vec!["GPU-1111".into()]));
        assert!([&by_index, &by_uuid, &lost].into_iter().all(|grant| grant.is_usable(&machine)));
        machine.gpus[1].lost = true;
        assert!(!by_index.is_usable(&machine) && by_uuid.is_usable(&machine) && !lost.is_usable(&machine));
    }

    #[tokio::test]
    async fn where_gpus_are_used_that_nobody_assigned_no_room_is_known() {
        let allocator = allocator();
        assert!(allocator.has_room(&wants(0, Gpus::AsVisible, 0.0), false));
        assert!(allocator.has_room(&wants(0, Gpus::AsVisible, 0.9), true), "there is no GPU to be used");
        assert!(!allocator.has_room(&wants(0, Gpus::Any(1), 0.9), true));
    }

    fn demand() -> impl Strategy<Value = (usize, u8)> {
        (0..4usize, 1..=9u8)
    }

    proptest! {
        /// Whatever is asked for and given back in which order: no GPU is ever promised more than it has.
        #[test]
        fn no_gpu_is_ever_over_committed(steps in prop::collection::vec((demand(), any::<bool>(), 0..8usize), 1..40)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _guard = runtime.enter();
            let (allocator, machine) = (allocator(), machine(3));
            let mut grants: Vec<GpuGrant> = vec![];
            for (replica, ((count, tenths), gives_back, which)) in steps.into_iter().enumerate() {
                if gives_back && !grants.is_empty() {
                    grants.swap_remove(which % grants.len());
                    continue;
                }
                let gpus = if count == 0 { Gpus::Listed(vec!["1".into()]) } else { Gpus::Any(count) };
                let demand = wants(replica, gpus, f64::from(tenths) / 10.0);
                grants.extend(allocator.place(&machine, &[demand]).unwrap_or_default());
                for gpu in 0..3 {
                    let name = gpu.to_string();
                    let on = allocator.held().into_iter().filter(|held| held.gpus.contains(&name));
                    let taken: f64 = on.map(|held| held.share).sum();
                    prop_assert!(taken <= placement::LARGEST_SHARE + 1e-6, "GPU {gpu}: {taken}");
                }
            }
        }
    }
}
