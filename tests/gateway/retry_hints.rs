//! What clients are told of another try: `Retry-After`, and `x-should-retry` where only an operator can help.

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, chat, eventually, http};

/// Status, `retry-after`, `x-should-retry` and the error's code.
type Told = (u16, Option<u64>, Option<String>, Value);

async fn ask(gateway: &Gateway, path: &str, body: &Value, headers: &[(&str, &str)]) -> Told {
    let request = http().post(gateway.url(path)).json(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let reply = request.send().await.expect("answered");
    let header = |name: &str| reply.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    let (wait, retry) = (header("retry-after"), header("x-should-retry"));
    let (status, wait) = (reply.status().as_u16(), wait.map(|seconds| seconds.parse().expect("seconds")));
    (status, wait, retry, reply.json::<Value>().await.expect("JSON")["error"]["code"].clone())
}

async fn order(gateway: &Gateway, what: &str) {
    let url = format!("http://{}/api/v1/models/own/{what}", gateway.admin);
    assert!(http().post(url).send().await.expect("answered").status().is_success(), "{what}");
}

fn own(more: &str) -> String {
    format!("models:\n  own: {{ source: own, command: [enginehouse, sim], {more} }}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_an_operator_can_mend_is_not_to_be_retried() {
    let gateway = Gateway::ready(&own("sleep_mode: true")).await;
    let mut streamed = chat("own");
    streamed["stream"] = true.into();
    let messages = json!({ "model": "own", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] });
    for (what, code) in [("sleep", "model_asleep"), ("stop", "model_stopped")] {
        order(&gateway, what).await;
        for (path, body) in
            [("/v1/chat/completions", &chat("own")), ("/v1/chat/completions", &streamed), ("/v1/messages", &messages)]
        {
            let told = ask(&gateway, path, body, &[]).await;
            assert_eq!(told, (503, None, Some("false".into()), code.into()), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pause_before_the_next_start_and_the_time_of_the_last_one_are_told() {
    let restart =
        "restart: { initial_backoff: 20s, max_backoff: 20s }, env: { ENGINEHOUSE_SIM_FAULTS: ready-after=2s }";
    let gateway = Gateway::ready(&own(restart)).await;
    let pid = gateway.engine_pid("own/0").await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("fits")).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    let (_, wait, retry, _) = eventually("the failure to be told", async || {
        let told = ask(&gateway, "/v1/chat/completions", &chat("own"), &[]).await;
        (told.3 == "model_failed").then_some(told)
    })
    .await;
    let wait = wait.expect("the next start is known");
    // 20 s, up to a fifth more or less, and 2 s to load.
    assert!((17..=28).contains(&wait) && retry.is_none(), "{wait} {retry:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_told_to_take_as_long_as_the_one_before() {
    let gateway = Gateway::ready(&own("env: { ENGINEHOUSE_SIM_FAULTS: ready-after=9s }")).await;
    order(&gateway, "restart?wait=false").await;
    let wait = eventually("the new process to load", async || {
        let told = ask(&gateway, "/v1/chat/completions", &chat("own"), &[]).await;
        (told.3 == "model_loading").then_some(told.1)
    })
    .await;
    assert!((6..=11).contains(&wait.expect("known")), "{wait:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engines_own_word_stays_and_its_silence_is_filled() {
    let sim = Sim::start(&[]);
    let gateway = Gateway::ready(&format!("models: {{ own: {{ urls: [\"{}\"] }} }}\n", sim.url())).await;
    for (fault, status, wait) in [
        ("status:503;retry-after:7", 503, Some(7)),
        ("status:503", 503, Some(1)),
        ("status:429", 429, Some(1)),
        ("status:400", 400, None),
    ] {
        let told = ask(&gateway, "/v1/chat/completions", &chat("own"), &[("x-sim-fault", fault)]).await;
        assert_eq!((told.0, told.1), (status, wait), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_gym_alias_are_told_the_same() {
    let yaml = format!("{}aliases: {{ train: {{ model: own, gym: {{ retry_for: 1s }} }} }}\n", own("sleep_mode: true"));
    let gateway = Gateway::ready(&yaml).await;
    order(&gateway, "stop").await;
    let body = json!({ "model": "train", "messages": [{ "role": "user", "content": "hi" }] });
    let told = ask(&gateway, "/v1/chat/completions", &body, &[]).await;
    assert_eq!(told, (503, None, Some("false".into()), "model_stopped".into()));
    eventually("the log to name the reason", async || {
        gateway.access_log().contains("error=model_stopped").then_some(())
    })
    .await;
}
