//! What is run for engines of all kinds, and what makes two of them the same.

use serde_json::json;

use super::*;
use crate::config::Gpus;
use crate::placement::share;
use crate::secret::Secret;
use crate::supervisor::testing::{model, spawn};

fn run(model: &Model, spawn: &Spawn, replica: usize) -> LaunchCommand {
    launch(
        model,
        spawn,
        gpus(spawn, replica).as_deref(),
        9001,
        Duration::from_secs(30),
        Path::new("/usr/bin/enginehouse"),
    )
}

fn gpus(spawn: &Spawn, replica: usize) -> Option<Vec<String>> {
    match &spawn.gpus {
        Gpus::Listed(gpus) => Some(share(gpus, spawn.replicas, replica).to_vec()),
        Gpus::AsVisible | Gpus::Any(_) => None,
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn args(of: Value) -> Map<String, Value> {
    of.as_object().cloned().expect("an object")
}

#[test]
fn the_least_is_vllm_serve() {
    let launch = run(&model("m"), &spawn(&["vllm", "serve"]), 0);
    assert_eq!(launch.program.path, "vllm");
    assert_eq!(
        launch.program.args,
        words("serve org/model --host 127.0.0.1 --port 9001 --served-model-name m --shutdown-timeout 30")
    );
    assert_eq!(
        launch.program.env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["PYTHONUNBUFFERED=1", "VLLM_HTTP_TIMEOUT_KEEP_ALIVE=75"]
    );
    assert_eq!((launch.program.secrets.len(), launch.program.unset), (0, vec!["VLLM_API_KEY"]));
}

#[test]
fn everything_at_once() {
    let mut model = model("m");
    model.served_name = Some("org/name".into());
    model.api_key = Some(Secret::new("sk-1"));
    let mut spawn = spawn(&["/opt/vllm/bin/vllm", "serve"]);
    spawn.gpus = Gpus::Listed(["0", "1", "2", "3"].map(String::from).into());
    spawn.gpu_memory = Some(0.9);
    spawn.replicas = 2;
    spawn.lora = BTreeMap::from([("sql".into(), "/a/sql".into()), ("odd".into(), "/a/x=y".into())]);
    spawn.env = BTreeMap::from([("CUDA_DEVICE_ORDER".into(), "FASTEST_FIRST".into()), ("A".into(), "b".into())]);
    spawn.args = args(json!({
        "max_model_len": 32768,
        "--enable-prefix-caching": true,
        "enable-chunked-prefill": false,
        "dtype": "bfloat16",
        "seed": -1,
        "middleware": ["a", "b", null],
        "speculative-config": { "method": "ngram", "num_speculative_tokens": 3 },
        "compilation_config.pass_config": "x",
        "quantization": null,
    }));
    let launch = run(&model, &spawn, 1);
    assert_eq!(launch.program.path, "/opt/vllm/bin/vllm");
    assert_eq!(
        launch.program.args,
        words(
            r#"serve org/model --host 127.0.0.1 --port 9001 --served-model-name org/name
                --gpu-memory-utilization 0.9 --tensor-parallel-size 2 --shutdown-timeout 30
                --enable-lora --lora-modules {"name":"odd","path":"/a/x=y"} sql=/a/sql --max-loras 2
                --max-model-len 32768 --enable-prefix-caching --no-enable-chunked-prefill --dtype bfloat16 --seed=-1
                --middleware a b --speculative-config {"method":"ngram","num_speculative_tokens":3}
                --compilation-config.pass_config x"#
        )
    );
    assert_eq!(launch.program.env["CUDA_VISIBLE_DEVICES"], "2,3");
    assert_eq!(launch.program.env["CUDA_DEVICE_ORDER"], "FASTEST_FIRST", "the user's environment wins");
    assert_eq!(launch.program.env["A"], "b");
    assert_eq!(launch.program.secrets[0].0, "VLLM_API_KEY");
    assert!(launch.program.unset.is_empty());
    assert!(!format!("{launch:?}").contains("sk-1"), "a key shows nowhere");
}

#[test]
fn a_vllm_that_is_too_old_for_it_is_started_without_a_timeout_for_its_stop() {
    let mut spawn = spawn(&[]);
    spawn.args = args(json!({ "shutdown_timeout": false }));
    let given = run(&model("m"), &spawn, 0).program.args;
    assert!(!given.iter().any(|word| word.contains("shutdown")), "{given:?}");
}

#[test]
fn what_the_user_sets_is_not_set_again() {
    let mut spawn = spawn(&[]);
    spawn.gpus = Gpus::Listed(["0", "1"].map(String::from).into());
    spawn.gpu_memory = Some(0.5);
    spawn.args = args(json!({
        "pipeline_parallel_size": 2, "gpu_memory_utilization": 0.8, "shutdown-timeout": 5,
        "host": "0.0.0.0", "api_key": "sk-1",
    }));
    assert_eq!(
        run(&model("m"), &spawn, 0).program.args,
        words(
            "serve org/model --host 127.0.0.1 --port 9001 --served-model-name m
                --pipeline-parallel-size 2 --gpu-memory-utilization 0.8 --shutdown-timeout 5"
        )
    );
}

#[test]
fn another_server_gets_no_flags_that_only_vllm_has() {
    let launch = run(&model("m"), &spawn(&["enginehouse", "sim"]), 0);
    assert_eq!(launch.program.path, "/usr/bin/enginehouse");
    assert_eq!(launch.program.args, words("sim org/model --host 127.0.0.1 --port 9001 --served-model-name m"));
    assert_eq!(launch.program.env.len(), 1);
}

#[test]
fn connections_are_reused_for_less_than_the_engine_keeps_them() {
    assert_eq!(keep_alive(&spawn(&["vllm", "serve"])), Some(Duration::from_secs(60)));
    assert_eq!(
        keep_alive(&spawn(&["python", "-m", "vllm.entrypoints.cli.main", "serve"])),
        Some(Duration::from_secs(60))
    );
    assert_eq!(keep_alive(&spawn(&["enginehouse", "sim"])), None);
    let mut own = spawn(&["vllm", "serve"]);
    own.env.insert(KEEP_ALIVE_VARIABLE.into(), "10".into());
    assert_eq!(keep_alive(&own), Some(Duration::from_secs(8)));
}

#[test]
fn what_sleeps_or_takes_adapters_is_told_so() {
    for command in [&["vllm", "serve"][..], &["enginehouse", "sim"]] {
        let mut spawn = spawn(command);
        (spawn.sleep_mode, spawn.takes_lora) = (true, true);
        let launch = run(&model("m"), &spawn, 0);
        let text = launch.program.args.join(" ");
        assert!(text.ends_with("--enable-sleep-mode --enable-lora"), "{text}");
        assert_eq!(
            (&*launch.program.env[DEV_MODE_VARIABLE], &*launch.program.env[RUNTIME_LORA_VARIABLE]),
            ("1", "True")
        );
    }
}

#[test]
fn adapters_have_room() {
    let mut spawn = spawn(&["enginehouse", "sim"]);
    spawn.takes_lora = true;
    spawn.lora = (0..6).map(|n| (n.to_string().into(), format!("/a/{n}"))).collect();
    let text = run(&model("m"), &spawn, 0).program.args.join(" ");
    assert!(text.ends_with("5=/a/5 --max-loras 4 --max-cpu-loras 6"), "{text}");
    spawn.args = args(json!({ "max_loras": 2, "max-lora-rank": 8 }));
    let mut launch = run(&model("m"), &spawn, 0);
    launch.make_room_for_ranks(&[64]);
    assert!(
        launch.program.args.join(" ").ends_with("5=/a/5 --max-loras 2 --max-lora-rank 8"),
        "{:?}",
        launch.program.args
    );
    spawn.args.clear();
    let mut launch = run(&model("m"), &spawn, 0);
    let before = launch.fingerprint();
    launch.make_room_for_ranks(&[8, 33]);
    assert_eq!(launch.program.args[launch.program.args.len() - 2..], ["--max-lora-rank", "64"]);
    assert_ne!(before, launch.fingerprint());
    for (ranks, room) in [(&[][..], None), (&[16], None), (&[17], Some(32)), (&[512], Some(512)), (&[513], None)] {
        assert_eq!(max_lora_rank(ranks), room, "{ranks:?}");
    }
}

#[test]
fn other_programs_are_told_by_placeholders_and_get_nothing_else() {
    let of = |command: &str| {
        let words: Vec<&str> = command.split(' ').collect();
        let mut spawn = spawn(&words);
        spawn.gpus = Gpus::Listed(["2", "3"].map(String::from).into());
        spawn.gpu_memory = Some(0.8);
        spawn.args = args(json!({ "ctx_size": 8192, "jinja": true }));
        run(&model("m"), &spawn, 0).program.args.join(" ")
    };
    assert_eq!(
        of("llama-server -m {source} --host {host} --port {port} --alias {name}"),
        "-m org/model --host 127.0.0.1 --port 9001 --alias m --ctx-size 8192 --jinja"
    );
    assert_eq!(
        of("python -m sglang.launch_server --model-path {source} --port {port} --mem-fraction-static {gpu_memory}"),
        "-m sglang.launch_server --model-path org/model --port 9001 --mem-fraction-static 0.8 --ctx-size 8192 --jinja"
    );
    assert_eq!(
        of(r#"docker run --gpus "device={gpus}" -p {host}:{port}:8000 image --model {source}"#),
        r#"run --gpus "device=2,3" -p 127.0.0.1:9001:8000 image --model org/model --ctx-size 8192 --jinja"#
    );
}

#[test]
fn vllm_in_a_container_gets_vllms_flags() {
    let command = "docker run --rm --network=host -e VLLM_API_KEY vllm/vllm-openai:v0.32.0";
    let launch = run(&model("m"), &spawn(&command.split(' ').collect::<Vec<_>>()), 0);
    let text = launch.program.args.join(" ");
    assert!(
        text.ends_with("v0.32.0 org/model --host 127.0.0.1 --port 9001 --served-model-name m --shutdown-timeout 30")
    );
}

#[test]
fn a_fingerprint_is_of_what_is_wanted_and_not_of_where_it_runs() {
    let mut model = model("m");
    model.api_key = Some(Secret::new("sk-1"));
    let mut spawn = spawn(&["vllm", "serve"]);
    spawn.args = args(json!({ "a": 1, "b": { "c": 1, "d": 2 } }));
    let of = |model: &Model, spawn: &Spawn, gpus: &[&str], port| {
        let gpus: Vec<String> = gpus.iter().map(ToString::to_string).collect();
        launch(model, spawn, Some(&gpus), port, Duration::from_secs(30), Path::new("/e"))
    };
    let base = of(&model, &spawn, &["0"], 1);
    let print = base.fingerprint();
    assert!(print.len() == 64 && print.bytes().all(|byte| byte.is_ascii_hexdigit()), "{print}");
    // Pinned: a record that an older build wrote must match as long as nothing changed.
    assert_eq!(print, "a3a90249e6c2d86e8857e0d06e197699a1687ee3bb03410c17f08eb0af8b1b69");

    let mut moved = of(&model, &spawn, &["GPU-7"], 2);
    moved.program.env.insert("ENGINEHOUSE_SPAWN".into(), "x".into());
    assert_eq!(print, moved.fingerprint());
    let mut reordered = spawn.clone();
    reordered.args = args(json!({ "b": { "d": 2, "c": 1 }, "a": 1 }));
    assert_eq!(print, of(&model, &reordered, &["0"], 1).fingerprint());

    let mut seen = vec![print];
    let mut differs = |what: &str, launch: LaunchCommand| {
        let print = launch.fingerprint();
        assert!(!seen.contains(&print), "{what}");
        seen.push(print);
    };
    type Change = fn(&mut Model, &mut Spawn);
    let changes: [(&str, Change); 9] = [
        ("key", |model, _| model.api_key = Some(Secret::new("sk-2"))),
        ("no key", |model, _| model.api_key = None),
        ("name", |model, _| model.served_name = Some("n".into())),
        ("source", |_, spawn| spawn.source = "o".into()),
        ("program", |_, spawn| spawn.command[0] = "/opt/vllm".into()),
        ("flag", |_, spawn| drop(spawn.args.insert("a".into(), json!(2)))),
        ("variable", |_, spawn| drop(spawn.env.insert("A".into(), "b".into()))),
        ("other variable", |_, spawn| drop(spawn.env.insert("Ab".into(), String::new()))),
        ("adapter", |_, spawn| drop(spawn.lora.insert("l".into(), "/l".into()))),
    ];
    for (what, change) in changes {
        let (mut model, mut spawn) = (model.clone(), spawn.clone());
        change(&mut model, &mut spawn);
        differs(what, of(&model, &spawn, &["0"], 1));
    }
    differs("more GPUs", of(&model, &spawn, &["0", "1"], 1));
    let mut own = spawn.clone();
    own.env.insert(GPUS_VARIABLE.into(), "3".into());
    differs("GPUs of the user's", launch(&model, &own, None, 1, Duration::from_secs(30), Path::new("/e")));
    let mut unset = base.clone();
    unset.program.unset = vec!["X"];
    differs("unset", unset);
}

#[test]
fn a_template_has_one_fingerprint_on_every_port() {
    let spawn = spawn(&["x", "--listen=:{port}", "--devices", "{gpus}"]);
    let on = |port, gpus: &str| {
        let gpus = [gpus.to_owned()];
        launch(&model("m"), &spawn, Some(&gpus), port, Duration::ZERO, Path::new("/e")).fingerprint()
    };
    assert_eq!(on(1, "0"), on(2, "1"));
}
