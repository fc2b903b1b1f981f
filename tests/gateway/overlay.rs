//! Models, aliases and callers are added, changed and removed while the gateway serves, and are there after a restart.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::load::Load;
use crate::support::{BINARY, Gateway, Sim, chat, eventually, http};

const FILE: &str = "# All of it\nmodels:\n  m: { source: m, command: [enginehouse, sim] } # the first\n\n# Names\naliases:\n  # Quick\n  quick:\n    \
                    model: m # of course\n    defaults: { seed: 1 }\n";

async fn call(gateway: &Gateway, method: Method, path: &str, body: Option<&str>) -> (u16, Value) {
    let mut request = http().request(method, format!("http://{}/api/v1/{path}", gateway.admin));
    if let Some(body) = body {
        request = request.body(body.to_owned());
    }
    let reply = request.send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

async fn put(gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
    call(gateway, Method::PUT, path, Some(&body.to_string())).await
}

async fn delete(gateway: &Gateway, path: &str) -> (u16, Value) {
    call(gateway, Method::DELETE, path, None).await
}

async fn overlay(gateway: &Gateway) -> Vec<Value> {
    let (status, told) = call(gateway, Method::GET, "overlay", None).await;
    assert_eq!(status, 200, "{told}");
    told["entries"].as_array().cloned().expect("a list")
}

async fn asked(gateway: &Gateway, name: &str) -> u16 {
    gateway.ask(name).await.0
}

fn file(deployment: &Deployment) -> PathBuf {
    deployment.path().join("gateway.yaml")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_comes_changes_and_goes_under_load_and_costs_the_others_no_request() {
    let (deployment, gateway) = Deployment::open(FILE);
    gateway.all_ready().await;
    let load = Load::start(gateway.address, "quick", 4);
    let model = |seed: u64| json!({ "source": "org/new", "command": ["enginehouse", "sim"], "args": { "seed": seed } });
    let (status, report) = put(&gateway, "models/org/new", &model(1)).await;
    assert_eq!((status, &report["cause"]), (201, &json!("entry")), "{report}");
    assert_eq!(report["change"]["models"][0]["name"], "org/new");
    eventually("the new model to answer", async || (asked(&gateway, "org/new").await == 200).then_some(())).await;
    let (status, report) = put(&gateway, "aliases/news", &json!({ "model": "org/new" })).await;
    assert_eq!((status, asked(&gateway, "news").await), (201, 200), "{report}");

    let (status, report) = put(&gateway, "models/org%2Fnew", &model(2)).await;
    assert_eq!((status, &report["change"]["models"][0]["keys"]), (200, &json!(["args"])), "{report}");
    let (status, report) = put(&gateway, "models/org/new", &model(2)).await;
    assert_eq!((status, &report["outcome"]), (200, &json!("unchanged")), "{report}");
    eventually("the changed model to answer", async || {
        let engines = gateway.engines().await;
        let new = engines.iter().find(|engine| engine["model"] == "org/new")?;
        (new["state"] == "ready" && asked(&gateway, "news").await == 200).then_some(())
    })
    .await;
    load.answered(50).await;
    load.stop_unharmed().await;

    // As it is kept, so it comes back.
    let kept = overlay(&gateway).await;
    assert_eq!(kept.iter().map(|entry| &entry["name"]).collect::<Vec<_>>(), ["org/new", "news"]);
    assert!(kept.iter().all(|entry| entry["in_file"] == false && entry.get("errors").is_none()), "{kept:?}");
    let mode = std::fs::metadata(deployment.state().join("overlay.json")).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut gateway = gateway;
    gateway.stop().await;
    let gateway = deployment.gateway();
    gateway.all_ready().await;
    assert_eq!((asked(&gateway, "news").await, overlay(&gateway).await), (200, kept));

    let load = Load::start(gateway.address, "quick", 4);
    let (status, refusal) = delete(&gateway, "models/org/new").await;
    assert_eq!((status, &refusal["errors"][0]["key"]), (422, &json!("aliases.news.model")), "{refusal}");
    assert_eq!(asked(&gateway, "news").await, 200, "nothing was changed");
    for path in ["aliases/news", "models/org/new"] {
        let (status, report) = delete(&gateway, path).await;
        assert_eq!(status, 200, "{report}");
    }
    assert_eq!((asked(&gateway, "news").await, asked(&gateway, "org/new").await), (404, 404));
    assert_eq!((delete(&gateway, "models/org/new").await.0, overlay(&gateway).await), (404, vec![]));
    load.answered(50).await;
    load.stop_unharmed().await;
    eventually("its engine to be gone", async || (gateway.engines().await.len() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_as_by_check_and_changes_nothing() {
    let (deployment, gateway) = Deployment::open(FILE);
    for (path, body, key) in [
        ("aliases/bad", json!({ "model": "mm" }), "aliases.bad.model"),
        ("aliases/bad", json!({ "modle": "m" }), "aliases.bad.modle"),
        ("models/bad", json!({ "source": "s", "gpus": -1 }), "models.bad.gpus"),
        ("models/bad", json!({}), "models.bad"),
        ("callers/bad", json!({ "keys": [] }), "callers.bad.keys"),
        ("callers/bad", json!({ "keys": [""] }), "callers.bad.keys[0]"),
    ] {
        let (status, refusal) = put(&gateway, path, &body).await;
        assert_eq!((status, &refusal["errors"][0]["key"]), (422, &json!(key)), "{path} {body}: {refusal}");
        let (section, name) = path.split_once('/').expect("a path");
        let text = std::fs::read_to_string(file(&deployment)).expect("read");
        let entry = format!("{section}:\n  {name}: {body}\n");
        let whole = match text.contains(&format!("{section}:\n")) {
            true => text.replace(&format!("{section}:\n"), &entry),
            false => format!("{text}{entry}"),
        };
        let other = deployment.path().join("other.yaml");
        std::fs::write(&other, whole).expect("written");
        let check = std::process::Command::new(BINARY).arg("check").arg(&other).output().expect("ran");
        let said = String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
        let message = refusal["errors"][0]["message"].as_str().expect("a message");
        let reason = message.split(". ").next().expect("a sentence");
        assert!(said.contains(reason), "{path} {body}: {message}\n--- check:\n{said}");
    }
    for body in [None, Some(""), Some("[1]"), Some("text"), Some("{")] {
        let (status, refusal) = call(&gateway, Method::PUT, "aliases/bad", body).await;
        assert!(matches!(status, 400 | 422), "{body:?}: {refusal}");
    }
    assert_eq!(call(&gateway, Method::PUT, "aliases/a?persist=disk", Some("{model: m}")).await.0, 400);
    assert_eq!(call(&gateway, Method::POST, "aliases/a", Some("{model: m}")).await.0, 405);
    assert_eq!((overlay(&gateway).await, deployment.state().join("overlay.json").exists()), (vec![], false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_wins_over_the_file_until_it_is_forgotten_and_keeps_no_keys() {
    let (deployment, gateway) = Deployment::open(FILE);
    gateway.all_ready().await;
    assert_eq!(put(&gateway, "aliases/quick", &json!({ "model": "m", "overrides": { "seed": 9 } })).await.0, 200);
    let entry = &overlay(&gateway).await[0];
    assert_eq!((&entry["in_file"], &entry["value"]["overrides"]["seed"]), (&json!(true), &json!(9)), "{entry}");
    let (_, shown) = call(&gateway, Method::GET, "configuration", None).await;
    assert_eq!(shown["aliases"]["quick"]["overrides"]["seed"], 9);
    let (_, alias) = call(&gateway, Method::GET, "aliases/quick", None).await;
    assert_eq!(alias["origin"], "overlay", "{alias}");

    // Removed, although the file has it; and after a restart as well.
    assert_eq!(delete(&gateway, "aliases/quick").await.0, 200);
    assert_eq!(asked(&gateway, "quick").await, 404);
    let mut gateway = gateway;
    gateway.stop().await;
    let gateway = deployment.gateway();
    gateway.all_ready().await;
    assert_eq!((asked(&gateway, "quick").await, delete(&gateway, "aliases/quick").await.0), (404, 404));
    assert_eq!(delete(&gateway, "overlay/aliases/quick").await.0, 200);
    let (_, alias) = call(&gateway, Method::GET, "aliases/quick", None).await;
    assert_eq!((asked(&gateway, "quick").await, &alias["origin"]), (200, &json!("file")));
    assert_eq!(delete(&gateway, "overlay/aliases/quick").await.0, 404);

    let key = "a-key-of-the-bot-that-is-secret";
    assert_eq!(put(&gateway, "callers/bot", &json!({ "keys": [key] })).await.0, 201);
    let kept = std::fs::read_to_string(deployment.state().join("overlay.json")).expect("kept");
    assert!(kept.contains("sha256:") && !kept.contains(key), "{kept}");
    assert_eq!(overlay(&gateway).await[0]["value"], json!({ "keys": ["***"] }));
    let ask = async |key: &str| {
        let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(key).json(&chat("m"));
        request.send().await.expect("answered").status().as_u16()
    };
    assert_eq!((ask(key).await, ask("another-key-of-somebody").await), (200, 401));
    assert_eq!((delete(&gateway, "callers/bot").await.0, ask("another-key-of-somebody").await), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reload_leaves_without_its_model_is_kept_disabled_and_told() {
    let (sim, deployment) = (Sim::start(&["--ttft", "0"]), Deployment::new());
    let other = format!("  other: {{ urls: [\"{}\"] }}\n", sim.url());
    let with = |more: &str| FILE.replace("\n\n# Names", &format!("\n{more}\n# Names"));
    deployment.write(&with(&other), None);
    let gateway = deployment.gateway();
    gateway.wait_ready().await;
    assert_eq!(put(&gateway, "aliases/mine", &json!({ "model": "other" })).await.0, 201);
    assert_eq!(put(&gateway, "aliases/too", &json!({ "model": "mine" })).await.0, 201);
    assert_eq!(put(&gateway, "aliases/fine", &json!({ "model": "m" })).await.0, 201);
    let address = gateway.address;
    deployment.write(&with(""), Some(address));
    let (status, report) = call(&gateway, Method::POST, "reload", None).await;
    let disabled: Vec<_> = report["disabled"].as_array().expect("told").iter().map(|one| &one["name"]).collect();
    assert_eq!((status, disabled), (200, vec![&json!("mine"), &json!("too")]), "{report}");
    assert_eq!((asked(&gateway, "mine").await, asked(&gateway, "fine").await), (404, 200));
    let entries = overlay(&gateway).await;
    assert_eq!((entries.len(), &entries[0]["errors"][0]["key"]), (3, &json!("aliases.mine.model")), "{entries:?}");
    assert!(entries[2].get("errors").is_none(), "{entries:?}");
    assert!(gateway.log().contains("the alias `mine`, which was changed while a gateway ran, does not fit"));
    assert_eq!(gateway.metric("enginehouse_config_overlay_entries").await, 3.0);
    assert_eq!(gateway.metric("enginehouse_config_overlay_disabled_entries").await, 2.0);
    // What is disabled stands in nobody's way, and comes back with its model.
    assert_eq!(put(&gateway, "aliases/fine", &json!({ "model": "m", "hidden": true })).await.0, 200);
    deployment.write(&with(&other), Some(address));
    assert_eq!(call(&gateway, Method::POST, "reload", None).await.0, 200);
    eventually("the alias to be back", async || (asked(&gateway, "too").await == 200).then_some(())).await;
    assert_eq!(gateway.metric("enginehouse_config_overlay_disabled_entries").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_persist_the_file_is_changed_keeps_its_comments_and_is_not_read_again() {
    let (deployment, gateway) = Deployment::open(&format!("watch: true\n{FILE}"));
    gateway.all_ready().await;
    let before = std::fs::read_to_string(file(&deployment)).expect("read");
    let (status, report) = put(&gateway, "aliases/slow?persist=file", &json!({ "model": "m", "hidden": true })).await;
    assert_eq!((status, asked(&gateway, "slow").await), (201, 200), "{report}");
    let text = std::fs::read_to_string(file(&deployment)).expect("read");
    assert_eq!(text, format!("{before}  slow:\n    model: m\n    hidden: true\n"));
    assert_eq!(overlay(&gateway).await, Vec::<Value>::new());
    // A change that was kept in the state directory goes to the file.
    assert_eq!(put(&gateway, "aliases/quick", &json!({ "model": "m", "defaults": { "seed": 2 } })).await.0, 200);
    let (status, report) =
        put(&gateway, "aliases/quick?persist=file", &json!({ "model": "m", "defaults": { "seed": 2 } })).await;
    assert_eq!((status, &report["outcome"]), (200, &json!("unchanged")), "{report}");
    let text = std::fs::read_to_string(file(&deployment)).expect("read");
    assert!(
        text.contains("    model: m # of course\n    defaults:\n      seed: 2\n") && text.contains("  # Quick\n"),
        "{text}"
    );
    assert_eq!(overlay(&gateway).await, Vec::<Value>::new());
    assert_eq!(put(&gateway, "callers/bot?persist=file", &json!({ "keys": ["a-key-of-the-bot"] })).await.0, 201);
    let text = std::fs::read_to_string(file(&deployment)).expect("read");
    assert!(text.contains("sha256:") && !text.contains("a-key-of-the-bot"), "{text}");
    for path in ["callers/bot?persist=file", "aliases/slow?persist=file"] {
        assert_eq!(delete(&gateway, path).await.0, 200);
    }
    assert_eq!(asked(&gateway, "slow").await, 404);

    // The file was never read again for that: the first reload is that of somebody else's change.
    let other = std::fs::read_to_string(file(&deployment)).expect("read").replace("seed: 2", "seed: 3") + "# theirs\n";
    std::fs::write(file(&deployment), other).expect("written");
    eventually("the changed file to be read", async || gateway.log().contains("was reloaded").then_some(())).await;
    assert_eq!(gateway.log().matches("was reloaded").count(), 1, "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_else_changed_is_left_as_it_is_and_so_is_all_where_nothing_can_be_kept() {
    let (deployment, gateway) = Deployment::open(FILE);
    let entry = json!({ "model": "m" });
    let other = std::fs::read_to_string(file(&deployment)).expect("read") + "# theirs\n";
    std::fs::write(file(&deployment), &other).expect("written");
    let (status, refusal) = put(&gateway, "aliases/slow?persist=file", &entry).await;
    let said = refusal["error"]["message"].as_str().expect("a message");
    assert!(
        status == 409 && said.contains("reload the gateway first") && said.contains("persist=file"),
        "{status} {said}"
    );
    assert_eq!(std::fs::read_to_string(file(&deployment)).expect("read"), other);
    assert_eq!(call(&gateway, Method::GET, "aliases/slow", None).await.0, 404, "nothing was changed");

    assert_eq!(put(&gateway, "aliases/slow", &entry).await.0, 201, "it can be kept in the state directory");

    // Nothing can be written where a folder stands in the way: then nothing is changed.
    let path = deployment.state().join("overlay.json");
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("made");
    let (status, refusal) = put(&gateway, "aliases/more", &entry).await;
    assert_eq!((status, call(&gateway, Method::GET, "aliases/more", None).await.0), (507, 404), "{refusal}");
}

/// A bug: it was said that nothing was changed, and the file had been.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_overlay_cannot_be_written_a_change_that_is_to_go_to_the_file_leaves_the_file_as_it_is() {
    let (deployment, gateway) = Deployment::open(FILE);
    gateway.all_ready().await;
    assert_eq!(put(&gateway, "aliases/slow", &json!({ "model": "m" })).await.0, 201);
    let before = std::fs::read_to_string(file(&deployment)).expect("read");
    let in_the_way = deployment.state().join("overlay.json.new");
    std::fs::create_dir(&in_the_way).expect("made");
    let hidden = json!({ "model": "m", "hidden": true });
    let (status, refusal) = put(&gateway, "aliases/slow?persist=file", &hidden).await;
    let said = refusal["error"]["message"].as_str().expect("a message");
    assert!(status == 507 && said.starts_with("Nothing was changed: "), "{status} {said}");
    assert_eq!(std::fs::read_to_string(file(&deployment)).expect("read"), before);
    assert_eq!(overlay(&gateway).await[0]["value"], json!({ "model": "m" }));
    // What needs no overlay goes to the file all the same, and so does this one when the way is free.
    assert_eq!(put(&gateway, "aliases/new?persist=file", &hidden).await.0, 201);
    std::fs::remove_dir(&in_the_way).expect("removed");
    assert_eq!(put(&gateway, "aliases/slow?persist=file", &hidden).await.0, 200);
    assert_eq!(overlay(&gateway).await, Vec::<Value>::new());
    let mut gateway = gateway;
    gateway.stop().await;
    let gateway = deployment.gateway();
    gateway.all_ready().await;
    assert_eq!((asked(&gateway, "slow").await, asked(&gateway, "new").await), (200, 200));
}

/// A bug: gateways whose engines all run elsewhere shared a state directory, and each overwrote what the other kept there.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_gateway_on_a_state_directory_is_refused_also_where_no_engines_run_here() {
    let sim = Sim::start(&["--ttft", "0"]);
    let (deployment, gateway) = Deployment::open(&format!("models: {{ m: {{ urls: [\"{}\"] }} }}\n", sim.url()));
    let (status, said, _) = deployment.refused();
    assert!(!status.success() && said.contains(&format!("(pid {})", gateway.pid())), "{said}");
    assert!(said.contains("stop it first") && said.contains("--state-dir"), "{said}");
    drop(gateway);
    // One that cannot use its state directory at all serves without it.
    std::fs::remove_dir_all(deployment.state()).expect("removed");
    std::fs::write(deployment.state(), "in the way").expect("written");
    let gateway = deployment.gateway();
    gateway.wait_ready().await;
    assert_eq!(asked(&gateway, "m").await, 200);
    assert!(gateway.log().contains("goes on without that folder"), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_and_cannot_be_read_keeps_the_gateway_from_starting() {
    let (deployment, mut gateway) = Deployment::open(FILE);
    gateway.all_ready().await;
    gateway.stop().await;
    for name in ["overlay.json", "orders.json"] {
        let kept = deployment.state().join(name);
        std::os::unix::fs::symlink(name, &kept).expect("a link to itself");
        let (status, said, _) = deployment.refused();
        assert!(!status.success() && said.contains(&format!("{name}` cannot be read: ")), "{said}");
        assert!(said.contains("move the file away"), "{said}");
        std::fs::remove_file(&kept).expect("it is where it was");
    }
}

/// A bug: gateways that were started at the same moment disturbed each other's look whether the directory can be written, and those
/// that thought that it cannot went on without it.
#[test]
fn of_gateways_that_start_at_once_on_a_state_directory_one_serves() {
    let deployment = Deployment::new();
    deployment.write("models: { m: { urls: [\"http://127.0.0.1:9\"], health: off } }\n", None);
    let mut children: Vec<_> = (0..8).map(|_| deployment.command().spawn().expect("started")).collect();
    let lines = children.iter_mut().map(|child| BufReader::new(child.stderr.take().expect("a pipe")).lines());
    let serves = |lines: &mut dyn Iterator<Item = std::io::Result<String>>| {
        lines.map_while(Result::ok).any(|line| line.contains("serving http://"))
    };
    // Those that do not serve end by themselves.
    let served = lines.map(|mut lines| serves(&mut lines)).filter(|served| *served).count();
    for child in &mut children {
        let _ = child.kill();
        child.wait().expect("reaped");
    }
    assert_eq!(served, 1);
}
