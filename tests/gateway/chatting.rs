//! `enginehouse chat` in a pipe, against a gateway over simulated engines.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{BINARY, Gateway, Sim};

/// Runs the command with `input` on its standard input.
async fn chat(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(BINARY);
    command
        .arg("chat")
        .args(args)
        .env_remove("ENGINEHOUSE_URL")
        .env_remove("ENGINEHOUSE_API_KEY")
        .env_remove("ENGINEHOUSE_ADMIN");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("started");
        child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("written");
        child.wait_with_output()
    });
    tokio::time::timeout(Duration::from_secs(60), ran).await.expect("in time").expect("joined").expect("ran")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn over(sim: &Sim) -> Gateway {
    Gateway::ready(&format!(
        "models: {{ tiny: {{ urls: [\"{}\"] }} }}\naliases: {{ small: {{ model: tiny }} }}\nretry: {{ attempts: 1 }}",
        sim.url()
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_is_the_prompt_and_gets_nothing_but_the_answer() {
    let sim = Sim::start(&["--ttft", "1ms", "--gap", "0ms", "--reasoning-parser", "qwen3"]);
    let gateway = over(&sim).await;
    let url = gateway.url("");
    let streamed = chat(&["small", "--url", &url, "--system", "Be brief.", "Shorten:"], "a long text\n").await;
    assert_eq!(streamed.status.code(), Some(0), "{streamed:?}");
    assert!(err(&streamed).is_empty(), "{streamed:?}");
    let request = sim.last_request().await;
    let request: Value = serde_json::from_str(request["body"].as_str().expect("text")).expect("JSON");
    let messages = &request["messages"];
    assert_eq!((&messages[0]["role"], &messages[0]["content"]), (&"system".into(), &"Be brief.".into()), "{request}");
    assert_eq!(messages[1]["content"], "Shorten:\n\na long text", "{request}");
    assert_eq!(request["stream"], true);

    // The same answer in one piece, and as the server sent it: its reasoning is in the JSON only.
    let args = ["small", "--url", &url, "--system", "Be brief.", "Shorten:"];
    let whole = chat(&[&args[..], &["--no-stream"]].concat(), "a long text\n").await;
    assert_eq!(out(&whole), out(&streamed));
    let admin = gateway.admin.to_string();
    let args = ["small", "--admin", &admin, "--system", "Be brief.", "Shorten:"];
    let json = chat(&[&args[..], &["--json"]].concat(), "a long text\n").await;
    let answer: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        message["content"].as_str().map(|text| text.trim_end().to_owned()),
        Some(out(&streamed).trim_end().to_owned())
    );
    assert!(message["reasoning"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_tools_and_keys_reach_the_engine() {
    let sim = Sim::start(&["--ttft", "1ms", "--gap", "0ms"]);
    let yaml = format!(
        "models: {{ tiny: {{ urls: [\"{}\"] }} }}\ncallers: {{ alice: {{ keys: [sk-secret-of-alice] }} }}",
        sim.url()
    );
    let gateway = Gateway::ready(&yaml).await;
    let (url, folder) = (gateway.url(""), tempfile::tempdir().expect("folder"));
    let key = folder.path().join("key");
    std::fs::write(&key, "sk-secret-of-alice\n").expect("written");
    let refused = chat(&["tiny", "--url", &url, "hi"], "").await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        err(&refused).contains("401 missing_api_key") && err(&refused).contains("ENGINEHOUSE_API_KEY"),
        "{refused:?}"
    );

    let tools = r#"tools=[{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]"#;
    let choice = r#"tool_choice={"type": "function", "function": {"name": "find"}}"#;
    let args = ["tiny", "--url", &url, "--key-file", key.to_str().expect("UTF-8"), "--set", tools, "--set", choice];
    let called = chat(&[&args[..], &["hi"]].concat(), "").await;
    assert_eq!(called.status.code(), Some(0), "{called:?}");
    assert!(out(&called).contains("[tool call] find({"), "{called:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_answer_has_its_exit_code() {
    let sim = Sim::start(&["--ttft", "1ms", "--gap", "0ms"]);
    let gateway = over(&sim).await;
    let url = gateway.url("");
    let unknown = chat(&["smal", "--url", &url, "hi"], "").await;
    assert_eq!((unknown.status.code(), out(&unknown)), (Some(4), String::new()), "{unknown:?}");
    assert!(
        err(&unknown).contains("Did you mean `small`?") && err(&unknown).contains("404 model_not_found"),
        "{unknown:?}"
    );

    let body = serde_json::json!({ "kind": "die-after:3", "times": 1 });
    crate::support::http().post(sim.url() + "/sim/fault").json(&body).send().await.expect("engine");
    let died = chat(&["small", "--url", &url, "hi"], "").await;
    assert_eq!(died.status.code(), Some(1), "{died:?}");
    assert!(err(&died).contains("engine_died") && !out(&died).is_empty(), "what came is shown: {died:?}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let nobody = chat(&["small", "--url", &free.to_string(), "hi"], "").await;
    assert_eq!(nobody.status.code(), Some(3), "{nobody:?}");
    for (args, input) in
        [(&["small", "--url", &url][..], " \n"), (&[][..], "hi"), (&["small", "--set", "a={", "hi"][..], "")]
    {
        assert_eq!(chat(args, input).await.status.code(), Some(2), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_holds_a_conversation() {
    let Some(python) = crate::support::python::with("pty") else { return };
    // An answer takes a second: long enough to be stopped.
    let sim = Sim::start(&["--ttft", "5ms", "--gap", "30ms"]);
    let gateway = over(&sim).await;
    let said = python.run("terminal_chat.py", &[BINARY, &gateway.url(""), "small"]).await;
    assert_eq!(said, "exit 0");
    // The answer that was stopped is aborted, and the turn before it was not forgotten.
    crate::support::eventually("the abort", async || (sim.stat("aborted").await == 1).then_some(())).await;
    let last = sim.last_request().await;
    let last: Value = serde_json::from_str(last["body"].as_str().expect("text")).expect("JSON");
    let messages = last["messages"].as_array().expect("messages");
    let roles: Vec<_> = messages.iter().filter_map(|message| message["role"].as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"], "{last}");
    assert_eq!(
        (&messages[1]["content"], &messages[3]["content"]),
        (&"How are you?".into(), &"And now?".into()),
        "{last}"
    );
}
