//! Requests, and what they ask for.

use super::*;
use crate::admin::action::Action;
use crate::api::AdapterView;
use crate::supervisor::{Command, Order};

fn ask_with(method: Method, path: &str, body: &str) -> Result<Ask, u16> {
    let uri: Uri = path.parse().expect("a path");
    let known = ["m", "org/m", "x/lora", "a/lora/b"];
    parse(&method, &uri, body.as_bytes(), |name| known.contains(&name)).map_err(|error| error.status.as_u16())
}

fn ask(method: Method, path: &str) -> Result<Ask, u16> {
    ask_with(method, path, "")
}

fn done(order: Order) -> Result<Ask, u16> {
    Ok(Ask::Do(Action::Order(order), true))
}

#[test]
fn names_may_hold_slashes_in_either_spelling() {
    for id in ["org/m/0", "org%2Fm%2F0", "org%2Fm/0"] {
        let wanted = Order::Engine("org/m/0".into(), Command::Stop);
        assert_eq!(ask(Method::POST, &format!("/api/v1/engines/{id}/stop")), done(wanted));
        assert_eq!(ask(Method::GET, &format!("/api/v1/engines/{id}")), Ok(Ask::Read(Read::Engine("org/m/0".into()))));
        let metrics = ask(Method::GET, &format!("/api/v1/engines/{id}/metrics"));
        assert_eq!(metrics, Ok(Ask::EngineMetrics("org/m/0".into())));
    }
    for model in ["org/m", "org%2fm"] {
        let path = format!("/api/v1/models/{model}");
        assert_eq!(ask(Method::GET, &path), Ok(Ask::Read(Read::Model("org/m".into()))));
        assert_eq!(ask(Method::POST, &(path.clone() + "/roll")), done(Order::Roll("org/m".into())));
        assert_eq!(ask(Method::GET, &(path.clone() + "/lora")), Ok(Ask::Read(Read::Adapters("org/m".into()))));
        let remove = Order::RemoveAdapter("org/m".into(), "team/sql".into());
        assert_eq!(ask(Method::DELETE, &(path + "/lora/team/sql")), done(remove));
    }
}

#[test]
fn a_name_that_looks_like_a_path_is_a_name_when_there_is_such_a_model() {
    assert_eq!(ask(Method::GET, "/api/v1/models/x/lora"), Ok(Ask::Read(Read::Model("x/lora".into()))));
    assert_eq!(ask(Method::GET, "/api/v1/models/x/lora/lora"), Ok(Ask::Read(Read::Adapters("x/lora".into()))));
    let remove = |model: &str, name: &str| done(Order::RemoveAdapter(model.into(), name.into()));
    assert_eq!(ask(Method::DELETE, "/api/v1/models/a/lora/b/lora/c"), remove("a/lora/b", "c"));
    assert_eq!(ask(Method::DELETE, "/api/v1/models/m/lora/b/lora/c"), remove("m", "b/lora/c"));
    assert_eq!(ask(Method::DELETE, "/api/v1/models/no/lora/c"), remove("no", "c"));
}

#[test]
fn options_are_understood_or_refused() {
    let sleep = |level| Order::Model("m".into(), Command::Sleep(level));
    assert_eq!(ask(Method::POST, "/api/v1/models/m/sleep"), done(sleep(1)));
    assert_eq!(ask(Method::POST, "/api/v1/models/m/sleep?level=2"), done(sleep(2)));
    assert_eq!(ask(Method::POST, "/api/v1/models/m/sleep?wait=false"), Ok(Ask::Do(Action::Order(sleep(1)), false)));
    for bad in ["sleep?level=3", "sleep?level=0", "sleep?level=x", "sleep?lvl=1", "stop?level=1", "stop?wait=maybe"] {
        assert_eq!(ask(Method::POST, &format!("/api/v1/models/m/{bad}")), Err(400), "{bad}");
        assert_eq!(ask(Method::POST, &format!("/api/v1/engines/m/0/{bad}")), Err(400), "{bad}");
    }
    assert_eq!(ask(Method::POST, "/api/v1/models/%FF/stop"), Err(400));
}

#[test]
fn bodies_are_understood_or_refused() {
    let scale = |body| ask_with(Method::PUT, "/api/v1/models/m/replicas", body);
    assert_eq!(scale(r#"{"replicas": 3}"#), done(Order::Scale("m".into(), 3)));
    for bad in ["", "3", r#"{"replicas": 0}"#, r#"{"replicas": -1}"#, r#"{"replicas": 1e9}"#, r#"{"replicas":1,"x":1}"#]
    {
        assert_eq!(scale(bad), Err(400), "{bad}");
    }
    assert_eq!(scale(r#"{"replicas": 100000}"#), Err(400));
    let add = |body| ask_with(Method::POST, "/api/v1/models/m/lora", body);
    let adapter = AdapterView { name: "a".into(), path: "/p".into() };
    assert_eq!(add(r#"{"name": "a", "path": "/p"}"#), done(Order::AddAdapter("m".into(), adapter)));
    assert_eq!(add(r#"{"name": "a"}"#), Err(400));
}

#[test]
fn what_is_not_there_is_not_found_and_wrong_methods_are_told() {
    for path in ["/api/v1/", "/api/v1/cats", "/api/v1/engines/m/0/explode", "/api/v1/models/m/explode"] {
        assert_eq!(ask(Method::POST, path), Err(404), "{path}");
    }
    for path in ["engines/m/0/restart", "engines/org/m/0/stop", "models/m/roll", "models/m/replicas"] {
        assert_eq!(ask(Method::GET, &format!("/api/v1/{path}")), Err(405), "{path}");
    }
    assert_eq!(ask(Method::GET, "/api/v1/models/"), Err(404));
    assert_eq!(ask(Method::POST, "/api/v1/models/m"), Err(404));
    for (method, path) in [
        (Method::POST, "/api/v1/engines"),
        (Method::POST, "/api/v1/gpus"),
        (Method::POST, "/api/v1/sd"),
        (Method::POST, "/api/v1/engines/m/0/metrics"),
        (Method::POST, "/api/v1/log-level"),
        (Method::DELETE, "/api/v1/engines/m/0"),
        (Method::PATCH, "/api/v1/models/m"),
        (Method::POST, "/api/v1/models/m/replicas"),
    ] {
        assert_eq!(ask(method, path), Err(405), "{path}");
    }
}
