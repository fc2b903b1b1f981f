//! `/sleep`, `/wake_up`, `/collective_rpc`, `/pause` and `/resume`.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::engine::Engine;
use super::log;
use super::wire::errors::Fail;
use super::wire::query::{parameter, parameters};
use super::wire::reply;

/// GiB that sleep seems to free of weights (kept in host memory at level 1) and KV cache, and that stay in use.
const FREED: (f64, f64) = (65.39, 1.85);

/// `POST /sleep?level=0..2&mode=abort|wait|keep`
pub(super) async fn sleep(engine: &Engine, query: &str) -> Result<Response, Fail> {
    let text = parameter(query, "level").unwrap_or("1");
    let level = match text.parse::<i64>() {
        Ok(level @ 0..=2) => u8::try_from(level).unwrap_or(1),
        Ok(level) => {
            let (kind, msg, bound) = if level > 2 {
                ("less_than_equal", "less than or equal to 2", "'le': 2")
            } else {
                ("greater_than_equal", "greater than or equal to 0", "'ge': 0")
            };
            return Err(wrong_query(
                "level",
                kind,
                &format!("Input should be {msg}"),
                text,
                &format!(", 'ctx': {{{bound}}}"),
            ));
        }
        Err(_) => {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            return Err(wrong_query("level", "int_parsing", msg, text, ""));
        }
    };
    stop(engine, parameter(query, "mode").unwrap_or("abort")).await?;
    let slept = engine.sleep.state();
    if level > 0 && slept.weights {
        log::from("EngineCore", "WARNING", "abstract.py:382", "Executor is already sleeping.");
    } else if level > 0 {
        tokio::time::sleep(engine.settings.args.sleep_takes).await;
        let (freed, used) = if engine.settings.args.enable_sleep_mode { FREED } else { (0.0, FREED.0 + FREED.1) };
        let text = format!("Sleep mode freed {freed:.2} GiB memory, {used:.2} GiB memory is still in use.");
        log::from("Worker", "INFO", "gpu_worker.py:326", &text);
        let seconds = engine.settings.args.sleep_takes.as_secs_f64();
        log::from("EngineCore", "INFO", "abstract.py:390", &format!("It took {seconds:.6} seconds to fall asleep."));
    }
    engine.sleep.change(|state| {
        // What was thrown away does not come back by sleeping less deep.
        state.discarded |= level == 2 && !state.weights;
        // Level 0 only stops the scheduler; for an observer it sleeps nonetheless.
        (state.level, state.weights, state.kv_cache) = (level.max(1), true, true);
    });
    Ok(reply::ok(&json!({ "status": "sleeping", "level": level })))
}

/// `POST /wake_up?tags=weights&tags=kv_cache`
pub(super) async fn wake_up(engine: &Engine, query: &str) -> Response {
    let tags: Vec<&str> = parameters(query, "tags").collect();
    let python = |tags: &[&str], open: char, close: char| {
        let quoted: Vec<String> = tags.iter().map(|tag| format!("'{tag}'")).collect();
        format!("{open}{}{close}", quoted.join(", "))
    };
    let asked = if tags.is_empty() { "None".into() } else { python(&tags, '[', ']') };
    log::info("api_router.py:48", &format!("wake up the engine with tags: {asked}"));
    if engine.sleep.level() > 0 {
        tokio::time::sleep(engine.settings.args.sleep_takes).await;
        let woken = if tags.is_empty() { python(&["weights", "kv_cache"], '{', '}') } else { asked };
        let seconds = engine.settings.args.sleep_takes.as_secs_f64();
        let text = format!("It took {seconds:.6} seconds to wake up tags {woken}.");
        log::from("EngineCore", "INFO", "abstract.py:408", &text);
    } else {
        log::from("EngineCore", "WARNING", "abstract.py:396", "Executor is not sleeping.");
    }
    let wakes = |tag: &str| tags.is_empty() || tags.contains(&tag);
    let state = engine.sleep.change(|state| {
        state.weights &= !wakes("weights");
        state.kv_cache &= !wakes("kv_cache");
        if !state.weights && !state.kv_cache {
            state.level = 0;
        }
    });
    if state.level == 0 && !state.paused {
        engine.scheduler.set(true, true);
    }
    let status = if state.level == 0 { "awake" } else { "sleeping" };
    reply::ok(&json!({ "status": status, "tags": (!tags.is_empty()).then_some(tags) }))
}

/// `POST /collective_rpc {"method": …}`: `reload_weights` ends what level 2 left.
pub(super) fn collective_rpc(engine: &Engine, body: &[u8]) -> Response {
    let wrong = |why: &str| reply::detail(StatusCode::BAD_REQUEST, why);
    let asked: Value = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(why) => return wrong(&format!("JSON decode error: {why}")),
    };
    if !asked.is_object() {
        return wrong("Request body must be a JSON object");
    }
    let Some(method) = asked.get("method").and_then(Value::as_str) else {
        return wrong("Missing 'method' in request body");
    };
    if method == "reload_weights" {
        if engine.sleep.state().weights {
            // There is no memory to load them to.
            return Fail::internal("CUDA error: an illegal memory access was encountered").reply();
        }
        engine.sleep.change(|state| state.discarded = false);
        log::from("Worker", "INFO", "default_loader.py:501", "Loading weights took 0.01 seconds");
    }
    reply::ok(&json!({ "results": [null] }))
}

/// `POST /pause?mode=abort|wait|keep`
pub(super) async fn pause(engine: &Engine, query: &str) -> Result<Response, Fail> {
    stop(engine, parameter(query, "mode").unwrap_or("abort")).await?;
    engine.sleep.change(|state| state.paused = true);
    Ok(reply::ok(&json!({ "status": "paused" })))
}

/// `POST /resume`
pub(super) fn resume(engine: &Engine) -> Response {
    let state = engine.sleep.change(|state| state.paused = false);
    if state.level == 0 {
        engine.scheduler.set(true, true);
    }
    reply::ok(&json!({ "status": "resumed" }))
}

async fn stop(engine: &Engine, mode: &str) -> Result<(), Fail> {
    match mode {
        "abort" => {
            engine.scheduler.set(false, true);
            engine.scheduler.abort_all();
            engine.scheduler.idle().await;
        }
        "wait" => {
            engine.scheduler.set(false, true);
            engine.scheduler.idle().await;
        }
        "keep" => {}
        other => {
            let msg = "Input should be 'abort', 'wait' or 'keep'";
            return Err(wrong_query(
                "mode",
                "literal_error",
                msg,
                other,
                ", 'ctx': {'expected': \"'abort', 'wait' or 'keep'\"}",
            ));
        }
    }
    engine.scheduler.set(false, false);
    Ok(())
}

fn wrong_query(name: &str, kind: &str, msg: &str, input: &str, context: &str) -> Fail {
    let fault = format!("{{'type': '{kind}', 'loc': 'query.{name}', 'msg': '{msg}', 'input': '{input}'{context}}}");
    Fail::validation(&[fault], Some(&format!("query.{name}")))
}
