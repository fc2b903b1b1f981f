//! What a machine has, through the real binary: `enginehouse gpus`, `check` and `doctor` over a stand-in for NVIDIA's library,
//! `models` over a cache of the hub; the background reader through the library. The NVML crate is the real one.

#[path = "gpus/doctor.rs"]
mod doctor;
#[path = "nvml/machine.rs"]
#[allow(unreachable_pub, reason = "the other suite uses it too")]
mod machine;
#[path = "gpus/models.rs"]
mod models;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use enginehouse::inventory::{Inventory, Memories, Monitor, Pace, freed};
use serde_json::{Value, json};

use crate::machine::{DRIVER, GIB, Idler, Machine, card};

impl Machine {
    /// Reads in the background; faster than one does in earnest, and with a driver that soon counts as hanging.
    fn monitor(&self) -> Monitor {
        let pace = Pace {
            interval: Duration::from_millis(20),
            pause: Duration::from_millis(1),
            retry: Duration::from_millis(20),
            limit: Duration::from_millis(200),
        };
        Monitor::start_with(Some(self.library.as_os_str()), pace)
    }

    fn run(&self, args: &[&str]) -> Output {
        gpus(&self.library, args)
    }

    fn json(&self) -> Value {
        parsed(&self.run(&["--json"]))
    }

    fn table(&self) -> String {
        text(&self.run(&[]))
    }
}

/// Runs `enginehouse gpus` with `library` as the driver's.
fn gpus(library: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enginehouse"));
    command.arg("gpus").args(args).env("ENGINEHOUSE_NVML", library).env_remove("NVML_SCENARIO");
    command.output().expect("the binary runs")
}

/// Waits for a reading that is as wanted; readings go on for ever, and so does the test when none is.
async fn until(monitor: &Monitor, wanted: impl Fn(&Inventory) -> bool) -> Arc<Inventory> {
    loop {
        let inventory = monitor.refreshed().await;
        if wanted(&inventory) {
            return inventory;
        }
    }
}

/// What was printed, by a command that had nothing to complain about.
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn parsed(output: &Output) -> Value {
    let text = text(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The only fault.
fn fault(inventory: &Value) -> &str {
    let faults = inventory["faults"].as_array().expect("a list");
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].as_str().expect("a sentence")
}

#[test]
fn a_machine_without_the_library_has_no_gpu_and_one_sentence_why() {
    let library = Path::new("/no/such/libnvidia-ml.so.1");
    let inventory = parsed(&gpus(library, &["--json"]));
    assert_eq!((&inventory["gpus"], &inventory["driver"]), (&json!([]), &Value::Null));
    let fault = fault(&inventory);
    assert!(fault.contains("/no/such/libnvidia-ml.so.1") && fault.contains("install NVIDIA's driver"), "{fault}");
    assert!(!fault.contains("libloading"), "in words of this program: {fault}");
    assert_eq!(text(&gpus(library, &[])), format!("{fault}\n"));
}

#[test]
fn a_library_whose_driver_is_not_loaded_says_so() {
    let inventory = Machine::new("driver init=9\n").json();
    assert_eq!(inventory["gpus"], json!([]));
    assert!(fault(&inventory).contains("NVIDIA driver is not loaded"), "{inventory}");
}

#[test]
fn a_library_that_is_not_nvidias_is_told_from_one() {
    let machine = Machine::new("");
    let source = machine.folder.path().join("other.c");
    let other = machine.folder.path().join("libother.so");
    std::fs::write(&source, "int other(void) { return 0; }\n").expect("a source");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&other, &source]).status();
    assert!(built.expect("a C compiler").success());
    let inventory = parsed(&gpus(&other, &["--json"]));
    assert!(fault(&inventory).contains("the library is not NVIDIA's"), "{inventory}");
}

#[test]
fn a_driver_without_cards_is_no_fault() {
    let machine = Machine::new(DRIVER);
    assert_eq!(machine.json(), json!({ "driver": "580.95.05", "cuda": "13.0", "gpus": [], "faults": [] }));
    let table = machine.table();
    assert!(table.contains("driver 580.95.05, CUDA 13.0") && table.contains("sees no GPU"), "{table}");
}

#[test]
fn one_card_tells_everything() {
    let scenario = format!(
        "{DRIVER}{}process pid=5000711 memory={}\nprocess pid=5000712\ngraphics pid=33333333 memory=4096\n\
         mps pid={} memory=8192\n",
        card(0),
        9 * GIB,
        std::process::id(),
    );
    let machine = Machine::new(&scenario);
    let own_name = std::env::current_exe().expect("a path").file_name().map(|name| name.to_string_lossy().into_owned());
    let expected = json!({
        "index": 0,
        "uuid": "GPU-0",
        "name": "NVIDIA H100 80GB",
        "lost": false,
        "memory": { "total": 80 * GIB, "used": 10 * GIB, "free": 69 * GIB },
        "utilisation": 90,
        "temperature": 60,
        "power": 512.5,
        "processes": [
            { "pid": std::process::id(), "name": own_name, "memory": 8192 },
            { "pid": 5000711, "name": null, "memory": 9 * GIB },
            { "pid": 5000712, "name": null, "memory": null },
            { "pid": 33333333, "name": null, "memory": 4096 },
        ],
        "mig": null,
    });
    let inventory = machine.json();
    assert_eq!(inventory["gpus"], json!([expected]));
    assert_eq!(inventory["faults"], json!([]));
    let table = machine.table();
    assert!(table.contains("0    NVIDIA H100 80GB  10.0 GiB  69.0 GiB  80.0 GiB  90 %"), "{table}");
    assert!(table.contains("\n0    5000711   9.0 GiB  unknown\n0    5000712   unknown  unknown\n"), "{table}");
}

#[test]
fn eight_cards_keep_the_drivers_order_and_their_own_processes() {
    let mut scenario = DRIVER.to_owned();
    for index in 0..8 {
        scenario += &card(index);
        scenario += &format!("process pid={} memory={GIB}\n", 5_000_100 + index);
    }
    let inventory = Machine::new(&scenario).json();
    let cards = inventory["gpus"].as_array().expect("a list");
    assert_eq!(cards.len(), 8);
    for (index, card) in cards.iter().enumerate() {
        assert_eq!((&card["index"], &card["uuid"]), (&json!(index), &json!(format!("GPU-{index}"))));
        assert_eq!(card["processes"], json!([{ "pid": 5_000_100 + index, "name": null, "memory": GIB }]));
    }
    assert_eq!(inventory["faults"], json!([]));
}

#[test]
fn more_processes_than_anybody_expects_are_all_listed() {
    let pids: Vec<u64> = (1..=40).collect();
    let lines: String = pids.iter().map(|pid| format!("process pid={pid} memory=1\n")).collect();
    let inventory = Machine::new(&format!("{DRIVER}{}{lines}", card(0))).json();
    let listed = inventory["gpus"][0]["processes"].as_array().expect("a list").iter();
    assert!(listed.map(|process| process["pid"].as_u64().expect("a pid")).eq(pids.iter().copied()));
}

#[test]
fn fields_that_a_card_does_not_support_are_unknown_with_one_sentence() {
    let scenario = format!("{DRIVER}gpu uuid=GPU-0 name=Old no_processes=1 temp=40\n{}", card(1));
    let machine = Machine::new(&scenario);
    let inventory = machine.json();
    let old = &inventory["gpus"][0];
    for field in ["memory", "utilisation", "power", "processes", "mig"] {
        assert_eq!(old.get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!((&old["temperature"], &old["lost"]), (&json!(40), &json!(false)));
    assert_eq!(inventory["gpus"][1]["utilisation"], 91);
    assert_eq!(
        fault(&inventory),
        "GPU 0: unknown, because the card or its driver does not support it: memory, utilisation, power, processes"
    );
    assert!(machine.table().contains("Old"));
}

#[test]
fn an_unreadable_field_is_unknown_and_the_drivers_words_are_passed_on() {
    // 999 is NVML_ERROR_UNKNOWN.
    let inventory = Machine::new(&format!("{DRIVER}gpu handle_error=999\n{}", card(1))).json();
    assert_eq!((&inventory["gpus"][0]["uuid"], &inventory["gpus"][0]["lost"]), (&Value::Null, &json!(false)));
    assert_eq!(inventory["gpus"][1]["uuid"], "GPU-1");
    assert!(fault(&inventory).contains("an internal driver error occurred"), "{inventory}");
}

#[test]
fn a_lost_card_is_listed_as_lost_and_the_others_stay() {
    // 15 is NVML_ERROR_GPU_IS_LOST: on the handle, or only once it is asked.
    for gone in ["gpu handle_error=15", "gpu uuid=GPU-1 name=Gone total=5 error=15"] {
        let machine = Machine::new(&format!("{DRIVER}{}{gone}\n{}", card(0), card(2)));
        let inventory = machine.json();
        let cards = inventory["gpus"].as_array().expect("a list");
        assert_eq!(cards.iter().map(|card| &card["lost"]).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!((&cards[1]["index"], &cards[1]["memory"]), (&json!(1), &Value::Null));
        assert_eq!((&cards[0]["uuid"], &cards[2]["uuid"]), (&json!("GPU-0"), &json!("GPU-2")));
        assert!(fault(&inventory).starts_with("GPU 1 is lost: "), "{inventory}");
        assert!(machine.table().contains("1    unknown (lost)"));
    }
}

#[test]
fn mig_instances_are_listed_with_their_memory_and_processes() {
    let scenario = format!(
        "{DRIVER}gpu uuid=GPU-0 name=H100 total=80 used=20 free=60 temp=50 milliwatts=1000 mig=1\n\
         mig slot=1 uuid=MIG-a name=1g.10gb total={} used={} free={}\nprocess pid=5000007 memory={}\n\
         mig slot=4 uuid=MIG-b name=2g.20gb total={} free={}\n{}",
        10 * GIB,
        3 * GIB,
        7 * GIB,
        2 * GIB,
        20 * GIB,
        20 * GIB,
        card(1),
    );
    let machine = Machine::new(&scenario);
    let inventory = machine.json();
    let expected = json!([
        {
            "index": 1, "uuid": "MIG-a", "name": "1g.10gb",
            "memory": { "total": 10 * GIB, "used": 3 * GIB, "free": 7 * GIB },
            "processes": [{ "pid": 5_000_007, "name": null, "memory": 2 * GIB }],
        },
        {
            "index": 4, "uuid": "MIG-b", "name": "2g.20gb",
            "memory": { "total": 20 * GIB, "used": 0, "free": 20 * GIB },
            "processes": [],
        },
    ]);
    assert_eq!(inventory["gpus"][0]["mig"], expected);
    // A card in parts has no utilisation of its own: unknown, and no fault.
    assert_eq!((&inventory["gpus"][0]["utilisation"], &inventory["faults"]), (&Value::Null, &json!([])));
    assert_eq!(inventory["gpus"][1]["mig"], Value::Null);
    let table = machine.table();
    assert!(table.contains("\n0:1  1g.10gb") && table.contains("\n0:1  5000007  2.0 GiB  unknown\n"), "{table}");
}

#[tokio::test]
async fn the_background_reader_sees_what_changes() {
    let machine = Machine::new(&format!("{DRIVER}{}{}", card(0), card(1)));
    let monitor = machine.monitor();
    let first = monitor.refreshed().await;
    assert!(first.known && first.gpus.len() == 2 && first.faults.is_empty(), "{first:?}");
    assert!(monitor.age().is_some());
    machine.becomes(&format!("{DRIVER}{}gpu uuid=GPU-1 error=15\n", card(0)));
    let later = monitor.refreshed().await;
    assert_eq!(later.gpus.iter().map(|gpu| gpu.lost).collect::<Vec<_>>(), [false, true]);
    // A reset brings it back. Nobody asks: the next reading comes by itself.
    machine.becomes(&format!("{DRIVER}{}{}", card(0), card(1)));
    tokio::task::spawn_blocking(move || {
        while *monitor.latest() != *first {
            std::thread::yield_now();
        }
    })
    .await
    .expect("it is seen again");
}

#[tokio::test]
async fn a_driver_that_comes_later_or_is_reloaded_is_found() {
    let machine = Machine::new("driver init=9\n");
    let monitor = machine.monitor();
    assert!(!monitor.refreshed().await.known);
    machine.becomes(&format!("{DRIVER}{}", card(0)));
    assert_eq!(until(&monitor, |inventory| inventory.known).await.gpus.len(), 1);
    machine.becomes("driver count_error=9\n");
    let gone = until(&monitor, |inventory| !inventory.known).await;
    assert!(gone.gpus.is_empty() && gone.faults.len() == 1, "{gone:?}");
    machine.becomes(&format!("{DRIVER}{}", card(0)));
    assert_eq!(until(&monitor, |inventory| inventory.known).await.gpus.len(), 1);
}

#[tokio::test]
async fn a_driver_that_hangs_keeps_nobody_waiting_and_is_told() {
    let machine = Machine::new(&format!("{DRIVER}{}", card(0)));
    let monitor = machine.monitor();
    let before = monitor.refreshed().await;
    machine.becomes(&format!("{}hang=1\n{}", DRIVER.replace('\n', " "), card(0)));
    let old = until(&monitor, |inventory| !inventory.faults.is_empty()).await;
    assert_eq!((&old.gpus, old.known), (&before.gpus, true), "what was known stays");
    assert!(old.faults[0].starts_with("NVIDIA's driver has not answered for more than 200ms"), "{old:?}");
    let age = monitor.age().expect("an age");
    // While it hangs, everything returns at once, and nothing new comes.
    assert_eq!(monitor.refreshed().await, old);
    assert!(monitor.age().expect("an age") > age);
    machine.becomes(&format!("{DRIVER}{}", card(0)));
    assert_eq!(until(&monitor, |inventory| inventory.faults.is_empty()).await.gpus, before.gpus);
    // A reader that hangs does not keep the monitor from ending.
    machine.becomes("driver hang=1\n");
    drop(monitor);
    machine.becomes(DRIVER);
}

#[tokio::test]
async fn memory_that_outlives_its_process_is_held_until_it_is_free() {
    for (unlisted, by_pid) in [("", true), ("unlisted=1", false)] {
        let mut child = Idler::new();
        let (pid, memory) = (child.0.id(), 40 * GIB);
        let machine = Machine::new(&format!("{DRIVER}{}", card(0)));
        let monitor = machine.monitor();
        let before = monitor.refreshed().await;
        let process = format!("process pid={pid} memory={memory} {unlisted}");
        machine.becomes(&format!("{DRIVER}{}{process} lingers=3600\n", card(0)));
        let gpus = ["GPU-0".to_owned()];
        let held = Memories::Held { by: vec![pid], bytes: memory };
        let state = |inventory: &Inventory| freed(inventory, Some(&before), &gpus, &[pid]);
        let running = until(&monitor, |inventory| state(inventory) == held).await;
        assert_eq!(running.gpus[0].memory.map(|memory| memory.used), Some(50 * GIB));
        assert_eq!(running.gpus[0].processes.as_ref().expect("listed")[0].name.as_deref(), Some("cat"));
        child.end();
        let held = Memories::Held { by: if by_pid { vec![pid] } else { vec![] }, bytes: memory };
        assert_eq!(state(&*monitor.refreshed().await), held, "dead, and yet");
        machine.becomes(&format!("{DRIVER}{}{process} lingers=0.05\n", card(0)));
        let after = until(&monitor, |inventory| state(inventory) == Memories::Freed).await;
        assert_eq!(after.gpus, before.gpus);
    }
}

/// Runs `enginehouse check` on the machine.
fn check(machine: &Machine, models: &str) -> (bool, String, String) {
    let file = machine.folder.path().join("gateway.yaml");
    std::fs::write(&file, format!("models:\n{models}")).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_enginehouse"));
    command.arg("check").arg(&file).env("ENGINEHOUSE_NVML", &machine.library).env_remove("NVML_SCENARIO");
    // A vLLM that is installed would be asked for its flags, which is not what is tested here.
    command.env("PATH", machine.folder.path());
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let name = file.display().to_string();
    (output.status.success(), text(output.stdout), text(output.stderr).replace(&name, "gateway.yaml"))
}

/// A machine of four: an idle card, one with a foreign process, one in two parts, one that is lost.
fn mixed(foreign: &Idler) -> Machine {
    let idle = |index: u64| format!("gpu uuid=GPU-{index}a2b3c4d-5e6f name=NVIDIA_H100 total={} mig=0\n", 80 * GIB);
    let part = |slot: u64| {
        format!("mig slot={slot} uuid=MIG-{slot}f00-ba42 name=NVIDIA_H100_MIG_3g.40gb total={}\n", 40 * GIB)
    };
    Machine::new(&format!(
        "{DRIVER}{}{}process pid={} memory={} lingers=1\n{}{}{}gpu uuid=GPU-3a2b error=15\n",
        idle(0),
        idle(1),
        foreign.0.id(),
        35 * GIB,
        idle(2).replace("mig=0", "mig=1"),
        part(0),
        part(1),
    ))
}

#[test]
fn check_prints_which_engine_gets_which_gpus() {
    let foreign = Idler::new();
    let machine = mixed(&foreign);
    let models = "  big: {source: org/big, gpus: 1, gpu_memory: 0.9}\n  small: {source: org/small, gpus: [1], gpu_memory: 0.25, args: {max-model-len: 4096}}\n  tiny: {source: org/tiny, replicas: 2, gpus: [MIG-0f00-ba42, MIG-1f00-ba42]}\n  sim: {source: x, command: [enginehouse, sim], gpus: [1]}\n  cpu: {source: org/cpu}\n";
    let (good, out, err) = check(&machine, models);
    assert!(good, "{err}");
    let table = out.split("\n\n").find(|section| section.starts_with("ENGINE ")).expect("a section");
    let expected = "\
ENGINE   GPU         UUID          NAME                    SHARE    MEMORY    HELD BY OTHERS
big/0    0           GPU-0a2b3c4d  NVIDIA H100             0.90     72.0 GiB  -
small/0  1           GPU-1a2b3c4d  NVIDIA H100             0.25     20.0 GiB  35.0 GiB
tiny/0   2:0         MIG-0f00-ba4  NVIDIA H100 MIG 3g.40gb  0.92     36.8 GiB  -
tiny/1   2:1         MIG-1f00-ba4  NVIDIA H100 MIG 3g.40gb  0.92     36.8 GiB  -
sim/0    1           GPU-1a2b3c4d  NVIDIA H100             unknown  -         35.0 GiB
cpu/0    as visible
";
    let plain =
        |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!(plain(table.split("note: ").next().unwrap_or(table)), plain(expected), "{out}");
}

#[test]
fn check_tells_every_conflict_and_fails() {
    let foreign = Idler::new();
    let machine = mixed(&foreign);
    let models = "  a: {source: org/a, gpus: [0], gpu_memory: 0.9}\n  b: {source: org/b, gpus: [GPU-0a2b], gpu_memory: 0.45}\n  c: {source: org/c, gpus: [1]}\n  d: {source: org/d, gpus: [7]}\n";
    let (good, out, err) = check(&machine, models);
    assert!(!good && out.contains("MODEL"), "the plan is printed all the same: {out}");
    let expected = format!(
        "\
gateway.yaml: 3 errors

models.d.gpus, line 5: a list of 1
    model d: GPU 7 does not exist: this machine has 0-3
    -> List a GPU that exists; `enginehouse gpus` shows them.

models.a.gpus, line 2: a list of 1
    GPU 0: model a takes 0.90, model b asks 0.45; together 1.35, 0.95 is the most
    -> Lower `gpu_memory` of one of them, give them different `gpus`, or have them take turns (`load: on_demand` at each).

models.c.gpus, line 4: a list of 1
    GPU 1: model c takes 0.92, cat (pid {}) holds 35.0 GiB; together 1.36, 0.98 is the most
    -> Lower `gpu_memory`, give other `gpus`, or end what holds the memory.
",
        foreign.0.id()
    );
    assert_eq!(err, expected);
    // On a laptop the same configuration passes, and says what was not looked at.
    let machine = Machine::new("driver init=9\n");
    let (good, out, err) = check(&machine, models);
    assert!(good && out.contains("\nGPUs were not checked on this machine: no GPU is known"), "{out}{err}");
}
