//! `enginehouse import`: configurations of other programs through the real binary, with its exit codes, and served.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Gateway, Sim, http};

/// What the binary says to `words`, with `input` on its standard input.
fn run(words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_enginehouse"))
        .args(words)
        .env("PATH", "/nonexistent")
        .envs(VARIABLES.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ran");
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("ended")
}

/// Variables that the imported configurations name.
const VARIABLES: &[(&str, &str)] = &[
    ("HF_TOKEN", "hf-token"),
    ("CAREFUL_CACHE_TOKEN", "cache-token"),
    ("EMBED_API_KEY", "embed-key"),
    ("LLAMA_SWAP_API_KEY_1", "first-key"),
    ("SECOND_CLIENT_KEY", "second-key"),
    ("ROUTER_API_KEY", "router-key"),
    ("VLLM_KEY", "vllm-key"),
    ("ORDERED_1_API_KEY", "ordered-key"),
    ("SPARE_BASE", "http://10.0.0.3:8000/v1"),
    ("LITELLM_MASTER_KEY", "master-key"),
    ("OPENAI_API_KEY", "openai-key"),
    ("SHARED_API_KEY", "shared-key"),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The files of a folder of tests/imported.
fn files(folder: &str) -> Vec<String> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imported").join(folder);
    let paths = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut all: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    all.sort();
    assert!(all.len() >= 2, "{all:?}");
    all
}

/// Imports `files` and checks the result.
fn imports_and_passes(program: &str, files: &[&str]) {
    let imported = run(&[&["import", program], files].concat(), "");
    let (out, err) = (text(&imported.stdout), text(&imported.stderr));
    assert_eq!(imported.status.code(), Some(0), "{files:?}\n{err}{out}");
    assert!(out.starts_with(&format!("# Made by `enginehouse import {program}` from ")), "{out}");
    assert!(err.contains("Please read, and act where needed:\n"), "{err}");
    let checked = run(&["check", "-"], &out);
    assert_eq!(checked.status.code(), Some(0), "{files:?}\n{}\n{out}", text(&checked.stderr));
}

#[test]
fn configurations_of_vllm_cli_are_imported_and_pass_the_check() {
    let all = files("vllm-cli");
    imports_and_passes("vllm-cli", &all.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn configurations_of_llama_swap_are_imported_and_pass_the_check() {
    files("llama-swap").iter().for_each(|file| imports_and_passes("llama-swap", &[file]));
}

#[test]
fn configurations_of_litellm_are_imported_and_pass_the_check() {
    files("litellm").iter().for_each(|file| imports_and_passes("litellm", &[file]));
}

#[test]
fn the_exit_code_tells_what_became_of_an_import() {
    for (program, none, wrong) in [
        (
            "vllm-cli",
            "a: 1",
            "models: [{ name: a, model_path: m, gpu_ids: [0], config_overrides: { gpu_memory_utilization: 0.6 } }, { name: b, model_path: n, gpu_ids: [0], config_overrides: { gpu_memory_utilization: 0.6 } }]",
        ),
        ("llama-swap", "a: 1", "peers: { p: { proxy: 'http://10.0.0.1:99999', models: [m] } }"),
        (
            "litellm",
            "a: 1",
            "model_list: [{ model_name: m, litellm_params: { model: hosted_vllm/m, api_base: 'http://10.0.0.1:99999/v1' } }]",
        ),
    ] {
        for (words, input, code, part) in [
            (vec!["import", program, "-"], none, 1, "Nothing was imported"),
            (vec!["import", program, "-"], "a: [", 1, "not usable YAML or JSON"),
            (vec!["import", program, "/nonexistent/file.yaml"], "", 1, "/nonexistent/file.yaml: cannot be read"),
            (vec!["import", program, "-"], wrong, 1, "The configuration has 1 error to correct"),
            (vec!["import", program], "", 2, "Usage: enginehouse import"),
            (vec!["import", program, "--help"], "", 0, ""),
        ] {
            let got = run(&words, input);
            let err = text(&got.stderr);
            assert_eq!(got.status.code(), Some(code), "{words:?}: {err}");
            assert!(err.contains(part), "{words:?}: {part} in {err}");
            assert_eq!(got.stdout.is_empty(), input != wrong && code != 0, "{words:?}: {}", text(&got.stdout));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn litellms_configuration_is_imported_and_served() {
    let sim = Sim::start(&[]);
    let yaml = format!(
        "model_list:\n- {{ model_name: chat, litellm_params: {{ model: hosted_vllm/tiny, api_base: {}/v1, temperature: 0.25 }} }}\n\
         router_settings: {{ model_group_alias: {{ gpt-4o: chat }} }}\n",
        sim.url()
    );
    let imported = run(&["import", "litellm", "-"], &yaml);
    let out = text(&imported.stdout);
    assert!(imported.status.success(), "{out}{}", text(&imported.stderr));
    let own = |line: &&str| !line.starts_with("listen:") && !line.starts_with("admin:");
    let gateway = Gateway::ready(&out.lines().filter(own).collect::<Vec<_>>().join("\n")).await;
    let body = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "hi" }] });
    let reply = http().post(gateway.url("/v1/chat/completions")).json(&body).send().await.expect("answered");
    assert_eq!(reply.status(), 200);
    let seen = sim.last_request().await;
    let got: Value = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
    assert_eq!((&got["model"], &got["temperature"]), (&json!("tiny"), &json!(0.25)));
}
