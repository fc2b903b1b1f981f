//! Placements on small machines, and what holds of all of them.

use proptest::arbitrary::any as arbitrary;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest,
};

use super::*;
use crate::config::Gpus;
use crate::ids::EngineId;
use crate::inventory::{Gpu, GpuProcess, Inventory, Memory, Mig};

const GIB: u64 = 1 << 30;

fn memory(total: u64, used: u64) -> Option<Memory> {
    Some(Memory { total: total * GIB, used: used * GIB, free: (total - used) * GIB })
}

fn card(index: u32) -> Gpu {
    Gpu {
        index,
        uuid: Some(format!("GPU-{index}{index}{index}{index}")),
        name: Some("H100".into()),
        memory: memory(80, 0),
        processes: Some(Vec::new()),
        ..Gpu::default()
    }
}

fn machine(count: u32) -> Inventory {
    Inventory { driver: Some("580".into()), gpus: (0..count).map(card).collect(), known: true, ..Inventory::default() }
}

/// A foreign process that holds `gib` of a card.
fn foreign(gpu: &mut Gpu, pid: u32, gib: u64) {
    let process = GpuProcess { pid, name: Some("python3 train.py".into()), memory: Some(gib * GIB), engine: None };
    gpu.processes.get_or_insert_default().push(process);
    gpu.memory =
        gpu.memory.map(|memory| Memory { used: memory.used + gib * GIB, free: memory.free - gib * GIB, ..memory });
}

fn mig(gpu: &mut Gpu) {
    let part = |index: u32| Mig {
        index,
        uuid: Some(format!("MIG-{}-{index}", gpu.index)),
        name: Some("H100 MIG 3g.40gb".into()),
        memory: memory(40, 0),
        processes: Some(Vec::new()),
        ..Mig::default()
    };
    gpu.mig = Some(vec![part(0), part(1)]);
}

fn lost(gpu: &mut Gpu) {
    *gpu = Gpu { index: gpu.index, uuid: gpu.uuid.clone(), name: gpu.name.clone(), lost: true, ..Gpu::default() };
}

fn wants(model: &str, replica: usize, gpus: Gpus, share: f64) -> Demand {
    Demand { engine: EngineId::new(model, replica), model: model.into(), gpus, share, ranks: None, in_turns: false }
}

fn any(model: &str, count: usize, share: f64) -> Demand {
    wants(model, 0, Gpus::Any(count), share)
}

fn listed(model: &str, gpus: &str, share: f64) -> Demand {
    wants(model, 0, Gpus::Listed(gpus.split_whitespace().map(str::to_owned).collect()), share)
}

fn replicas(model: &str, replicas: usize, count: usize, share: f64) -> Vec<Demand> {
    (0..replicas).map(|replica| wants(model, replica, Gpus::Any(count), share)).collect()
}

fn runs(model: &str, gpu: &str, share: f64, pid: u32) -> Held {
    let gpus = gpu.split_whitespace().map(str::to_owned).collect();
    Held { engine: EngineId::new(model, 0), model: model.into(), gpus, share, pids: vec![pid], keeps: Keeps::Share }
}

/// `CUDA_VISIBLE_DEVICES` of each.
fn given(inventory: &Inventory, demands: &[Demand], held: &[Held]) -> Vec<String> {
    let assigned = place(inventory, demands, held).unwrap_or_else(|conflicts| panic!("{}", said(&conflicts)));
    assert_eq!(assigned.len(), demands.len());
    let visible = |places: &Vec<Place>| places.iter().map(|place| place.text.as_str()).collect::<Vec<_>>().join(",");
    assigned.iter().map(|one| one.gpus.as_ref().map_or("as visible".into(), visible)).collect()
}

fn said(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn refused(inventory: &Inventory, demands: &[Demand], held: &[Held]) -> Vec<String> {
    let conflicts = place(inventory, demands, held).expect_err("no place");
    assert!(conflicts.iter().all(|conflict| !conflict.remedy.is_empty() && !conflict.engines.is_empty()));
    conflicts.into_iter().map(|conflict| conflict.reason).collect()
}

#[test]
fn listed_gpus_keep_their_words() {
    let all = [listed("a", "1 0", 0.5), listed("b", "GPU-1111", 0.4), listed("c", "GPU-0", 0.45)];
    assert_eq!(given(&machine(2), &all, &[]), ["1,0", "GPU-1111", "GPU-0"]);
    assert_eq!(
        given(&machine(2), &[listed("a", "0 GPU-1111", 0.5)], &[]),
        ["GPU-0000,GPU-1111"],
        "never of both kinds"
    );
    assert_eq!(given(&machine(0), &[wants("a", 0, Gpus::AsVisible, 0.92)], &[]), ["as visible"]);
    let assigned = place(&machine(2), &all, &[]).expect("places");
    let uuids = assigned[0].gpus.iter().flatten().map(|place| place.uuid.as_deref());
    assert_eq!(uuids.collect::<Vec<_>>(), [Some("GPU-1111"), Some("GPU-0000")]);
}

#[test]
fn every_refusal_is_told_at_once() {
    let mut machine = machine(4);
    lost(&mut machine.gpus[2]);
    mig(&mut machine.gpus[3]);
    let demands = [
        listed("a", "1", 0.9),
        listed("b", "GPU-1111", 0.45),
        listed("c", "7", 0.3),
        listed("d", "GPU-1112", 0.3),
        listed("e", "2", 0.3),
        listed("f", "3", 0.3),
        listed("g", "MIG-3-0 MIG-3-1", 0.3),
        listed("h", "0 GPU-0000", 0.3),
        any("i", 3, 0.3),
        any("j", 5, 0.3),
    ];
    let told = refused(&machine, &demands, &[]);
    let expected = [
        "model c: GPU 7 does not exist: this machine has 0-3",
        "model d: no GPU or MIG instance has the UUID GPU-1112",
        "model e: GPU 2 is lost: nothing can run on it",
        "model f: GPU 3 is in MIG mode and cannot be given as a whole",
        "model g: CUDA shows an engine one MIG instance and nothing beside it, but several GPUs are listed",
        "model h: GPU 0 is listed twice for one engine, as 0 and GPU-0000",
        "GPU 1: model a takes 0.90, model b asks 0.45; together 1.35, 0.95 is the most",
        "model j needs 5 GPUs for each engine; this machine has 4",
        "model i needs 3 GPUs of one kind with a share of 0.30 left, and only 1 has: GPU 1: model a takes 0.90, model b \
         asks 0.45; GPU 2 is lost; GPU 3 is in MIG mode (its instances must be listed)",
    ];
    assert_eq!(told, expected);
    let conflicts = place(&machine, &demands[3..6], &[]).expect_err("no place");
    assert!(conflicts[0].remedy.contains("GPU-1111"), "near ones are named: {}", said(&conflicts));
    assert!(conflicts[2].remedy.contains("MIG-3-0, MIG-3-1"), "instances are named: {}", said(&conflicts));
}

#[test]
fn the_same_trouble_on_several_gpus_is_one_conflict() {
    let told = refused(&machine(2), &[listed("a", "0 1", 0.9), listed("b", "0 1", 0.5)], &[]);
    assert_eq!(told, ["GPUs 0, 1: model a takes 0.90, model b asks 0.50; together 1.40, 0.95 is the most"]);
    let told = refused(&machine(1), &replicas("a", 3, 1, 0.92), &[]);
    assert_eq!(told, ["model a needs 1 GPU with a share of 0.92 left, and none has: GPU 0: model a takes 0.92"]);
}

#[test]
fn foreign_processes_count_and_are_named() {
    let mut machine = machine(2);
    foreign(&mut machine.gpus[1], 4711, 35);
    let told = refused(&machine, &[listed("a", "1", 0.9)], &[]);
    assert_eq!(
        told,
        ["GPU 1: model a takes 0.90, python3 train.py (pid 4711) holds 35.0 GiB; together 1.34, 0.98 is the most"]
    );
    assert_eq!(given(&machine, &[listed("a", "1", 0.5)], &[]), ["1"]);
    let assigned = place(&machine, &[listed("a", "1", 0.5)], &[]).expect("a place");
    assert_eq!(assigned[0].gpus.as_ref().expect("GPUs")[0].foreign, 35 * GIB);
    assert_eq!(given(&machine, &[any("a", 1, 0.9)], &[]), ["0"]);
    // Of an engine of ours they are none; of one that was given other GPUs they are named as such.
    assert_eq!(given(&machine, &[listed("a", "1", 0.45)], &[runs("b", "1", 0.45, 4711)]), ["1"]);
    let told = refused(&machine, &[listed("a", "1", 0.9)], &[runs("b", "", 0.45, 4711)]);
    assert!(told[0].contains("engine b/0 (pid 4711) holds 35.0 GiB"), "{told:?}");
}

#[test]
fn memory_that_nobody_listed_holds_counts_unless_a_hidden_engine_may_hold_it() {
    let mut machine = machine(1);
    machine.gpus[0].memory = memory(80, 40);
    machine.gpus[0].processes = None;
    let told = refused(&machine, &[any("a", 1, 0.9)], &[]);
    assert!(told[0].contains("a process that is not visible from here holds 40.0 GiB"), "{told:?}");
    assert_eq!(given(&machine, &[any("a", 1, 0.45)], &[runs("b", "GPU-0000", 0.5, 7)]), ["0"]);
}

#[test]
fn any_gpus_are_chosen_by_the_order_of_the_criteria() {
    // An empty machine: neighbours from 0 on, the largest first.
    assert_eq!(
        given(&machine(8), &[any("a", 1, 0.92), any("b", 4, 0.92), any("c", 2, 0.92)], &[]),
        ["6", "0,1,2,3", "4,5"]
    );
    // A half-filled card is filled before another is begun; the second half of a broken pair before a whole pair.
    assert_eq!(given(&machine(4), &[any("a", 1, 0.5), any("b", 1, 0.45), any("c", 1, 0.9)], &[]), ["1", "1", "0"]);
    // Pairs stay whole for who needs two.
    assert_eq!(given(&machine(4), &[any("a", 1, 0.9)], &[runs("x", "2", 0.9, 7)]), ["3"]);
    assert_eq!(given(&machine(4), &[any("a", 2, 0.9)], &[runs("x", "0", 0.9, 7)]), ["2,3"]);
    // The most memory left.
    let mut busy = machine(2);
    foreign(&mut busy.gpus[0], 7, 2);
    assert_eq!(given(&busy, &[any("a", 1, 0.9)], &[]), ["1"]);
}

#[test]
fn replicas_are_kept_apart_where_there_is_room() {
    assert_eq!(given(&machine(2), &replicas("a", 2, 1, 0.45), &[]), ["0", "1"]);
    assert_eq!(given(&machine(4), &replicas("a", 2, 2, 0.45), &[]), ["0,1", "2,3"]);
    let mut four = given(&machine(2), &replicas("a", 4, 1, 0.45), &[]);
    four.sort();
    assert_eq!(four, ["0", "0", "1", "1"]);
    // Scaling at run time: what runs stays, the new one goes elsewhere.
    let new = wants("a", 1, Gpus::Any(1), 0.45);
    assert_eq!(given(&machine(2), &[new], &[runs("a", "GPU-0000", 0.45, 7)]), ["1"]);
}

#[test]
fn cards_of_one_engine_are_of_one_kind() {
    let mut mixed = machine(4);
    for index in [0, 3] {
        mixed.gpus[index].name = Some("A100".into());
        mixed.gpus[index].memory = memory(40, 0);
    }
    assert_eq!(given(&mixed, &[any("a", 2, 0.9)], &[]), ["1,2"], "most memory");
    assert_eq!(given(&mixed, &[any("a", 2, 0.9), any("b", 2, 0.9)], &[]), ["1,2", "0,3"]);
    let told = refused(&mixed, &[any("a", 3, 0.9)], &[]);
    assert!(told[0].contains("those with enough are of different types: GPU 0 is a A100; GPU 1 is a H100"), "{told:?}");
}

#[test]
fn what_is_given_first_may_give_way() {
    // One after the other, the last finds 0.85 taken on both.
    let shares = [0.5, 0.35, 0.3, 0.3, 0.25, 0.2];
    let demands: Vec<Demand> = shares.iter().enumerate().map(|(at, &share)| any(&format!("m{at}"), 1, share)).collect();
    assert_eq!(given(&machine(2), &demands, &[]), ["0", "1", "1", "1", "0", "0"]);
}

#[test]
fn mig_instances_are_given_by_uuid_and_never_chosen() {
    let mut machine = machine(2);
    mig(&mut machine.gpus[0]);
    let demands = [listed("a", "MIG-0-0", 0.9), listed("b", "MIG-0-1", 0.9), any("c", 1, 0.9)];
    assert_eq!(given(&machine, &demands, &[]), ["MIG-0-0", "MIG-0-1", "1"]);
    let told = refused(&machine, &[listed("a", "MIG-0-0", 0.9), listed("b", "MIG-0-0", 0.9)], &[]);
    assert!(told[0].starts_with("MIG instance 0:0: model a takes 0.90"), "{told:?}");
    machine.gpus[1].mig = Some(Vec::new());
    let told = refused(&machine, &[any("a", 1, 0.9)], &[]);
    assert!(told[0].contains("GPU 1 is in MIG mode"), "{told:?}");
}

#[test]
fn a_lost_card_is_never_given_and_indices_become_uuids() {
    let mut machine = machine(3);
    lost(&mut machine.gpus[1]);
    assert_eq!(given(&machine, &[any("a", 2, 0.9)], &[]), ["GPU-0000,GPU-2222"]);
    assert_eq!(given(&machine, &[listed("a", "2", 0.9)], &[]), ["GPU-2222"]);
    assert!(refused(&machine, &[any("a", 3, 0.9)], &[])[0].contains("GPU 1 is lost"));
    machine.gpus[2].uuid = None;
    assert_eq!(given(&machine, &[listed("a", "2", 0.9)], &[]), ["2"], "there is nothing better");
}

#[test]
fn without_a_driver_listed_gpus_are_taken_as_written() {
    let none = Inventory::default();
    assert_eq!(given(&none, &[listed("a", "0 GPU-x", 0.9), listed("b", "1", 0.9)], &[]), ["0,GPU-x", "1"]);
    let told = refused(&none, &[listed("a", "0", 0.5), listed("b", "0 0", 0.5), any("c", 2, 0.9)], &[]);
    let expected = [
        "model b: GPU 0 is listed twice for one engine",
        "model c needs 2 GPUs, but no NVIDIA driver was found, so GPUs cannot be chosen",
    ];
    assert_eq!(told, expected);
    let told = refused(&none, &[listed("a", "0", 0.5)], &[runs("b", "0", 0.5, 7)]);
    assert_eq!(told, ["GPU 0: model b takes 0.50, model a asks 0.50; together 1.00, 0.95 is the most"]);
    // A driver that sees no card is another matter.
    assert_eq!(
        refused(&machine(0), &[listed("a", "0", 0.5)], &[]),
        ["model a: GPU 0 does not exist: this machine has none"]
    );
    assert_eq!(
        refused(&machine(0), &[any("a", 1, 0.5)], &[]),
        ["model a needs 1 GPU for each engine; this machine has none"]
    );
}

#[test]
fn sizes_that_do_not_fit_are_told_once_for_all_replicas() {
    let ranks = Some(Ranks { tensor: Some(4), others: 1 });
    let demands: Vec<Demand> = replicas("a", 2, 2, 0.4).into_iter().map(|demand| Demand { ranks, ..demand }).collect();
    let conflicts = place(&machine(4), &demands, &[]).expect_err("no place");
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].engines, [EngineId::new("a", 0), EngineId::new("a", 1)]);
    assert_eq!(conflicts[0].reason, "model a: 2 GPUs for each engine do not fit its tensor parallelism of 4");
}

#[test]
fn a_machine_that_is_too_small_is_told_soon() {
    let mut demands = Vec::new();
    for model in 0..40 {
        demands.extend(replicas(&format!("m{model}"), 8, 4, 0.3));
    }
    assert!(place(&machine(16), &demands, &[]).is_err());
}

fn machines() -> impl Strategy<Value = Inventory> {
    let card = (0..10u8, 0..60u64, any_kind());
    prop::collection::vec(card, 0..9).prop_map(|cards| {
        let mut machine = machine(u32::try_from(cards.len()).expect("few"));
        for (gpu, (state, held, kind)) in machine.gpus.iter_mut().zip(cards) {
            gpu.name = Some(kind.into());
            match state {
                0 => lost(gpu),
                1 => mig(gpu),
                2..4 => foreign(gpu, 1000 + gpu.index, held),
                _ => {}
            }
        }
        machine
    })
}

fn any_kind() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("H100"), 1 => Just("A100")]
}

fn many() -> impl Strategy<Value = Vec<Demand>> {
    let one = (1..4usize, 1..4usize, 1..20u32, arbitrary::<bool>(), 0..9u32);
    prop::collection::vec(one, 0..5).prop_map(|models| {
        let mut demands = Vec::new();
        for (at, (count, number, share, chosen, first)) in models.into_iter().enumerate() {
            let share = f64::from(share) / 20.0;
            for replica in 0..number {
                let gpus = if chosen { Gpus::Any(count) } else { Gpus::Listed(vec![first.to_string()]) };
                demands.push(wants(&format!("m{at}"), replica, gpus, share));
            }
        }
        demands
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_placed_fits(machine in machines(), demands in many(), first in arbitrary::<bool>()) {
        let held: Vec<Held> = if first && !machine.gpus.is_empty() { vec![runs("held", "GPU-0000", 0.4, 1000)] } else { vec![] };
        let found = place(&machine, &demands, &held);
        prop_assert_eq!(&found, &place(&machine, &demands, &held), "the same question has one answer");
        match found {
            Err(conflicts) => {
                prop_assert!(!conflicts.is_empty());
                for conflict in &conflicts {
                    prop_assert!(conflict.engines.iter().all(|engine| engine.as_str() != "held/0"));
                }
            }
            Ok(assigned) => {
                prop_assert_eq!(assigned.len(), demands.len());
                let mut sums = vec![0.0; machine.gpus.len()];
                if !held.is_empty() {
                    sums[0] = 0.4;
                }
                for (one, demand) in assigned.iter().zip(&demands) {
                    prop_assert_eq!(&one.engine, &demand.engine);
                    let places = one.gpus.as_ref().expect("GPUs");
                    if let Gpus::Any(count) = demand.gpus {
                        prop_assert_eq!(places.len(), count);
                    }
                    let mut indices: Vec<u32> = places.iter().map(|place| place.index.expect("known")).collect();
                    let names: Vec<_> = places.iter().map(|place| &place.name).collect();
                    prop_assert!(names.windows(2).all(|pair| pair[0] == pair[1]));
                    indices.sort_unstable();
                    indices.dedup();
                    prop_assert_eq!(indices.len(), places.len(), "each GPU once");
                    for index in indices {
                        let gpu = &machine.gpus[index as usize];
                        prop_assert!(!gpu.lost && gpu.mig.is_none());
                        sums[index as usize] += one.share;
                    }
                }
                for (gpu, sum) in machine.gpus.iter().zip(sums) {
                    prop_assert!(sum <= 0.95 + 1e-6, "GPU {} has {sum}", gpu.index);
                }
            }
        }
    }

    #[test]
    fn replicas_are_apart_when_the_machine_is_empty(gpus in 1..9u32, count in 1..4usize, number in 1..5usize) {
        let machine = machine(gpus);
        prop_assume!(count * number <= gpus as usize);
        let assigned = place(&machine, &replicas("a", number, count, 0.4), &[]).expect("room");
        let places = assigned.iter().flat_map(|one| one.gpus.iter().flatten());
        let mut all: Vec<String> = places.map(|place| place.uuid.clone().unwrap_or_else(|| place.text.clone())).collect();
        all.sort();
        all.dedup();
        prop_assert_eq!(all.len(), count * number);
    }
}
