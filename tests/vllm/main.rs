//! The real binary over a real vLLM that it starts, serves and stops itself: `ENGINEHOUSE_VLLM=/path/to/bin/vllm` and
//! `ENGINEHOUSE_VLLM_MODEL=/path/to/model` (see `.ci/vllm`); skipped without them.
//!
//! A start of vLLM takes a minute of processor time, so the checks share one: a check is a function, and one test runs
//! them in order. Only a stop while loading and a sudden death need starts of their own.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "../gateway/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the other suite uses the rest")]
mod support;

mod answers;
mod house;
mod life;
mod streams;

use house::{House, step};

#[test]
fn a_real_vllm_is_started_served_and_stopped() {
    let Some(setup) = house::setup() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        step("a stop while it loads leaves nothing behind", life::stopped_while_loading(&setup)).await;
        let house = step("it is loading, and says so", life::loading(&setup)).await;
        step("it becomes ready", life::becomes_ready(&house)).await;
        every_check(&house).await;
        step("a told stop lets a stream finish and leaves nothing behind", life::stops(house)).await;
        let house = step("another one is loading", life::loading(&setup)).await;
        step("it becomes ready", life::becomes_ready(&house)).await;
        step("a server that is killed is told of, and swept up", life::dies(house)).await;
    });
}

async fn every_check(house: &House) {
    step("models are merged with what the engine says", answers::models(house)).await;
    step("chat answers, and is counted", answers::plain(house)).await;
    step("completions answer", answers::completions(house)).await;
    step("responses answer", answers::responses(house)).await;
    step("messages answer and count", answers::messages(house)).await;
    step("text becomes tokens and text again", answers::tokens(house)).await;
    step("aliases change the prompt", answers::thinking(house)).await;
    step("limits hold", answers::limits(house)).await;
    step("fields that we do not know arrive", answers::unknown_fields(house)).await;
    step("the engine's own errors stay as they are", answers::engines_errors(house)).await;
    step("an unknown model is refused by us", answers::unknown_model(house)).await;
    step("control routes are not reachable", answers::control_routes(house)).await;
    step("a LoRA adapter is a model", answers::adapter(house)).await;
    step("chat streams as it is made, and is counted", streams::chat(house)).await;
    step("responses stream", streams::responses(house)).await;
    step("messages stream", streams::messages(house)).await;
    step("many streams at once are all whole", streams::many(house)).await;
    step("who leaves a stream ends its work", streams::leaving(house)).await;
    step("who leaves before the answer ends its work", streams::leaving_early(house)).await;
    step("the official OpenAI package is content", house.python("openai")).await;
    step("the official Anthropic package is content", house.python("anthropic")).await;
}
