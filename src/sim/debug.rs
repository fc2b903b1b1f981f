//! `/sim/stats` and `/sim/fault`: what was counted, what shall fail.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::engine::{Engine, Wedge};
use super::faults::Fault;
use super::wire::reply;

/// `GET /sim/stats`
pub(super) fn stats(engine: &Engine) -> Response {
    let stats = engine.stats.counts();
    reply::ok(&json!({
        "started": stats.started, "completed": stats.completed, "aborted": stats.aborted,
        "last_abort_micros": stats.last_abort_micros, "in_flight": stats.in_flight(),
        "running": engine.scheduler.running(), "waiting": engine.scheduler.waiting(),
        "connections": stats.connections, "open_connections": stats.open_connections, "pid": std::process::id(),
    }))
}

/// `POST /sim/fault {"kind": …, "times": N, "path": …}`; `{"kind": "none"}` forgets all that wait. `wedge`,
/// `core-stopped`, `unwedge` and `core-dead` are at once.
pub(super) fn plan(engine: &Engine, body: &[u8]) -> Response {
    let wrong = |why: String| reply::detail(StatusCode::BAD_REQUEST, &why);
    let order: Value = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(why) => {
            return wrong(format!("The body is no JSON ({why}); send {{\"kind\": \"status:503\", \"times\": 1}}."));
        }
    };
    let kind = order.get("kind").and_then(Value::as_str).unwrap_or_default();
    if matches!(kind, "none" | "wedge" | "core-stopped" | "unwedge" | "core-dead") {
        let wedge = match kind {
            "wedge" => Some(Wedge::Stuck),
            "core-stopped" => Some(Wedge::CoreStopped),
            _ => None,
        };
        engine.scheduler.wedge(wedge);
        engine.scheduler.kill_core(kind == "core-dead");
        if kind == "none" {
            engine.faults.clear();
        }
        return reply::ok(&json!({ "waiting": engine.faults.waiting(), "wedged": wedge.is_some() }));
    }
    let fault: Fault = match kind.parse() {
        Ok(fault) => fault,
        Err(why) => return wrong(why),
    };
    let times = order.get("times").and_then(Value::as_u64).map_or(1, |times| usize::try_from(times).unwrap_or(1));
    if times == 0 {
        return wrong("times is 0; say how many requests shall fail.".into());
    }
    let path = order.get("path").and_then(Value::as_str).map(Into::into);
    reply::ok(&json!({ "waiting": engine.faults.plan(fault, times, path) }))
}
