//! All paths of the operators' API: what they take and what they answer.

use std::borrow::Cow;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::api::{
    ActionView, AdapterView, AdaptersView, AliasView, AliasesView, AuditView, CallerView, CallersView, ConfigChange,
    EngineView, EnginesView, ErrorView, GpusView, LogLevelView, LogsView, ModelView, ModelsView, NotReadyView,
    OperationView, OperationsView, OverlayView, RatesView, ReloadReport, RequestView, RequestsView, SetLogLevel,
    StatusView, TargetView,
};

/// One method of one path.
pub(super) struct Route {
    /// In lower case.
    pub(super) method: &'static str,
    /// With `{names}` of what is to be filled in.
    pub(super) path: Cow<'static, str>,
    pub(super) summary: &'static str,
    /// Parameters, with what they mean.
    pub(super) query: &'static [(&'static str, &'static str)],
    pub(super) body: Option<Body>,
    /// Statuses, what they mean, and what comes with them.
    pub(super) answers: Vec<(u16, &'static str, Option<Body>)>,
}

/// What a request or an answer holds.
#[derive(Clone)]
pub(super) enum Body {
    /// JSON of a type.
    Json(fn(&mut SchemaGenerator) -> Value),
    /// What stands under a name in the configuration file, with an example.
    Entry(Value),
    /// Text of this media type.
    Text(&'static str),
}

const WAIT: (&str, &str) =
    ("wait", "false: answer as soon as it is begun (202); it can be followed at /api/v1/operations/{id}");

const PERSIST: (&str, &str) = ("persist", "file: change the configuration file, and not only the state directory");

impl Route {
    fn new(method: &'static str, path: impl Into<Cow<'static, str>>, summary: &'static str) -> Self {
        Self { method, path: path.into(), summary, query: &[], body: None, answers: Vec::new() }
    }

    fn get(path: &'static str, summary: &'static str, answer: fn(&mut SchemaGenerator) -> Value) -> Self {
        Self::new("get", path, summary).answers(200, "How it is.", Some(Body::Json(answer)))
    }

    fn answers(mut self, status: u16, what: &'static str, body: Option<Body>) -> Self {
        self.answers.push((status, what, body));
        self
    }

    fn query(self, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }

    fn takes(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Something that is done with engines.
    fn action(method: &'static str, path: impl Into<Cow<'static, str>>, summary: &'static str) -> Self {
        Self::new(method, path, summary)
            .query(&[WAIT])
            .answers(200, "It is done.", Some(Body::Json(of::<ActionView>)))
            .answers(202, "It is begun.", Some(Body::Json(of::<ActionView>)))
    }

    /// A change of the configuration.
    fn entry(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self::new(method, path, summary)
            .query(&[PERSIST])
            .answers(200, "What changed.", Some(Body::Json(of::<ReloadReport>)))
            .answers(422, "Everything that is wrong; nothing was changed.", Some(Body::Json(of::<ErrorView>)))
    }

    fn new_entry(path: &'static str, summary: &'static str, example: Value) -> Self {
        let added = "It was added: what changed.";
        Self::entry("put", path, summary).takes(Body::Entry(example)).answers(
            201,
            added,
            Some(Body::Json(of::<ReloadReport>)),
        )
    }
}

/// The schema of a type.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().into()
}

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    [probes(), engines(), models(), names(), configuration(), observed()].into_iter().flatten().collect()
}

fn probes() -> Vec<Route> {
    vec![
        Route::new("get", "/livez", "This process is there").answers(200, "It is.", None),
        Route::new("get", "/readyz", "A model is served")
            .query(&[("model", "this one, instead of any")])
            .answers(200, "It is.", None)
            .answers(503, "It is not.", Some(Body::Json(of::<NotReadyView>))),
        Route::new("get", "/metrics", "Metrics for Prometheus").answers(
            200,
            "In the text format of Prometheus.",
            Some(Body::Text("text/plain")),
        ),
        Route::new("post", "/api/v1/login", "Log a browser in: a cookie in place of the token")
            .takes(Body::Entry(json!({ "token": "…" })))
            .answers(204, "The cookie is set.", None)
            .answers(401, "It is another token.", Some(Body::Json(of::<ErrorView>)))
            .answers(409, "No token is needed.", Some(Body::Json(of::<ErrorView>)))
            .answers(413, "No token is so long.", Some(Body::Json(of::<ErrorView>))),
        Route::new("post", "/api/v1/logout", "Log a browser out").answers(204, "The cookie is removed.", None),
        Route::get("/api/v1/openapi.json", "This description", |_| json!({ "type": "object" })),
    ]
}

/// What is done with one engine, or with all of a model: the verb, and what it means for each.
const VERBS: [(&str, &str, &str); 7] = [
    ("start", "Start it; earlier crashes are forgotten", "Start all its engines"),
    ("stop", "Let it finish its requests and end it", "Stop all its engines"),
    ("restart", "Let it finish its requests and start it anew", "Restart all its engines at once"),
    ("drain", "Keep new requests away and wait for those it has", "Drain all its engines"),
    ("undrain", "Let requests come again", "Let requests come to all of them again"),
    ("sleep", "Give its GPU memory back", "Put all its engines to sleep"),
    ("wake", "Take its GPU memory again", "Wake all its engines"),
];

/// The rows of [`VERBS`] below `path`.
fn verbs(path: &str, summary: impl Fn(&(&'static str, &'static str, &'static str)) -> &'static str) -> Vec<Route> {
    const LEVEL: &[(&str, &str)] = &[WAIT, ("level", "1: weights stay in host memory; 2: they are dropped")];
    let route = |row: &(&'static str, _, _)| {
        let route = Route::action("post", format!("{path}/{}", row.0), summary(row));
        if row.0 == "sleep" { route.query(LEVEL) } else { route }
    };
    VERBS.iter().map(route).collect()
}

fn engines() -> Vec<Route> {
    let mut all = vec![
        Route::get("/api/v1/engines", "All engines and their states", of::<EnginesView>),
        Route::get("/api/v1/engines/{engine}", "One engine", of::<EngineView>),
        Route::new("get", "/api/v1/engines/{engine}/metrics", "What an engine itself measures, for Prometheus")
            .answers(200, "In the text format of Prometheus.", Some(Body::Text("text/plain"))),
        Route::get(
            "/api/v1/sd",
            "Where Prometheus finds the metrics of engines: its HTTP service discovery",
            of::<Vec<TargetView>>,
        ),
    ];
    all.extend(verbs("/api/v1/engines/{engine}", |row| row.1));
    all
}

fn models() -> Vec<Route> {
    let mut all = vec![
        Route::get("/api/v1/models", "All models", of::<ModelsView>),
        Route::get("/api/v1/models/{model}", "One model", of::<ModelView>),
        Route::new_entry("/api/v1/models/{model}", "Add or change a model", json!({ "source": "Qwen/Qwen3-8B" })),
        Route::entry("delete", "/api/v1/models/{model}", "Remove a model"),
    ];
    all.extend(verbs("/api/v1/models/{model}", |row| row.2));
    all.extend([
        Route::action("post", "/api/v1/models/{model}/roll", "Replace its engines one by one"),
        Route::action("put", "/api/v1/models/{model}/replicas", "Have so many engines")
            .takes(Body::Entry(json!({ "replicas": 2 }))),
        Route::get("/api/v1/models/{model}/lora", "Its LoRA adapters", of::<AdaptersView>),
        Route::action("post", "/api/v1/models/{model}/lora", "Load a LoRA adapter")
            .takes(Body::Json(of::<AdapterView>)),
        Route::action("delete", "/api/v1/models/{model}/lora/{adapter}", "Unload a LoRA adapter"),
        Route::get("/api/v1/operations", "What operators have done: under way and over", of::<OperationsView>),
        Route::get("/api/v1/operations/{id}", "One operation", of::<OperationView>),
        Route::new("delete", "/api/v1/operations/{id}", "Cancel an operation that is under way").answers(
            202,
            "It is being undone.",
            Some(Body::Json(of::<OperationView>)),
        ),
    ]);
    all
}

fn names() -> Vec<Route> {
    vec![
        Route::get("/api/v1/aliases", "All aliases", of::<AliasesView>),
        Route::get("/api/v1/aliases/{alias}", "One alias", of::<AliasView>),
        Route::new_entry("/api/v1/aliases/{alias}", "Add or change an alias", json!({ "model": "qwen3" })),
        Route::entry("delete", "/api/v1/aliases/{alias}", "Remove an alias"),
        Route::get("/api/v1/callers", "All callers and what they used", of::<CallersView>),
        Route::get("/api/v1/callers/{caller}", "One caller", of::<CallerView>),
        Route::new_entry("/api/v1/callers/{caller}", "Add or change a caller", json!({ "keys": ["${BOT_KEY}"] })),
        Route::entry("delete", "/api/v1/callers/{caller}", "Remove a caller"),
        Route::get("/api/v1/overlay", "What was added, changed and removed while gateways ran", of::<OverlayView>),
        Route::entry("delete", "/api/v1/overlay/models/{model}", "Forget a change of a model").query(&[]),
        Route::entry("delete", "/api/v1/overlay/aliases/{alias}", "Forget a change of an alias").query(&[]),
        Route::entry("delete", "/api/v1/overlay/callers/{caller}", "Forget a change of a caller").query(&[]),
    ]
}

fn configuration() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/configuration",
            "The configuration as it is written, secrets masked",
            |_| json!({ "type": "object" }),
        ),
        Route::new("post", "/api/v1/plan", "What a configuration would change")
            .takes(Body::Text("application/yaml"))
            .answers(200, "What it would change.", Some(Body::Json(of::<ConfigChange>)))
            .answers(422, "Everything that is wrong.", Some(Body::Json(of::<ErrorView>))),
        Route::new("post", "/api/v1/reload", "Read the configuration file again")
            .answers(200, "What changed.", Some(Body::Json(of::<ReloadReport>)))
            .answers(422, "Everything that is wrong.", Some(Body::Json(of::<ReloadReport>))),
        Route::new("post", "/api/v1/shutdown", "End the gateway, as SIGTERM does").answers(
            202,
            "It ends: requests finish, then its engines end unless `on_exit: keep` is configured.",
            None,
        ),
        Route::get("/api/v1/reload", "What became of the last reload", of::<ReloadReport>),
        Route::get("/api/v1/audit", "Who did what, the newest first", of::<AuditView>)
            .query(&[("limit", "how many at most")]),
    ]
}

fn observed() -> Vec<Route> {
    const FILTERS: &[(&str, &str)] = &[
        ("model", "of this model"),
        ("alias", "by this alias"),
        ("engine", "of this engine"),
        ("caller", "of this caller"),
        ("status", "with this status"),
        ("failed", "true: that went wrong"),
        ("limit", "how many at most"),
    ];
    const LINES: &[(&str, &str)] = &[
        ("from", "an engine, a model (all its engines) or `gateway`; without it all, merged"),
        ("lines", "how many at most"),
        ("since", "not older than this: 10m"),
        ("grep", "only those that hold this text"),
        ("follow", "true: lines as they come, as server-sent events"),
    ];
    vec![
        Route::get("/api/v1/status", "The gateway itself", of::<StatusView>),
        Route::get("/api/v1/log-level", "Which lines of its own log the gateway writes", of::<LogLevelView>),
        Route::new("put", "/api/v1/log-level", "Have other lines of it written, until the next restart")
            .takes(Body::Json(of::<SetLogLevel>))
            .answers(200, "So it is.", Some(Body::Json(of::<LogLevelView>))),
        Route::get("/api/v1/gpus", "The GPUs of this machine and the engines on each", of::<GpusView>),
        Route::get("/api/v1/requests", "The newest requests that have ended", of::<RequestsView>).query(FILTERS),
        Route::get("/api/v1/requests/{id}", "One request", of::<RequestView>),
        Route::get("/api/v1/rates", "Requests and tokens a second, and quantiles of times", of::<RatesView>)
            .query(&[("engine", "only those that ended on this engine")]),
        Route::get("/api/v1/logs", "Lines of logs", of::<LogsView>).query(LINES),
        Route::new("get", "/api/v1/events", "What happens, as server-sent events: a snapshot, then what changes")
            .query(&[("kinds", "only these: engine,operation,requests,…")])
            .answers(200, "The data of each message is an Event.", Some(Body::Text("text/event-stream"))),
        Route::new("post", "/api/v1/playground/chat", "A chat request, passed on to the callers' address")
            .takes(Body::Entry(json!({ "model": "qwen3", "messages": [] })))
            .answers(200, "As the gateway answers a caller.", Some(Body::Json(|_| json!({ "type": "object" })))),
    ]
}
