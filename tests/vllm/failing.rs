//! Configurations that cannot work: what `enginehouse check` says of them, and what callers hear of those that are run.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{START, Setup, ms, yaml};
use crate::support::deployment::Deployment;
use crate::support::processes;
use crate::support::{Gateway, eventually, eventually_within, pid_of};

/// `enginehouse check` asks the real vLLM which flags there are, and reads what the model needs.
pub async fn checked(setup: &Setup) -> String {
    let deployment = Deployment::new();
    let check = |model: &Value| {
        deployment.write(&yaml(&json!({ "tiny": model })), None);
        let mut command = std::process::Command::new(crate::support::BINARY);
        deployment.prepare(&mut command);
        // Nothing that was asked before is known.
        command.env("XDG_CACHE_HOME", deployment.path().join("cache")).stdout(std::process::Stdio::piped());
        let since = Instant::now();
        let output = command.arg("check").arg(deployment.path().join("gateway.yaml")).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr), since.elapsed())
    };
    let (fits, out, err, first) = check(&setup.model(&json!({ "args": { "max-model-length": 512 } })));
    assert!(!fits, "{out}");
    assert!(err.contains("args.max-model-length") && err.contains("Did you mean `max-model-len`?"), "{err}");
    let (fits, out, err, again) = check(&setup.model(&json!({})));
    assert!(fits && err.is_empty(), "{err}");
    let needs = out.lines().find(|line| line.starts_with("tiny needs ")).unwrap_or_else(|| panic!("no needs: {out}"));
    assert!(needs.contains("of weights") && needs.contains("KV cache per token"), "{needs}");
    format!("{} the first time, then {}: {needs}", ms(first), ms(again))
}

/// Models that cannot be loaded, each with what its callers must be told.
const HOPELESS: [(&str, &[&str]); 2] = [("missing", &["/nowhere/model", "exit code 1"]), ("flag", &["--no-such-flag"])];

/// A model that is not there, and a flag that vLLM does not know; they start when those of `start_order: 1` are ready.
pub fn hopeless(setup: &Setup) -> [(&'static str, Value); 2] {
    let missing = json!({ "source": "/nowhere/model", "restart": "off", "lora": {}, "start_order": 2 });
    let flag = json!({ "args": { "no-such-flag": 1 }, "restart": "off", "lora": {}, "start_order": 2 });
    [("missing", setup.model(&missing)), ("flag", setup.model(&flag))]
}

/// Callers of both hear why as soon as vLLM has ended.
pub async fn told(gateway: &Gateway) -> String {
    let told = HOPELESS.map(|(model, words)| one_is_told(gateway, model, words));
    futures::future::join_all(told).await.join("; ")
}

async fn one_is_told(gateway: &Gateway, model: &str, words: &[&str]) -> String {
    let id = format!("{model}/0");
    let pid = eventually("it to be started", async || pid_of(&gateway.engine(&id).await)).await;
    let started = Instant::now();
    eventually_within(START, &format!("{model} to end"), async || (!processes::lives(pid)).then_some(())).await;
    let (lived, ended) = (started.elapsed().as_secs_f64(), Instant::now());
    let message = eventually("the reason", async || {
        let (status, answer) = gateway.ask(model).await;
        assert_eq!(status, 503, "{answer}");
        (answer["error"]["code"] == "model_failed").then(|| answer["error"]["message"].to_string())
    })
    .await;
    let told = ended.elapsed();
    assert!(told < Duration::from_secs(1), "{told:?}");
    for word in words {
        assert!(message.contains(word), "no {word} in {message}");
    }
    let engine = gateway.engine(&id).await;
    assert!(engine["log"].as_array().is_some_and(|lines| !lines.is_empty()), "{engine}");
    format!("{model} after {lived:.1} s, told within {}: {message}", ms(told))
}
