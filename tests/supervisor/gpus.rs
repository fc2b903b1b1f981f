//! GPUs end to end: the real binary over a stand-in for NVIDIA's library, with simulated engines as its children.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, model};
use crate::support::machine::{DRIVER, GIB, Idler, Machine};
use crate::support::processes;
use crate::support::{BINARY, Gateway, eventually, http};

/// What nobody should have to wait for: an answer that needs no driver.
const AT_ONCE: Duration = Duration::from_secs(1);

/// An idle card of 80 GiB, and `more` about it; lines that follow are of its processes.
fn idle(index: u64, more: &str) -> String {
    format!(
        "gpu uuid=GPU-{index}a2b3c4d name=NVIDIA_H100 total={} used=0 free={} util=25 temp=40 milliwatts=70500 mig=0 {more}\n",
        80 * GIB,
        80 * GIB
    )
}

/// So many idle cards.
fn cards(count: u64) -> String {
    (0..count).fold(DRIVER.to_owned(), |all, index| all + &idle(index, ""))
}

/// A process on the card above; its memory stays for `lingers` seconds after its end.
fn process(pid: u32, gib: u64, lingers: u64) -> String {
    format!("process pid={pid} memory={} lingers={lingers}\n", gib * GIB)
}

/// The next gateway of `deployment` on `machine`.
fn gateway(deployment: &Deployment, machine: &Machine) -> Gateway {
    let mut command = deployment.command();
    machine.prepare(&mut command);
    Gateway::of(command)
}

/// A deployment of `models` on a machine that is as `scenario` says.
fn open(scenario: &str, models: &[String]) -> (Machine, Deployment, Gateway) {
    let (machine, deployment) = (Machine::new(scenario), Deployment::new());
    deployment.write(&format!("models:\n{}", models.concat()), None);
    let gateway = gateway(&deployment, &machine);
    (machine, deployment, gateway)
}

/// A variable of a process.
fn env(pid: u32, name: &str) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).expect("it runs");
    let text = String::from_utf8_lossy(&environ).into_owned();
    text.split('\0')
        .find_map(|pair| Some(pair.split_once('=')?.1.to_owned()).filter(|_| pair.starts_with(&format!("{name}="))))
}

/// The GPUs that the processes of these engines see, one string each.
async fn seen(gateway: &Gateway, engines: &[&str]) -> Vec<String> {
    let mut all = vec![];
    for engine in engines {
        let pid = ready(gateway, engine).await;
        assert_eq!(env(pid, "CUDA_DEVICE_ORDER").as_deref(), Some("PCI_BUS_ID"), "{engine}");
        let visible = env(pid, "CUDA_VISIBLE_DEVICES").unwrap_or_else(|| panic!("{engine} was given no GPUs"));
        let told = &gateway.engine(engine).await["gpus"];
        assert_eq!(*told, json!(visible.split(',').collect::<Vec<_>>()), "{engine}: what the API tells");
        all.push(visible);
    }
    all
}

/// Waits until the engine is ready; its process.
async fn ready(gateway: &Gateway, engine: &str) -> u32 {
    eventually(&format!("{engine} to be ready"), async || {
        let engine = gateway.engine(engine).await;
        engine["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|_| engine["state"] == "ready")
    })
    .await
}

/// Waits until the engine has failed for a reason that says all `words`; what the API says of it then.
async fn failed(gateway: &Gateway, engine: &str, words: &[&str]) -> Value {
    eventually(&format!("{engine} to fail with {words:?}"), async || {
        let engine = gateway.engine(engine).await;
        let detail = engine["detail"].as_str().unwrap_or_default().to_owned();
        (engine["state"] == "failed" && words.iter().all(|word| detail.contains(word))).then_some(engine)
    })
    .await
}

/// Waits until callers of `model` hear all `words`.
async fn told(gateway: &Gateway, model: &str, words: &[&str]) {
    eventually(&format!("callers of {model} to hear {words:?}"), async || {
        let (status, answer) = gateway.ask(model).await;
        assert_eq!(status, 503, "{answer}");
        let text = answer["error"]["message"].as_str().expect("a message");
        words.iter().all(|word| text.contains(word)).then_some(())
    })
    .await;
}

/// `PUT …/replicas`: status and answer.
async fn scale(gateway: &Gateway, model: &str, replicas: usize) -> (u16, Value) {
    let url = format!("http://{}/api/v1/models/{model}/replicas", gateway.admin);
    let reply = http().put(url).json(&json!({ "replicas": replicas })).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

async fn gpus(gateway: &Gateway) -> Value {
    let url = format!("http://{}/api/v1/gpus", gateway.admin);
    http().get(url).send().await.expect("answered").json().await.expect("JSON")
}

async fn metrics(gateway: &Gateway) -> String {
    let url = format!("http://{}/metrics", gateway.admin);
    http().get(url).send().await.expect("answered").text().await.expect("text")
}

/// Fails when `promtool` has something to say about these metrics.
fn lint(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        println!("skipped: promtool is not installed (Debian: apt-get install prometheus)");
        return;
    };
    promtool.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("ended");
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

/// Fails unless the gateway stops in time and leaves nothing.
async fn close(deployment: &Deployment, mut gateway: Gateway) {
    let took = gateway.stop().await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_get_gpus_of_their_own_and_the_api_tells_which() {
    let (_machine, deployment, gateway) = open(&cards(2), &[model("two", "gpus: 1, replicas: 2")]);
    let mut given = seen(&gateway, &["two/0", "two/1"]).await;
    let inventory = gpus(&gateway).await;
    for (engine, gpu) in ["two/0", "two/1"].iter().zip(&given) {
        let at: usize = gpu.parse().expect("an index");
        assert_eq!(inventory["gpus"][at]["engines"], json!([engine]));
    }
    given.sort();
    assert_eq!(given, ["0", "1"]);
    // Otherwise it is what `enginehouse gpus --json` prints.
    assert_eq!(inventory["gpus"][1]["memory"]["total"], 80 * GIB);
    assert_eq!((&inventory["driver"], &inventory["faults"]), (&json!("580.95.05"), &json!([])));
    assert!(inventory["age_seconds"].as_f64().is_some_and(|age| age < 60.0), "{inventory}");
    // And in the metrics.
    let text = metrics(&gateway).await;
    for (name, value) in [
        ("memory_total_bytes", "85899345920"),
        ("memory_used_bytes", "0"),
        ("utilization_ratio", "0.25"),
        ("temperature_celsius", "40"),
        ("power_watts", "70.5"),
        ("lost", "0"),
    ] {
        let line = format!("enginehouse_gpu_{name}{{gpu=\"1\",name=\"NVIDIA H100\",uuid=\"GPU-1a2b3c4d\"}} {value}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    lint(&text);
    close(&deployment, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gpus_are_chosen_by_room_and_listed_ones_are_taken_as_written() {
    let foreign = Idler::new();
    let holds = |gib| process(foreign.0.id(), gib, 0);
    let scenario =
        format!("{DRIVER}{}{}{}{}{}{}", idle(0, ""), holds(60), idle(1, ""), idle(2, ""), holds(30), idle(3, ""));
    let models = [
        model("pair", "gpus: 2, gpu_memory: 0.5"),
        model("index", "gpus: [2], gpu_memory: 0.3"),
        model("uuid", "gpus: [GPU-0a2b3c4d], gpu_memory: 0.2"),
        model("share", "gpus: [1, 3], gpu_memory: 0.45"),
        model("visible", ""),
    ];
    let (_machine, deployment, gateway) = open(&scenario, &models);
    let given = seen(&gateway, &["pair/0", "index/0", "uuid/0", "share/0"]).await;
    // Two shares of 0.5 and 0.45 on 1 and 3.
    assert_eq!(given, ["1,3", "2", "GPU-0a2b3c4d", "1,3"]);
    let visible = ready(&gateway, "visible/0").await;
    assert_eq!(
        (env(visible, "CUDA_VISIBLE_DEVICES"), &gateway.engine("visible/0").await["gpus"]),
        (None, &Value::Null)
    );
    let inventory = gpus(&gateway).await;
    assert_eq!(inventory["gpus"][3]["engines"], json!(["pair/0", "share/0"]));
    assert_eq!(inventory["gpus"][0]["engines"], json!(["uuid/0"]));
    close(&deployment, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_process_is_avoided_or_named_until_it_ends() {
    let foreign = Idler::new();
    let pid = foreign.0.id();
    let there = format!("{DRIVER}{}{}{}", idle(0, ""), process(pid, 56, 0), idle(1, ""));
    let restart = "restart: { initial_backoff: 50ms, max_backoff: 200ms, crashes: 1000, within: 1m }";
    let models = [
        model("free", "gpus: 1, gpu_memory: 0.9"),
        model("must", &format!("gpus: [0], gpu_memory: 0.9, {restart}")),
        model("none", &format!("gpus: 1, gpu_memory: 0.9, {restart}")),
    ];
    let (machine, deployment, gateway) = open(&there, &models);
    assert_eq!(seen(&gateway, &["free/0"]).await, ["1"]);
    let who = format!("cat (pid {pid})");
    for name in ["must", "none"] {
        let words = ["GPU 0", who.as_str(), "56.0 GiB"];
        let engine = failed(&gateway, &format!("{name}/0"), &words).await;
        assert_eq!((&engine["gpus"], &engine["pid"]), (&json!([]), &Value::Null));
        told(&gateway, name, &words).await;
    }
    assert_eq!(gateway.ask("free").await.0, 200);
    machine.becomes(&cards(2));
    // Both want it, and there is room for one.
    eventually("one of them to be ready", async || {
        let states = [gateway.engine("must/0").await, gateway.engine("none/0").await];
        states.into_iter().find(|engine| engine["state"] == "ready")
    })
    .await;
    eventually("the other one to be told who has it", async || {
        let states = [gateway.engine("must/0").await, gateway.engine("none/0").await];
        let detail = |engine: &Value| engine["detail"].as_str().unwrap_or_default().to_owned();
        let takes = |engine: &Value| detail(engine).contains("takes 0.90");
        let running = states.iter().filter(|engine| engine["pid"].is_u64()).count();
        assert!(running <= 1, "two engines on one GPU: {states:?}");
        states.iter().any(takes).then_some(())
    })
    .await;
    close(&deployment, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_waits_for_memory_that_is_freed_late_but_not_for_ever() {
    let restart = "gpu_memory: 0.5, restart: { initial_backoff: 50ms }";
    let (machine, deployment, gateway) = open(
        &cards(2),
        &[model("late", &format!("gpus: [0], {restart}")), model("never", &format!("gpus: [1], {restart}"))],
    );
    let (late, never) = (ready(&gateway, "late/0").await, ready(&gateway, "never/0").await);
    let scenario =
        format!("{DRIVER}{}{}{}{}", idle(0, ""), process(late, 40, 2), idle(1, ""), process(never, 40, 3600));
    machine.becomes(&scenario);
    eventually("what they hold to be seen", async || {
        let used = |at: usize, inventory: &Value| inventory["gpus"][at]["memory"]["used"] == 40 * GIB;
        let inventory = gpus(&gateway).await;
        (used(0, &inventory) && used(1, &inventory)).then_some(())
    })
    .await;
    processes::kill(late);
    processes::kill(never);
    let since = Instant::now();
    gateway.ready_again("late/0", late).await;
    let took = since.elapsed();
    assert!((2..9).contains(&took.as_secs()), "2 s after the end its memory is free: {took:?}");
    gateway.ready_again("never/0", never).await;
    let took = since.elapsed();
    assert!((10..20).contains(&took.as_secs()), "nobody waits longer than 10 s: {took:?}");
    let log = gateway.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("GPU memory is not free yet")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("never/0"), "{warnings:?}");
    close(&deployment, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_gpu_is_lost_gets_another_unless_that_one_was_listed() {
    let restart = "restart: { initial_backoff: 50ms, max_backoff: 100ms, crashes: 1000, within: 1m }, gpu_memory: 0.4";
    let models = [
        model("listed", &format!("gpus: [1], {restart}")),
        model("any", &format!("gpus: 1, {restart}")),
        model("other", "gpus: [0], gpu_memory: 0.5"),
    ];
    let (machine, deployment, gateway) = open(&cards(2), &models);
    // There is more room beside `listed` than beside `other`.
    assert_eq!(seen(&gateway, &["listed/0", "any/0", "other/0"]).await, ["1", "1", "0"]);
    let (listed, any) = (gateway.engine_pid("listed/0").await, gateway.engine_pid("any/0").await);
    machine.becomes(&format!("{DRIVER}{}gpu uuid=GPU-1 error=15\n", idle(0, "")));
    processes::kill(listed);
    processes::kill(any);
    failed(&gateway, "listed/0", &["GPU 1 is lost"]).await;
    told(&gateway, "listed", &["GPU 1 is lost"]).await;
    gateway.ready_again("any/0", any).await;
    // Where one is lost, indices may mean another card.
    assert_eq!(seen(&gateway, &["any/0"]).await, ["GPU-0a2b3c4d"]);
    assert_eq!(gateway.ask("other").await.0, 200);
    let text = metrics(&gateway).await;
    assert!(text.contains("enginehouse_gpu_lost{gpu=\"1\",name=\"\",uuid=\"\"} 1\n"), "{text}");
    assert!(!text.contains("enginehouse_gpu_memory_used_bytes{gpu=\"1\""), "unknown is left out: {text}");
    lint(&text);
    assert_eq!(said(&gateway, "GPU 1 is lost: ").len(), 1, "once, not with every reading");
    // A reset brings it back.
    machine.becomes(&cards(2));
    assert_eq!(seen(&gateway, &["listed/0"]).await, ["1"]);
    close(&deployment, gateway).await;
}

/// Lines of the log with `words` by whoever reads the driver.
fn said(gateway: &Gateway, words: &str) -> Vec<String> {
    let log = gateway.log();
    let lines = log.lines().filter(|line| line.contains("inventory::monitor") && line.contains(words));
    lines.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_hangs_keeps_nobody_waiting() {
    let hangs = cards(2).replacen('\n', " hang=1\n", 1);
    let models = [
        model("plain", "args: { tokens: 3 }"),
        model("listed", "gpus: [0]"),
        model("any", "gpus: 1, restart: { initial_backoff: 50ms, max_backoff: 200ms, crashes: 1000, within: 1m }"),
    ];
    let since = Instant::now();
    let (machine, deployment, gateway) = open(&hangs, &models);
    let built = gateway.started.duration_since(since);
    assert!(since.elapsed() - built < Duration::from_secs(2), "{:?}", since.elapsed() - built);
    ready(&gateway, "plain/0").await;
    let since = Instant::now();
    assert_eq!(gateway.ask("plain").await.0, 200);
    assert!(metrics(&gateway).await.contains("enginehouse_engine_up"));
    let inventory = gpus(&gateway).await;
    assert_eq!((&inventory["gpus"], &inventory["age_seconds"]), (&json!([]), &Value::Null));
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    // What needs no choice is taken as it is written, once the driver is given up.
    assert_eq!(seen(&gateway, &["listed/0"]).await, ["0"]);
    failed(&gateway, "any/0", &["has not answered", "List them"]).await;
    // Then it answers again.
    machine.becomes(&cards(2));
    seen(&gateway, &["any/0"]).await;
    assert_eq!(said(&gateway, "has not answered for more than").len(), 2, "when it came and when it went");
    assert_eq!(said(&gateway, "no longer so: ").len(), 1);
    // And hangs once more, when all is to end.
    machine.becomes(&hangs);
    let pid = gateway.engine_pid("plain/0").await;
    processes::kill(pid);
    gateway.ready_again("plain/0", pid).await;
    close(&deployment, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_stopped_while_it_waits_for_the_driver_stops() {
    let hangs = cards(1).replacen('\n', " hang=1\n", 1);
    let (_machine, deployment, gateway) = open(&hangs, &[model("any", "gpus: 1")]);
    assert_eq!(gateway.engine("any/0").await["pid"], Value::Null);
    let mut gateway = gateway;
    let took = gateway.stop().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    deployment.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_driver_listed_gpus_are_taken_as_they_are() {
    let deployment = Deployment::new();
    let models = [model("listed", "gpus: [0]"), model("any", "gpus: 1, restart: off"), model("plain", "")];
    deployment.write(&format!("models:\n{}", models.concat()), None);
    let mut command = deployment.command();
    command.env("ENGINEHOUSE_NVML", "/no/such/libnvidia-ml.so.1");
    let gateway = Gateway::of(command);
    assert_eq!(seen(&gateway, &["listed/0"]).await, ["0"]);
    ready(&gateway, "plain/0").await;
    let words = ["no NVIDIA driver was found", "List them, such as `gpus: [0]`"];
    failed(&gateway, "any/0", &words).await;
    told(&gateway, "any", &words).await;
    let inventory = gpus(&gateway).await;
    assert_eq!(inventory["gpus"], json!([]));
    assert!(inventory["faults"][0].as_str().is_some_and(|fault| fault.contains("/no/such/")), "{inventory}");
    close(&deployment, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_goes_as_far_as_there_is_room_and_says_who_has_it() {
    let models = [
        model("own", "gpus: 1, gpu_memory: 0.7"),
        model("other", "gpus: [2], gpu_memory: 0.9"),
        model("listed", "gpus: [3], gpu_memory: 0.4"),
    ];
    let (_machine, deployment, gateway) = open(&cards(4), &models);
    let before = seen(&gateway, &["own/0", "other/0", "listed/0"]).await;
    let pids = gateway.all_ready().await;
    let (status, answer) = scale(&gateway, "own", 2).await;
    assert_eq!(status, 200, "{answer}");
    let mut given = seen(&gateway, &["own/0", "own/1"]).await;
    assert_eq!(given[0], before[0], "what runs stays");
    given.sort();
    assert_eq!(given, ["0", "1"]);
    let (status, answer) = scale(&gateway, "own", 3).await;
    let text = answer["error"]["message"].as_str().expect("a message");
    assert_eq!(status, 409, "{answer}");
    for word in
        ["GPU 0: model own takes 0.70", "GPU 1: model own", "GPU 2: model other takes 0.90", "GPU 3: model listed"]
    {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(gateway.engines().await.len(), 4, "nothing came of it");
    // Listed ones are shared by further engines as far as that goes.
    let (status, answer) = scale(&gateway, "listed", 2).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(seen(&gateway, &["listed/0", "listed/1"]).await, ["3", "3"]);
    let (status, answer) = scale(&gateway, "listed", 3).await;
    assert_eq!(status, 409, "{answer}");
    assert!(
        answer["error"]["message"].as_str().is_some_and(|text| text.contains("GPU 3: model listed takes 0.40")),
        "{answer}"
    );
    let now = gateway.all_ready().await;
    assert!(pids.iter().all(|pid| now.contains(pid)), "what ran still runs");
    close(&deployment, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_over_keeps_its_gpus_and_the_new_is_placed_around_it() {
    let old = [model("old", "gpus: 1, gpu_memory: 0.9"), model("pair", "gpus: [GPU-2a2b3c4d, 3], gpu_memory: 0.5")];
    let (machine, deployment, mut first) = open(&cards(4), &old);
    let given = seen(&first, &["old/0", "pair/0"]).await;
    let pids = first.all_ready().await;
    // Their memory is no foreign process's, for the next gateway as for `check`.
    let mut scenario = DRIVER.to_owned();
    for index in 0..4 {
        scenario += &idle(index, "");
        if index >= 2 {
            scenario += &process(pids[1], 38, 0);
        } else if given[0] == index.to_string() {
            scenario += &process(pids[0], 70, 0);
        }
    }
    machine.becomes(&scenario);
    let (good, out, err) = check(&deployment, &machine);
    assert!(good && out.contains("old/0"), "{out}{err}");
    assert!(!out.contains("70.0 GiB") && !out.contains("38.0 GiB"), "its own engines are no foreign processes: {out}");
    first.kill();
    let new = model("new", "gpus: 1, gpu_memory: 0.9");
    deployment.write(&format!("models:\n{new}{}", old.concat()), None);
    let second = gateway(&deployment, &machine);
    let mut all = seen(&second, &["old/0", "pair/0", "new/0"]).await;
    assert_eq!(&all[..2], &given, "as they were");
    assert_eq!([second.engine_pid("old/0").await, second.engine_pid("pair/0").await], [pids[0], pids[1]]);
    all.remove(1);
    all.sort();
    assert_eq!(all, ["0", "1"]);
    close(&deployment, second).await;
}

/// Runs `enginehouse check`: whether it is content, and what it says.
fn check(deployment: &Deployment, machine: &Machine) -> (bool, String, String) {
    let mut command = Command::new(BINARY);
    let file = deployment.path().join("gateway.yaml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    if !text.contains("state_dir:") {
        let mut text = text;
        let _ = writeln!(text, "state_dir: {}", deployment.state().display());
        std::fs::write(&file, text).expect("written");
    }
    command.arg("check").arg(file).env("ENGINEHOUSE_NVML", &machine.library).env_remove("NVML_SCENARIO");
    let output = command.env("PATH", machine.folder.path()).output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_no_longer_wants_gives_its_gpu_to_what_it_wants() {
    let own = |tokens: usize| model("own", &format!("gpus: 1, gpu_memory: 0.9, args: {{ tokens: {tokens} }}"));
    let (machine, deployment, mut first) = open(&cards(1), &[own(3)]);
    let pid = ready(&first, "own/0").await;
    // It holds its memory until a second after its end.
    machine.becomes(&format!("{DRIVER}{}{}", idle(0, ""), process(pid, 70, 1)));
    first.kill();
    deployment.write(&format!("models:\n{}", own(4)), None);
    let second = gateway(&deployment, &machine);
    assert_eq!(seen(&second, &["own/0"]).await, ["0"]);
    assert!(!processes::lives(pid));
    assert!(!second.log().contains("failed"), "placed once there is room: {}", second.log());
    close(&deployment, second).await;
}
