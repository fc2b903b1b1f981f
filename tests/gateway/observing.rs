//! What operators see while callers go on: the gateway as a whole, requests, rates, logs, and events as they happen.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Gateway, Sim, chat, eventually, http};

const CONFIGURATION: &str = "
callers: { bot: { keys: [k-bot] } }
anonymous: {}
models:
  m: { source: m, command: [enginehouse, sim], sleep_mode: true, env: { API_TOKEN: hush } }
aliases:
  quick: { model: m, defaults: { temperature: 0.5 }, overrides: { chat_template_kwargs: { enable_thinking: false } } }
";

async fn started() -> Gateway {
    let gateway = Gateway::ready(CONFIGURATION).await;
    gateway.all_ready().await;
    gateway
}

async fn get(gateway: &Gateway, path: &str) -> (u16, Value) {
    let reply = http().get(format!("http://{}/api/v1/{path}", gateway.admin)).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

async fn seen(gateway: &Gateway, path: &str) -> Value {
    let (status, answer) = get(gateway, path).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Server-sent events, one after the other: ids and what they hold.
struct Events(BoxStream<'static, String>);

impl Events {
    async fn open(gateway: &Gateway, path: &str, last: Option<&str>) -> Self {
        let mut request = http().get(format!("http://{}/api/v1/{path}", gateway.admin));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let reply = request.send().await.expect("answered");
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        let mut rest = String::new();
        let pieces = reply.bytes_stream().map(move |piece| {
            rest.push_str(std::str::from_utf8(&piece.expect("a piece")).expect("text"));
            let whole = rest.rfind("\n\n").map_or(0, |end| end + 2);
            let messages: Vec<String> = rest[..whole].split_terminator("\n\n").map(str::to_owned).collect();
            rest.drain(..whole);
            futures::stream::iter(messages)
        });
        Self(pieces.flatten().boxed())
    }

    /// The next event that is no comment.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let message = self.0.next().await?;
            let line = |name: &str| message.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            if let Some(data) = line("data: ") {
                return Some((line("id: ").unwrap_or_default(), serde_json::from_str(&data).expect("JSON")));
            }
        }
    }

    /// The next one for which `wanted` holds.
    async fn find(&mut self, wanted: impl Fn(&Value) -> bool) -> (String, Value) {
        loop {
            let found = self.next().await.expect("events go on");
            if wanted(&found.1) {
                return found;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_tells_what_it_is_and_what_it_runs_by() {
    let gateway = started().await;
    let status = seen(&gateway, "status").await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        status["totals"],
        json!({ "models": 1, "ready_models": 1, "engines": 1, "ready_engines": 1, "aliases": 1, "in_flight": 0 })
    );
    assert_eq!(status["listen"], gateway.address.to_string());
    assert!(status["uptime_seconds"].as_f64().is_some_and(|time| time > 0.0));
    assert_eq!(status["configuration_hash"].as_str().map(str::len), Some(64));
    let configuration = seen(&gateway, "configuration").await;
    assert_eq!(configuration["callers"]["bot"]["keys"], json!(["***"]));
    assert_eq!(configuration["models"]["m"]["env"]["API_TOKEN"], "***");
    let alias = seen(&gateway, "aliases/quick").await;
    assert_eq!((&alias["model"], &alias["hidden"]), (&json!("m"), &json!(false)));
    assert_eq!(
        alias["changes"],
        json!(["default temperature=0.5", "override chat_template_kwargs={\"enable_thinking\":false}"])
    );
    assert_eq!(seen(&gateway, "aliases").await["aliases"], json!([alias]));
    for (path, status) in
        [("aliases/slow", 404), ("requests/none", 404), ("requests?limit=x", 400), ("events?kinds=x", 400)]
    {
        assert_eq!(get(&gateway, path).await.0, status, "{path}");
    }
    let put = http().put(format!("http://{}/api/v1/status", gateway.admin)).send().await.expect("answered");
    assert_eq!((put.status().as_u16(), &put.headers()["allow"]), (405, &"GET".parse().expect("a value")));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_listed_with_what_they_cost() {
    let gateway = started().await;
    let ask = |model: &str, stream: bool| {
        let mut body = chat(model);
        body["stream"] = json!(stream);
        http()
            .post(gateway.url("/v1/chat/completions"))
            .bearer_auth("k-bot")
            .header("x-request-id", format!("ask-{model}-{stream}"))
            .json(&body)
    };
    for (model, stream) in [("m", false), ("quick", true), ("none", false)] {
        ask(model, stream).send().await.expect("answered").bytes().await.expect("whole");
    }
    let requests = eventually("three requests", async || {
        let list = seen(&gateway, "requests").await;
        let list = list["requests"].as_array().expect("a list").clone();
        (list.len() == 3).then_some(list)
    })
    .await;
    let ids: Vec<&str> = requests.iter().map(|request| request["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["ask-none-false", "ask-quick-true", "ask-m-false"], "the newest first");
    let stream = &requests[1];
    assert_eq!((&stream["alias"], &stream["model"], &stream["engine"]), (&json!("quick"), &json!("m"), &json!("m/0")));
    assert_eq!(
        (&stream["status"], &stream["stream_end"], &stream["caller"]),
        (&json!(200), &json!("complete"), &json!("bot"))
    );
    assert!(stream["completion_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{stream}");
    let times: Vec<f64> = ["overhead_seconds", "first_token_seconds", "seconds"]
        .iter()
        .map(|key| stream[*key].as_f64().expect("told"))
        .collect();
    assert!(times.is_sorted() && times[0] > 0.0, "{stream}");
    assert_eq!((&requests[0]["unknown_model"], &requests[0]["status"]), (&json!("none"), &json!(404)));
    assert_eq!(seen(&gateway, "requests/ask-quick-true").await, *stream);
    assert_eq!(seen(&gateway, "requests?alias=quick").await["requests"], json!([stream]));
    assert_eq!(seen(&gateway, "requests?failed=true&limit=1").await["requests"], json!([requests[0]]));
    let rates = seen(&gateway, "rates").await;
    assert!(rates["all"]["requests_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{rates}");
    assert!(rates["models"]["m"]["first_token_seconds"]["p95"].as_f64().is_some_and(|time| time > 0.0), "{rates}");
    // The same of the engine that they ended on.
    let engine = seen(&gateway, "engines/m/0").await;
    let own = &engine["rates"];
    assert!(own["requests_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{engine}");
    for times in ["first_token_seconds", "inter_token_seconds", "duration_seconds"] {
        let told: Vec<f64> = ["p50", "p95", "p99"].iter().map(|at| own[times][*at].as_f64().expect("told")).collect();
        assert!(told.is_sorted() && told[0] > 0.0, "{times}: {engine}");
    }
    assert_eq!(own["first_token_seconds"], rates["all"]["first_token_seconds"], "one engine answered all streams");
    let of_engine = seen(&gateway, "rates?engine=m%2F0").await;
    assert_eq!(
        (&of_engine["all"]["first_token_seconds"], &of_engine["models"]),
        (&own["first_token_seconds"], &json!({}))
    );
    for (path, status) in [("rates?engine=m%2F1", 404), ("rates?model=m", 400)] {
        assert_eq!(get(&gateway, path).await.0, status, "{path}");
    }
    let callers = seen(&gateway, "callers").await;
    let bot = &callers["callers"][0];
    assert_eq!((&bot["caller"], &bot["keys"], &bot["requests"]), (&json!("bot"), &json!(1), &json!(3)));
    assert!(bot["completion_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{bot}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_tells_the_times_of_each_attempt_and_how_long_it_waited() {
    let (broken, good) = (Sim::start(&["--tokens", "4"]), Sim::start(&["--ttft", "50ms", "--tokens", "4"]));
    let nobody = tokio::net::TcpSocket::new_v4().expect("socket");
    nobody.bind("127.0.0.1:0".parse().expect("address")).expect("bound");
    let gone = nobody.local_addr().expect("address");
    let yaml = format!(
        "models:\n  broken: {{ urls: [\"{}\"], served_name: tiny }}\n  good: {{ urls: [\"{}\"], served_name: tiny }}\n  \
         gone: {{ urls: [\"http://{gone}\"], health: off, served_name: tiny }}\n\
         aliases:\n  sure: {{ model: broken, fallback: [good] }}\n  patient: {{ model: gone, gym: {{ retry_for: 700ms }} }}\n",
        broken.url(),
        good.url()
    );
    let gateway = Gateway::start(&yaml);
    eventually("the engines to be ready", async || {
        gateway.engines().await.iter().all(|engine| engine["state"] == "ready").then_some(())
    })
    .await;
    let order = json!({ "kind": "status:503" });
    assert_eq!(http().post(broken.url() + "/sim/fault").json(&order).send().await.expect("planned").status(), 200);
    let ask = async |model: &str, stream: bool| {
        let mut body = chat(model);
        body["stream"] = json!(stream);
        let request = http().post(gateway.url("/v1/chat/completions")).header("x-request-id", model).json(&body);
        request.send().await.expect("answered").bytes().await.expect("whole");
        eventually("its record", async || {
            let (status, found) = get(&gateway, &format!("requests/{model}")).await;
            (status == 200).then_some(found)
        })
        .await
    };
    let time = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no time: {value}"));

    let told = ask("sure", true).await;
    let attempts = told["attempts"].as_array().expect("a list");
    assert_eq!(attempts.len(), 2, "{told}");
    let (first, second) = (&attempts[0], &attempts[1]);
    assert_eq!((&first["number"], &first["outcome"], &first["status"]), (&json!(1), &json!("busy"), &json!(503)));
    assert_eq!(
        (&second["number"], &second["outcome"], &second["status"]),
        (&json!(2), &json!("answered"), &json!(200))
    );
    assert_eq!((&first["engine"], &second["engine"]), (&json!(format!("broken/{}", broken.address)), &told["engine"]));
    let order = [
        &first["began_seconds"],
        &first["answered_seconds"],
        &first["ended_seconds"],
        &second["began_seconds"],
        &second["answered_seconds"],
        &told["first_token_came_seconds"],
        &second["ended_seconds"],
        &told["seconds"],
    ]
    .map(time);
    assert!(order.is_sorted() && order[0] > 0.0, "{told}");
    assert!(order[5] - order[3] >= 0.045, "the first token came after its 50 ms: {told}");
    assert_eq!((&told["queue_seconds"], &told["queue_began_seconds"]), (&json!(0.0), &Value::Null));

    let told = ask("patient", false).await;
    let attempts = told["attempts"].as_array().expect("a list");
    assert!((2..=16).contains(&attempts.len()), "{told}");
    assert!(attempts.iter().all(|one| one["outcome"] == "unreachable" && one["status"] == Value::Null), "{told}");
    let (waited, whole) = (time(&told["queue_seconds"]), time(&told["seconds"]));
    assert!(waited > 0.3 && waited <= whole && time(&told["queue_began_seconds"]) < whole, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_shown_of_one_or_merged_and_followed() {
    let gateway = started().await;
    let text = |lines: &Value| -> Vec<(String, String)> {
        let own = |value: &Value| value.as_str().expect("text").to_owned();
        lines["lines"].as_array().expect("a list").iter().map(|line| (own(&line["from"]), own(&line["text"]))).collect()
    };
    let engine = text(&seen(&gateway, "logs?from=m%2F0").await);
    assert!(!engine.is_empty() && engine.iter().all(|(from, _)| from == "m/0"), "{engine:?}");
    let own = text(&seen(&gateway, "logs?from=gateway&grep=ENGINE%20IS%20READY").await);
    assert_eq!(own.len(), 1, "{own:?}");
    assert!(own[0].1.contains("engine is ready engine=m/0"), "{own:?}");
    let merged = text(&seen(&gateway, "logs?since=10m").await);
    assert!(["gateway", "m/0"].iter().all(|wanted| merged.iter().any(|(from, _)| from == wanted)), "{merged:?}");
    assert_eq!(get(&gateway, "logs?from=x%2F0").await.0, 404);
    let mut followed = Events::open(&gateway, "logs?lines=0&follow=true&grep=stopped", None).await;
    let stop = http().post(format!("http://{}/api/v1/models/m/stop", gateway.admin)).send().await.expect("answered");
    assert_eq!(stop.status(), 200);
    let (_, line) = followed.find(|_| true).await;
    assert_eq!((&line["from"], &line["level"]), (&json!("gateway"), &json!("info")), "{line}");
    assert!(line["text"].as_str().is_some_and(|text| text.contains("engine is stopped")), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_begin_with_a_snapshot_and_go_on_where_a_listener_was() {
    let mut gateway = started().await;
    let mut events = Events::open(&gateway, "events", None).await;
    let (first, snapshot) = events.next().await.expect("an event");
    assert_eq!((&snapshot["event"], &snapshot["engines"][0]["state"]), (&json!("snapshot"), &json!("ready")));
    assert_eq!(snapshot["status"]["totals"]["models"], 1);
    assert_eq!(gateway.ask("quick").await.0, 200);
    let (_, requests) = events.find(|event| event["event"] == "requests").await;
    assert_eq!(requests["requests"][0]["alias"], "quick");
    let (_, pulse) = events.find(|event| event["event"] == "pulse").await;
    assert!(pulse["rates"]["all"]["requests_per_second"].is_f64(), "{pulse}");
    let act = async |verb: &str| {
        let url = format!("http://{}/api/v1/engines/m/0/{verb}", gateway.admin);
        let reply = http().request(Method::POST, url).send().await.expect("answered");
        assert_eq!(reply.status(), 200, "{verb}");
    };
    act("sleep").await;
    let (asleep, _) = events.find(|event| event["event"] == "engine" && event["state"] == "asleep").await;
    drop(events);
    act("wake").await;
    // It was away, and hears what it missed; nobody else does.
    let mut again = Events::open(&gateway, "events?kinds=engine", Some(&asleep)).await;
    let (woken, news) = again.next().await.expect("an event");
    assert_eq!((&news["event"], &news["engine"]), (&json!("engine"), &json!("m/0")));
    let number = |id: &str| id.parse::<u64>().expect("a number");
    assert!(number(&first) < number(&asleep) && number(&asleep) < number(&woken));
    again.find(|event| event["state"] == "ready").await;
    // Its place is not known: it was with another gateway.
    let mut lost = Events::open(&gateway, "events", Some("7")).await;
    assert_eq!(lost.next().await.expect("an event").1, json!({ "event": "resync" }));
    assert_eq!(lost.next().await.expect("an event").1["event"], "snapshot");
    // Who listens does not hold up the end.
    gateway.stop().await;
    while lost.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_playground_is_a_caller_like_any_other() {
    let gateway = started().await;
    let url = format!("http://{}/api/v1/playground/chat", gateway.admin);
    let mut body = chat("quick");
    body["stream"] = json!(true);
    let ask = |key: &str| http().post(&url).header("x-caller-key", key).json(&body).send();
    let reply = ask("k-bot").await.expect("answered");
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["content-type"]),
        (200, &"text/event-stream; charset=utf-8".parse().expect("a value"))
    );
    let text = reply.text().await.expect("whole");
    assert!(text.ends_with("data: [DONE]\n\n") && text.contains("\"model\":\"quick\""), "{text}");
    // Its address is the one of now.
    let refused = ask("k-other").await.expect("answered");
    assert_eq!(refused.status(), 401);
    let request = eventually("the request", async || {
        let list = seen(&gateway, "requests?alias=quick").await;
        list["requests"].get(0).cloned()
    })
    .await;
    assert_eq!((&request["caller"], &request["stream_end"]), (&json!("bot"), &json!("complete")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_with_the_token_and_pages_of_others_do_not() {
    let yaml = "admin: { listen: 127.0.0.1:0, token: t0p }\nmodels:\n  m: { source: m, command: [enginehouse, sim] }\n";
    let gateway = Gateway::start_whole(&format!("listen: 127.0.0.1:0\n{yaml}"));
    let url = |path: &str| format!("http://{}{path}", gateway.admin);
    let page = http().get(url("/")).header("accept", "text/html,*/*").send().await.expect("answered");
    assert!(page.headers()["content-security-policy"].to_str().expect("text").starts_with("default-src 'none'"));
    assert!(page.text().await.expect("text").contains("/page/main.js"));
    assert_eq!(http().get(url("/page/main.js")).send().await.expect("answered").status(), 200);
    assert_eq!(http().get(url("/api/v1/status")).send().await.expect("answered").status(), 401);
    let login = |token: &str, origin: Option<String>| {
        let request = http().post(url("/api/v1/login")).json(&json!({ "token": token }));
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
        .send()
    };
    assert_eq!(login("wrong", None).await.expect("answered").status(), 401);
    assert_eq!(login("t0p", Some("http://evil.example".into())).await.expect("answered").status(), 403);
    let good = login("t0p", Some(url(""))).await.expect("answered");
    assert_eq!(good.status(), 204);
    let cookie = good.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let with = |method: Method, origin: Option<&str>| {
        let path = if method == Method::GET { "/api/v1/status" } else { "/api/v1/reload" };
        let request = http().request(method, url(path)).header("cookie", &cookie);
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
        .send()
    };
    assert_eq!(with(Method::GET, None).await.expect("answered").status(), 200);
    assert_eq!(with(Method::POST, Some("http://evil.example")).await.expect("answered").status(), 403);
    assert_eq!(with(Method::POST, Some(&url(""))).await.expect("answered").status(), 200);
    // Who logged in, and what was done by that, is written down.
    let audit = http().get(url("/api/v1/audit")).header("cookie", &cookie).send().await.expect("answered");
    let audit: Value = audit.json().await.expect("JSON");
    let told = |at: usize| (&audit["entries"][at]["detail"], &audit["entries"][at]["operator"]["login"]);
    assert_eq!(told(0), (&json!("reload the configuration file"), &json!("cookie")), "{audit}");
    assert_eq!((told(1), audit["entries"].as_array().map(Vec::len)), ((&json!("log in"), &json!("token")), Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_not_guessed_fast_and_the_right_one_waits_for_nobody_who_guesses() {
    let yaml = "admin: { listen: 127.0.0.1:0, token: t0p }\nmodels:\n  m: { source: m, command: [enginehouse, sim] }\n";
    let gateway = Gateway::start_whole(&format!("listen: 127.0.0.1:0\n{yaml}"));
    let url = |path: &str| format!("http://{}{path}", gateway.admin);
    let status = async |request: reqwest::RequestBuilder| request.send().await.expect("answered").status().as_u16();
    let login = |token: &str| http().post(url("/api/v1/login")).json(&json!({ "token": token }));
    let show = |token: &str| http().get(url("/api/v1/status")).bearer_auth(token);
    // By either way, from as many connections as there are.
    let since = Instant::now();
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (first, second) = (login(&number.to_string()), show(&number.to_string()));
        guesses.spawn(async move { first.send().await.expect("answered").status().as_u16() });
        guesses.spawn(async move { second.send().await.expect("answered").status().as_u16() });
    }
    assert_eq!(guesses.join_next().await.expect("one").expect("answered"), 401);
    let first = since.elapsed();
    assert!(first >= Duration::from_millis(250), "{first:?}");
    let right = Instant::now();
    assert_eq!((status(login("t0p")).await, status(show("t0p")).await), (204, 200));
    let took = right.elapsed();
    assert!(guesses.len() >= 8, "others still wait: {}", guesses.len());
    assert!(took < Duration::from_millis(250), "{took:?}");
    // Who shows none does not guess.
    let none = Instant::now();
    assert_eq!(status(http().get(url("/api/v1/status"))).await, 401);
    assert!(none.elapsed() < Duration::from_millis(250));
    assert!(guesses.join_all().await.iter().all(|status| *status == 401));
    assert!(since.elapsed() >= 4 * Duration::from_millis(250), "sixteen a second: {:?}", since.elapsed());
    let large = login(&"x".repeat(20_000)).send().await.expect("answered");
    assert_eq!(large.status(), 413);
    let told: Value = large.json().await.expect("the error of this API");
    assert!(told["error"]["message"].as_str().is_some_and(|text| text.contains("16 KiB")), "{told}");
    let odd = http().post(url("/api/v1/login")).body(vec![0xff]).send().await.expect("answered");
    assert_eq!((odd.status().as_u16(), odd.json::<Value>().await.expect("JSON")["error"].is_object()), (400, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_engines_report_of_their_work_is_seen_by_operators_and_prometheus() {
    let yaml = "models:\n  m: { source: m, command: [enginehouse, sim], stall_timeout: 2s }\n";
    let gateway = Gateway::ready(yaml).await;
    gateway.all_ready().await;
    let (_, answer) = gateway.ask("m").await;
    let tokens = answer["usage"]["completion_tokens"].as_f64().expect("told");
    let report = eventually("a report", async || {
        let report = gateway.engine("m/0").await["report"].clone();
        (report["generation_tokens"].as_f64() == Some(tokens)).then_some(report)
    })
    .await;
    assert_eq!((&report["running"], &report["waiting"]), (&json!(0.0), &json!(0.0)), "{report}");
    let labels = "{engine=\"m/0\",model=\"m\"}";
    for (name, value) in [("generation_tokens_total", tokens), ("requests_running", 0.0), ("requests_waiting", 0.0)] {
        let metrics = gateway.metrics().await;
        let line = format!("enginehouse_engine_{name}{labels} {value}");
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    assert!(gateway.metric(&format!("enginehouse_engine_state_age_seconds{labels}")).await > 0.0);
    // What it reported goes with its process.
    let stop = http().post(format!("http://{}/api/v1/models/m/stop", gateway.admin)).send().await.expect("answered");
    assert_eq!(stop.status(), 200);
    assert_eq!(gateway.engine("m/0").await["report"], Value::Null);
    assert!(!gateway.metrics().await.contains("enginehouse_engine_generation_tokens_total{"));
}
