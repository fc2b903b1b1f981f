//! The real binary over a real vLLM that it starts, serves and stops itself: `ENGINEHOUSE_VLLM=/path/to/bin/vllm` and
//! `ENGINEHOUSE_VLLM_MODEL=/path/to/model` (see `.ci/vllm`); skipped without them.
//!
//! A start of vLLM takes a minute of processor time, so the checks share one: a check is a function, and a test runs those
//! of one start in order. Only a start that fails, a stop while loading, a sudden death and two engines under load need
//! starts of their own; `ENGINEHOUSE_VLLM_CYCLES` sets how many deaths under load there are (3, if not set).

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod chaos;
mod failing;
mod fixture;
mod gym;
mod life;
mod lives;
mod operators;
mod streams;

use std::sync::{Mutex, PoisonError};

use fixture::{Fixture, Setup, step};
use serde_json::json;

/// One test at a time: a start has both cores of a small machine to itself.
fn run(checks: impl AsyncFnOnce(&Setup)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let Some(setup) = fixture::setup() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(checks(&setup));
}

#[test]
fn a_stop_while_it_loads() {
    run(async |setup| {
        step("a configuration is checked", failing::checked(setup)).await;
        step("a stop while it loads leaves nothing behind", life::stopped_while_loading(setup)).await;
    });
}

#[test]
fn one_engine_is_started_served_and_stopped() {
    run(one_start);
}

#[test]
fn one_engine_dies_and_outlives_its_gateway() {
    run(many_starts);
}

#[test]
fn two_engines_under_load() {
    run(a_deployment_of_two);
}

#[test]
fn a_full_disk() {
    run(async |setup| {
        step("a disk that fills up under load takes nobody down", chaos::disk_fills_up(setup)).await;
    });
}

/// What one start is enough for.
async fn one_start(setup: &Setup) {
    let mut fixture = step("it is loading, and says so", life::loading(setup, &setup.yaml())).await;
    step("it becomes ready", life::becomes_ready(&fixture)).await;
    every_check(&fixture).await;
    step("an adapter is added", operators::adds_an_adapter(&fixture)).await;
    step("it sleeps at level 1 and wakes", operators::sleeps(&fixture, 1)).await;
    step("it sleeps at level 2 and wakes", operators::sleeps(&fixture, 2)).await;
    step("a gateway that is killed is replaced", lives::gateway_is_killed(&mut fixture)).await;
    step("the adapter still answers", operators::adapter_answers(&fixture)).await;
    step("the adapter is removed", operators::removes_the_adapter(&fixture)).await;
    step("a told stop lets a stream finish and leaves nothing behind", life::stops(fixture)).await;
}

/// An engine that dies, dies again, and outlives its gateway.
async fn many_starts(setup: &Setup) {
    let yaml = setup.with(&json!({ "stall_timeout": "10s", "restart": { "initial_backoff": "1s" } }));
    let mut fixture = step("another one is loading", life::loading(setup, &format!("on_exit: keep\n{yaml}"))).await;
    step("it becomes ready", life::becomes_ready(&fixture)).await;
    step("an adapter is added", operators::adds_an_adapter(&fixture)).await;
    step("a server that is killed is told of, swept up and replaced", lives::server_is_killed(&mut fixture)).await;
    step("the adapter is there again", operators::adapter_answers(&fixture)).await;
    step("an engine core that hangs is told of, swept up and replaced", lives::core_hangs(&mut fixture)).await;
    step("the adapter is there again", operators::adapter_answers(&fixture)).await;
    step("it outlives its gateway until it is ended", lives::is_kept_and_ended(fixture)).await;
}

/// Two replicas, and callers who never rest.
async fn a_deployment_of_two(setup: &Setup) {
    let mut two = step("two engines become ready", chaos::open(setup)).await;
    step("what cannot be loaded beside them is told, and disturbs nobody", chaos::failures_beside(&two)).await;
    step("one of both is killed again and again", chaos::killed_again_and_again(&mut two)).await;
    step("the core of one of both is killed again and again", chaos::cores_are_killed(&mut two)).await;
    step("one that is paused by somebody else is left alone", chaos::one_is_paused(&two)).await;
    step("a gateway that is killed under load is replaced", chaos::gateway_is_killed(&mut two, setup)).await;
    step("a state directory that vanishes takes nobody down", chaos::state_vanishes(&two)).await;
    step("a told stop under load leaves nothing behind", chaos::stops(two)).await;
}

async fn every_check(fixture: &Fixture) {
    step("models are merged with what the engine says", answers::models(fixture)).await;
    step("chat answers, and is counted", answers::plain(fixture)).await;
    step("completions answer", answers::completions(fixture)).await;
    step("responses answer", answers::responses(fixture)).await;
    step("messages answer and count", answers::messages(fixture)).await;
    step("text becomes tokens and text again", answers::tokens(fixture)).await;
    step("aliases change the prompt", answers::thinking(fixture)).await;
    step("limits hold", answers::limits(fixture)).await;
    step("fields that we do not know arrive", answers::unknown_fields(fixture)).await;
    step("the engine's own errors stay as they are", answers::engines_errors(fixture)).await;
    step("an unknown model is refused by us", answers::unknown_model(fixture)).await;
    step("control routes are not reachable", answers::control_routes(fixture)).await;
    step("a LoRA adapter is a model", answers::adapter(fixture)).await;
    step("chat streams as it is made, and is counted", streams::chat(fixture)).await;
    step("responses stream", streams::responses(fixture)).await;
    step("messages stream", streams::messages(fixture)).await;
    step("many streams at once are all whole", streams::many(fixture)).await;
    step("who leaves a stream ends its work", streams::leaving(fixture)).await;
    step("who leaves before the answer ends its work", streams::leaving_early(fixture)).await;
    step("with NeMo Gym's rules tokens are the engine's own, from either of its APIs", gym::chat(fixture)).await;
    step("... also in responses and messages", gym::others(fixture)).await;
    step("... and too long a prompt is an empty answer", gym::too_long(fixture)).await;
    official_packages(fixture).await;
}

/// What the official packages find over each API, by what the engine does for it.
async fn official_packages(fixture: &Fixture) {
    let can = ["--tools", "--reasoning"];
    for package in ["openai", "anthropic"] {
        let script = format!("{package}_client.py");
        step(
            &format!("the official {package} package is content"),
            fixture.python(package, &script, ["tiny", "tiny-short"], &can),
        )
        .await;
        let names = ["tiny-chat", "tiny-chat-short"];
        let translated = ["--translated", "--tools", "--reasoning"];
        step("... and over Chat Completions alone", fixture.python(package, &script, names, &translated)).await;
    }
    let both = "openai, anthropic";
    for alias in ["tiny-gym", "tiny-gym-ids"] {
        let check = fixture.python(both, "gym_client.py", [alias; 2], &can);
        step(&format!("both are, with NeMo Gym's rules ({alias})"), check).await;
    }
    for alias in ["tiny-gym-rendered", "tiny-gym-rendered-ids"] {
        let check = fixture.python(both, "gym_client.py", [alias; 2], &[]);
        step(&format!("... and over completions, which know neither calls nor reasoning ({alias})"), check).await;
    }
}
