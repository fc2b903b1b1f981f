//! The official Python packages of OpenAI and Anthropic talk to the gateway as they talk to their own makers' servers.

use crate::support::{Gateway, Sim, eventually, python};

/// A gateway with a model that chats and embeds, an alias of it, and a model whose engine was not started.
async fn start() -> (Sim, tokio::net::TcpSocket, Gateway) {
    let sim = Sim::start(&["--max-model-len", "512", "--gap", "10ms", "--tokens", "40"]);
    // Bound, so that the port stays ours, and not listening: connections are refused.
    let nobody = tokio::net::TcpSocket::new_v4().expect("socket");
    nobody.bind("127.0.0.1:0".parse().expect("address")).expect("bound");
    let yaml = format!(
        r#"
models:
  small: {{ urls: ["{}"] }}
  down: {{ urls: ["http://{}"] }}
aliases:
  small-short:
    model: small
    remove: [logit_bias]
    limits: {{ max_tokens: 8 }}
    overrides: {{ chat_template_kwargs: {{ enable_thinking: false }} }}
"#,
        sim.url(),
        nobody.local_addr().expect("address"),
    );
    let gateway = Gateway::start(&yaml);
    eventually("the model `small` to be ready", || async {
        let engines = gateway.engines().await;
        engines.iter().any(|engine| engine["model"] == "small" && engine["state"] == "ready").then_some(())
    })
    .await;
    (sim, nobody, gateway)
}

async fn drive(package: &str) {
    let Some(python) = python::with(package) else { return };
    let (sim, _nobody, gateway) = start().await;
    let arguments = [
        ["--gateway", &gateway.url("")],
        ["--engine", &sim.url()],
        ["--model", "small"],
        ["--short", "small-short"],
        ["--embed", "small"],
        ["--down", "down"],
    ];
    python.run(&format!("{package}_client.py"), arguments.as_flattened()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_package_finds_everything_as_it_expects() {
    drive("openai").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_package_finds_everything_as_it_expects() {
    drive("anthropic").await;
}
