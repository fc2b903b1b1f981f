//! Configurations that cannot work: what `enginehouse check` says of them, and callers of a gateway that runs them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::house::{START, Setup, ms, yaml};
use crate::lodge::{self, House as Lodge, pid_of};
use crate::processes;
use crate::support::http;

/// `enginehouse check` asks the real vLLM which flags there are, and reads what the model needs.
pub async fn checked(setup: &Setup) -> String {
    let lodge = Lodge::new();
    let check = |model: &Value| {
        lodge.write(&yaml(&json!({ "tiny": model })), None);
        let mut command = std::process::Command::new(lodge::BINARY);
        lodge.prepare(&mut command);
        // Nothing that was asked before is known.
        command.env("XDG_CACHE_HOME", lodge.path().join("cache")).stdout(std::process::Stdio::piped());
        let since = Instant::now();
        let output = command.arg("check").arg(lodge.path().join("house.yaml")).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr), since.elapsed())
    };
    let (fits, out, err, first) = check(&setup.model(&json!({ "args": { "max-model-length": 512 } })));
    assert!(!fits, "{out}");
    assert!(err.contains("`max-model-length`") && err.contains("Did you mean `max-model-len`?"), "{err}");
    let (fits, out, err, again) = check(&setup.model(&json!({})));
    assert!(fits && err.is_empty(), "{err}");
    let needs = out.lines().find(|line| line.starts_with("tiny needs ")).unwrap_or_else(|| panic!("no needs: {out}"));
    assert!(needs.contains("of weights") && needs.contains("KV cache per token"), "{needs}");
    format!("{} the first time, then {}: {needs}", ms(first), ms(again))
}

/// A model that is not there, and a flag that vLLM does not know: callers hear why as soon as vLLM has ended.
pub async fn told(setup: &Setup) -> String {
    let missing = setup.model(&json!({ "source": "/nowhere/model", "restart": "off", "lora": {} }));
    let flag = setup.model(&json!({ "args": { "no-such-flag": 1 }, "restart": "off", "lora": {} }));
    let (lodge, mut gateway) = Lodge::open(&yaml(&json!({ "missing": missing, "flag": flag })));
    let failure = |model: &'static str, words: &'static [&'static str]| {
        let gateway = &gateway;
        async move {
            let id = format!("{model}/0");
            let pid = lodge::until("it to be started", async || pid_of(&gateway.engine(&id).await)).await;
            let since = Instant::now();
            while processes::lives(pid) {
                assert!(since.elapsed() < START, "{model} still runs");
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let (lived, ended) = (gateway.started.elapsed(), Instant::now());
            let message = lodge::until("the reason", async || {
                let (status, answer) = gateway.ask(model).await;
                assert_eq!(status, 503, "{answer}");
                (answer["error"]["code"] == "model_failed").then(|| answer["error"]["message"].to_string())
            })
            .await;
            let told = ended.elapsed();
            assert!(told < std::time::Duration::from_secs(1), "{told:?}");
            for word in words {
                assert!(message.contains(word), "no {word} in {message}");
            }
            let engine = gateway.engine(&id).await;
            assert!(engine["log"].as_array().is_some_and(|lines| !lines.is_empty()), "{engine}");
            assert_eq!(http().get(gateway.url("/livez")).send().await.expect("answered").status(), 200);
            format!("{model} after {:.1} s, told within {}: {message}", lived.as_secs_f64(), ms(told))
        }
    };
    let (missing, flag) =
        tokio::join!(failure("missing", &["/nowhere/model", "exit code 1"]), failure("flag", &["--no-such-flag"]));
    gateway.stop().await;
    lodge.assert_empty();
    format!("{missing}; {flag}")
}
