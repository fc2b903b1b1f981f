//! What operators have engines do while callers go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Gateway, chat, eventually, group_members, http};

const POST: Method = Method::POST;

fn model(name: &str, more: &str) -> String {
    format!("  {name}: {{ source: {name}, command: [enginehouse, sim], {more} }}\n")
}

/// A gateway with one model whose engines are all ready.
async fn start(name: &str, more: &str) -> Gateway {
    let gateway = Gateway::ready(&format!("models:\n{}", model(name, more))).await;
    all_ready(&gateway).await;
    gateway
}

async fn all_ready(gateway: &Gateway) {
    eventually("all engines", || async {
        gateway.engines().await.iter().all(|engine| engine["state"] == "ready").then_some(())
    })
    .await;
}

/// What the operators' API answers.
async fn api(gateway: &Gateway, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = http().request(method, format!("http://{}/api/v1/{path}", gateway.admin));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let reply = request.send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

async fn order(gateway: &Gateway, path: &str) -> Value {
    let (status, answer) = api(gateway, POST, path, None).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer["engines"].clone()
}

fn states(engines: &Value) -> Vec<&str> {
    engines.as_array().expect("a list").iter().map(|engine| engine["state"].as_str().expect("a word")).collect()
}

async fn ask(gateway: &Gateway, model: &str) -> (u16, Value) {
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&chat(model)).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

async fn served(gateway: &Gateway) -> Vec<String> {
    let list: Value = http().get(gateway.url("/v1/models")).send().await.expect("answered").json().await.expect("JSON");
    let cards = list["data"].as_array().expect("list");
    cards.iter().map(|card| card["id"].as_str().expect("a name").to_owned()).collect()
}

/// What an engine itself says.
async fn engine_says(engine: &Value, path: &str) -> Value {
    let url = format!("{}{path}", engine["url"].as_str().expect("a URL"));
    http().get(url).send().await.expect("engine").json().await.expect("JSON")
}

/// Callers that ask one question after the other.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<BTreeMap<String, usize>>>,
}

impl Load {
    fn on(gateway: &Gateway, model: &str) -> Self {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let caller = |_| {
            let (stop, answers) = (stop.clone(), answers.clone());
            let (url, body) = (gateway.url("/v1/chat/completions"), chat(model));
            tokio::spawn(async move {
                let (http, mut seen) = (http(), BTreeMap::new());
                while !stop.load(Ordering::SeqCst) {
                    let what = match http.post(&url).json(&body).send().await {
                        Ok(reply) if reply.status() == 200 => match reply.bytes().await {
                            Ok(_) => "200".to_owned(),
                            Err(error) => error.to_string(),
                        },
                        Ok(reply) => format!("{}: {}", reply.status(), reply.text().await.unwrap_or_default()),
                        Err(error) => error.to_string(),
                    };
                    *seen.entry(what).or_insert(0) += 1;
                    answers.fetch_add(1, Ordering::SeqCst);
                }
                seen
            })
        };
        Self { callers: (0..8).map(caller).collect(), stop, answers }
    }

    /// Returns when it has seen a good deal more.
    async fn goes_on(&self) {
        let before = self.answers.load(Ordering::SeqCst);
        eventually("callers to be answered", || async {
            (self.answers.load(Ordering::SeqCst) >= before + 24).then_some(())
        })
        .await;
    }

    /// Ends it; asserts that every answer was good, and that there were some.
    async fn all_was_well(self) {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            let seen = caller.await.expect("a caller");
            assert!(seen.len() == 1 && seen.contains_key("200"), "{seen:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_model_says_so_until_it_is_started() {
    let gateway = start("org/own", "").await;
    // Slashes as they are and encoded.
    assert_eq!(states(&order(&gateway, "engines/org/own/0/stop").await), ["stopped"]);
    let (status, error) = ask(&gateway, "org/own").await;
    assert_eq!((status, &error["error"]["code"]), (503, &json!("model_stopped")), "{error}");
    assert_eq!(
        gateway.metric("enginehouse_engine_state{engine=\"org/own/0\",model=\"org/own\",state=\"stopped\"}").await,
        1.0
    );
    assert_eq!(states(&order(&gateway, "models/org%2Fown/start").await), ["ready"]);
    assert_eq!(ask(&gateway, "org/own").await.0, 200);
    let (status, engine) = api(&gateway, Method::GET, "engines/org%2Fown%2F0", None).await;
    assert_eq!(
        (status, &engine["restarts"], &engine["replica"], &engine["ours"]),
        (200, &json!(1), &json!(0), &json!(true))
    );
    assert!(engine["start_seconds"].as_f64().is_some_and(|took| took > 0.0), "{engine}");
    assert!(engine["log_file"].as_str().is_some_and(|file| std::path::Path::new(file).is_file()), "{engine}");
    let labels = "{engine=\"org/own/0\",model=\"org/own\"}";
    let ordered = "enginehouse_engine_restarts_total{cause=\"ordered\",engine=\"org/own/0\",model=\"org/own\"}";
    assert_eq!(gateway.metric(ordered).await, 1.0);
    assert!(gateway.metric(&format!("enginehouse_engine_start_duration_seconds{labels}")).await > 0.0);
    let (_, models) = api(&gateway, Method::GET, "models", None).await;
    assert_eq!((&models["models"][0]["model"], &models["models"][0]["ready_replicas"]), (&json!("org/own"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_waits_for_is_carried_out() {
    let gateway = start("own", "").await;
    let (status, answer) = api(&gateway, POST, "models/own/stop?wait=false", None).await;
    assert_eq!(status, 202, "{answer}");
    eventually("the stop", || async { (gateway.engines().await[0]["state"] == "stopped").then_some(()) }).await;
    // The operator hangs up at once.
    let url = format!("http://{}/api/v1/models/own/start", gateway.admin);
    let waiting = tokio::spawn(http().post(url).send());
    eventually("the start to begin", || async { (gateway.engines().await[0]["state"] == "starting").then_some(()) })
        .await;
    waiting.abort();
    all_ready(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_one_of_two_and_a_roll_fail_no_request() {
    let gateway = start("own", "replicas: 2").await;
    let pids = |engines: &[Value]| engines.iter().map(|engine| engine["pid"].as_u64()).collect::<Vec<_>>();
    let before = pids(&gateway.engines().await);
    let load = Load::on(&gateway, "own");
    load.goes_on().await;
    assert_eq!(states(&order(&gateway, "engines/own/0/restart").await), ["ready"]);
    load.goes_on().await;
    let between = pids(&gateway.engines().await);
    assert!(before[0] != between[0] && before[1] == between[1], "{before:?} {between:?}");
    assert_eq!(states(&order(&gateway, "models/own/roll").await), ["ready", "ready"]);
    let after = pids(&gateway.engines().await);
    load.goes_on().await;
    load.all_was_well().await;
    assert!(between[0] != after[0] && between[1] != after[1], "{between:?} {after:?}");
    for pid in before.into_iter().chain(between).flatten().filter(|pid| !after.contains(&Some(*pid))) {
        assert_eq!(group_members(u32::try_from(pid).expect("fits")), Vec::<u32>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_sleeps_gets_no_request_and_answers_well_once_it_woke() {
    let gateway = start("own", "sleep_mode: true").await;
    let text = |answer: &Value| answer["choices"][0]["message"]["content"].clone();
    let (status, first) = ask(&gateway, "own").await;
    assert_eq!(status, 200);
    for level in [1, 2] {
        let engines = order(&gateway, &format!("engines/own/0/sleep?level={level}")).await;
        let asleep = &engines[0];
        assert_eq!((states(&engines), &asleep["level"]), (vec!["asleep"], &json!(level)), "{engines}");
        for number in ["took_seconds", "freed_bytes", "in_use_bytes"] {
            assert!(asleep[number].as_f64().is_some_and(|number| number > 0.0), "{number}: {asleep}");
        }
        assert_eq!(engine_says(&engines[0], "/is_sleeping").await, json!({ "is_sleeping": true }));
        let before = stats(engines.as_array().expect("a list")).await;
        let (status, error) = ask(&gateway, "own").await;
        assert_eq!((status, &error["error"]["code"]), (503, &json!("model_asleep")), "{error}");
        assert_eq!(stats(engines.as_array().expect("a list")).await, before, "it was left in peace");
        let labels = "{engine=\"own/0\",model=\"own\"}";
        assert_eq!(gateway.metric(&format!("enginehouse_engine_sleep_level{labels}")).await, f64::from(level));
        let (status, error) = api(&gateway, POST, "engines/own/0/start", None).await;
        assert!(
            status == 409 && error["error"]["message"].as_str().is_some_and(|text| text.contains("wake it")),
            "{error}"
        );
        assert_eq!(states(&order(&gateway, "models/own/wake").await), ["ready"]);
        let (status, answer) = ask(&gateway, "own").await;
        assert_eq!((status, text(&answer)), (200, text(&first)), "level {level}: its weights are back");
        assert_eq!(gateway.engine("own/0").await["restarts"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_up_and_down_fails_no_request() {
    let gateway = start("own", "").await;
    let load = Load::on(&gateway, "own");
    load.goes_on().await;
    let mut gone = Vec::new();
    for count in [3, 1] {
        let before = gateway.engines().await;
        let (status, answer) =
            api(&gateway, Method::PUT, "models/own/replicas", Some(json!({ "replicas": count }))).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(states(&answer["engines"]), vec!["ready"; count]);
        load.goes_on().await;
        gone.extend(before.into_iter().skip(count).map(|engine| engine["pid"].as_u64().expect("a pid")));
    }
    load.all_was_well().await;
    assert_eq!(gone.len(), 2);
    for pid in gone {
        assert_eq!(group_members(u32::try_from(pid).expect("fits")), Vec::<u32>::new());
    }
    assert!(!gateway.metrics().await.contains("own/2"), "yesterday's engines are not measured");
}

/// Adapters that cannot be had are refused, and no engine knows them.
async fn adapters_are_refused(gateway: &Gateway) {
    for (name, path) in [("bad", "/adapters/missing"), ("own", "/adapters/x"), ("quiet", "/adapters/x"), ("tone", "/x")]
    {
        let (status, error) = api(gateway, POST, "models/own/lora", Some(json!({ "name": name, "path": path }))).await;
        assert_eq!(status, if name == "bad" { 502 } else { 409 }, "{error}");
        assert!(error["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
    }
    for engine in gateway.engines().await {
        let cards = engine_says(&engine, "/v1/models").await;
        assert!(!cards.to_string().contains("\"id\":\"bad\""), "{cards}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_comes_to_all_engines_stays_over_a_crash_and_goes() {
    let yaml = format!(
        "models:\n{}aliases: {{ quiet: {{ model: tone, overrides: {{ temperature: 0 }} }} }}\n",
        model(
            "own",
            "replicas: 2, balance: round_robin, restart: { initial_backoff: 10ms }, lora: { tone: /adapters/tone }"
        )
    );
    let gateway = Gateway::ready(&yaml).await;
    all_ready(&gateway).await;
    assert_eq!(served(&gateway).await, ["own", "tone", "quiet"]);
    let sql = json!({ "name": "sql", "path": "/adapters/sql" });
    let (status, answer) = api(&gateway, POST, "models/own/lora", Some(sql.clone())).await;
    assert_eq!(status, 200, "{answer}");
    let all = json!({ "adapters": [sql, { "name": "tone", "path": "/adapters/tone" }] });
    assert_eq!(api(&gateway, Method::GET, "models/own/lora", None).await, (200, all.clone()));
    assert_eq!(served(&gateway).await, ["own", "sql", "tone", "quiet"]);
    let on_both = || async {
        let engines = gateway.engines().await;
        let before = stats(&engines).await;
        for _ in 0..2 {
            let (status, answer) = ask(&gateway, "sql").await;
            assert_eq!((status, &answer["model"]), (200, &json!("sql")), "{answer}");
        }
        let after = stats(&engines).await;
        assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?} {after:?}");
    };
    on_both().await;

    adapters_are_refused(&gateway).await;
    assert_eq!(api(&gateway, Method::GET, "models/own/lora", None).await, (200, all));

    let killed = gateway.engines().await[0]["pid"].as_i64().expect("a pid");
    let pid = Pid::from_raw(i32::try_from(killed).expect("fits")).expect("a pid");
    kill_process(pid, Signal::KILL).expect("killed");
    eventually("the engine to come back", || async {
        let engine = gateway.engines().await.remove(0);
        (engine["pid"] != killed && engine["state"] == "ready" && engine["restarts"] == 1).then_some(())
    })
    .await;
    on_both().await;

    for name in ["sql", "tone"] {
        let path = format!("models/own/lora/{name}");
        let (status, answer) = api(&gateway, Method::DELETE, &path, None).await;
        assert_eq!(status, 200, "{answer}");
        let (status, error) = ask(&gateway, name).await;
        assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")), "{error}");
        assert_eq!(api(&gateway, Method::DELETE, &path, None).await.0, 404);
    }
    assert_eq!(served(&gateway).await, ["own"]);
    let (status, error) = ask(&gateway, "quiet").await;
    assert_eq!(status, 404);
    assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("LoRA adapter `tone`")), "{error}");
    for engine in gateway.engines().await {
        assert_eq!(engine["serves"], json!(["own"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_may_wait_for_its_adapter() {
    let models = [model("own", "lora: { sql: off }"), model("other", "lora: {}")].concat();
    let aliases = "aliases: { quiet: { model: sql, overrides: { max_tokens: 3 } }, still: { model: quiet } }\n";
    let gateway = Gateway::ready(&format!("models:\n{models}{aliases}")).await;
    all_ready(&gateway).await;
    let waits = async || {
        assert_eq!(served(&gateway).await, ["own", "other"]);
        for name in ["quiet", "still"] {
            let (status, error) = ask(&gateway, name).await;
            assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")), "{error}");
            let text = error["error"]["message"].as_str().expect("a message");
            assert!(text.ends_with("is an alias of the LoRA adapter `sql`, which is not loaded."), "{text}");
        }
    };
    waits().await;
    let sql = json!({ "name": "sql", "path": "/adapters/sql" });
    let (status, error) = api(&gateway, POST, "models/other/lora", Some(sql.clone())).await;
    let text = error["error"]["message"].as_str().expect("a message");
    assert!(status == 409 && text.contains("add it there"), "the aliases are not of that model: {text}");
    let (status, answer) = api(&gateway, POST, "models/own/lora", Some(sql)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(served(&gateway).await, ["own", "other", "sql", "quiet", "still"]);
    for name in ["quiet", "still"] {
        let (status, answer) = ask(&gateway, name).await;
        assert_eq!((status, &answer["usage"]["completion_tokens"]), (200, &json!(3)), "with its settings: {answer}");
    }
    let (status, answer) = api(&gateway, Method::DELETE, "models/own/lora/sql", None).await;
    assert_eq!(status, 200, "{answer}");
    waits().await;
}

/// One engine does not forget an adapter: the operator is told which, and the name is as it was on all of them.
#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_one_engine_keeps_is_not_lost() {
    let yaml = format!("models:\n{}", model("own", "replicas: 2, balance: round_robin, lora: { sql: /adapters/sql }"));
    let gateway = Gateway::ready(&yaml).await;
    all_ready(&gateway).await;
    let engines = gateway.engines().await;
    let load = async |path: &str| {
        let url = format!("{}/v1/load_lora_adapter", engines[1]["url"].as_str().expect("a URL"));
        let body = json!({ "lora_name": "sql", "lora_path": path, "load_inplace": true });
        assert_eq!(http().post(url).json(&body).send().await.expect("answered").status(), 200);
    };
    load("/adapters/sticky").await;
    let (status, error) = api(&gateway, Method::DELETE, "models/own/lora/sql", None).await;
    let text = error["error"]["message"].as_str().expect("a message");
    assert_eq!(status, 502, "{text}");
    assert!(text.contains("own/1: ") && text.contains("cannot be removed") && !text.contains("own/0"), "{text}");
    assert!(text.contains("`sql` is served as before"), "{text}");
    let adapters = json!({ "adapters": [{ "name": "sql", "path": "/adapters/sql" }] });
    assert_eq!(api(&gateway, Method::GET, "models/own/lora", None).await, (200, adapters));
    assert_eq!(served(&gateway).await, ["own", "sql"]);
    let before = stats(&engines).await;
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "sql").await.0, 200);
    }
    let after = stats(&engines).await;
    assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?} {after:?}");

    load("/adapters/sql").await;
    let (status, answer) = api(&gateway, Method::DELETE, "models/own/lora/sql", None).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(ask(&gateway, "sql").await.0, 404);
    assert_eq!(served(&gateway).await, ["own"]);
}

/// Requests that each engine has had.
async fn stats(engines: &[Value]) -> Vec<u64> {
    let mut all = Vec::new();
    for engine in engines {
        all.push(engine_says(engine, "/sim/stats").await["started"].as_u64().expect("a number"));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_what_to_do() {
    let sim = crate::support::Sim::start(&[]);
    let yaml = format!(
        "models:\n{}{}  external: {{ urls: [\"{}\"] }}\n",
        model("own", ""),
        model("bad", "restart: off, args: { no-such-flag: 1 }"),
        sim.url()
    );
    let gateway = Gateway::start(&yaml);
    for name in ["own", "external"] {
        eventually(name, || async { (ask(&gateway, name).await.0 == 200).then_some(()) }).await;
    }
    for (method, path, body, wanted, word) in [
        (POST, "engines/own/7/stop", None, 404, "own/7"),
        (POST, "models/none/stop?wait=false", None, 404, "none"),
        (POST, "models/own/explode", None, 404, "explode"),
        (POST, "models/own/sleep", None, 409, "sleep_mode"),
        (POST, "models/external/restart", None, 409, "urls"),
        (POST, &format!("engines/external/127.0.0.1:{}/stop", sim.address.port()), None, 409, "urls"),
        (POST, "models/own/lora", Some(json!({ "name": "a", "path": "/a" })), 409, "lora: {}"),
        (POST, "models/own/lora", Some(json!({ "name": "a" })), 400, "path"),
        (Method::PUT, "models/own/replicas", Some(json!({ "replicas": 0 })), 400, "at least 1"),
        (Method::DELETE, "models/own/lora/none", None, 404, "none"),
        (Method::DELETE, "engines/own/0", None, 405, "GET, POST"),
        (POST, "models/bad/start", None, 502, "no-such-flag"),
    ] {
        let (status, error) = api(&gateway, method, path, body).await;
        assert_eq!(status, wanted, "{path}: {error}");
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains(word)), "{path}: {error}");
    }
    let (_, engine) = api(&gateway, Method::GET, "engines/bad/0", None).await;
    assert_eq!(engine["next"]["kind"], "no_restart", "{engine}");
    assert_eq!(ask(&gateway, "own").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_unknown_clients_nor_web_pages_give_orders() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("gateway.yaml");
    let yaml =
        format!("listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0, token: tok-1 }}\nmodels:\n{}", model("own", ""));
    std::fs::write(&file, yaml).expect("written");
    let closed = Gateway::serve(&file, folder);
    closed.wait_ready().await;
    let open = start("own", "").await;
    let send = |gateway: &Gateway, method: Method, path: &str, headers: &[(&'static str, &str)]| {
        let mut request = http().request(method, format!("http://{}/api/v1/{path}", gateway.admin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        async { request.send().await.expect("answered").status().as_u16() }
    };
    let changes = [
        (POST, "engines/own/0/stop"),
        (POST, "models/own/stop"),
        (Method::PUT, "models/own/replicas"),
        (POST, "models/own/lora"),
        (Method::DELETE, "models/own/lora/x"),
    ];
    for (method, path) in &changes {
        assert_eq!(send(&closed, method.clone(), path, &[]).await, 401, "{path}");
        assert_eq!(send(&closed, method.clone(), path, &[("authorization", "Bearer tok-2")]).await, 401, "{path}");
        for foreign in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example"), ("origin", "null")] {
            let key = ("authorization", "Bearer tok-1");
            assert_eq!(send(&closed, method.clone(), path, &[key, foreign]).await, 403, "{path} {foreign:?}");
            assert_eq!(send(&open, method.clone(), path, &[foreign]).await, 403, "{path} {foreign:?}");
        }
        assert_eq!(send(&open, method.clone(), path, &[("host", "evil.example")]).await, 403, "{path}");
    }
    for path in ["engines", "models", "models/own/lora"] {
        assert_eq!(send(&closed, Method::GET, path, &[]).await, 401, "{path}");
        assert_eq!(send(&open, Method::GET, path, &[("host", "evil.example:80")]).await, 403, "{path}");
        assert_eq!(send(&open, Method::GET, path, &[("host", "localhost:1")]).await, 200, "{path}");
    }
    for gateway in [&open, &closed] {
        assert_eq!(ask(gateway, "own").await.0, 200, "nothing was stopped");
    }
    let own = [("origin", &*format!("http://{}", open.admin)), ("sec-fetch-site", "same-origin")];
    assert_eq!(send(&open, POST, "models/own/stop", &own).await, 200);
    assert_eq!(send(&closed, POST, "models/own/stop", &[("authorization", "Bearer tok-1")]).await, 200);
}
