//! The operator's HTTP server: metrics, states, and what can be done with engines. It runs in a thread of its own: nothing that
//! is asked here keeps a request waiting.
//!
//! | method and path | what |
//! |---|---|
//! | `GET /` | the dashboard for browsers; for others what this is, as text or JSON (no token asked for) |
//! | `POST /api/v1/login`, `POST /api/v1/logout` | `{"token": "…"}`: a browser's login, a cookie; wrong tokens are answered slowly, one after the other |
//! | `POST /api/v1/playground/chat` | a chat request, passed on to the callers' address |
//! | `GET /livez`, `GET /readyz` | this process is there; a model is served, with `?model=` that one (no token asked for) |
//! | `GET /metrics` | the gateway's metrics, for Prometheus |
//! | `GET /api/v1/sd` | where Prometheus finds the metrics of engines (its HTTP service discovery) |
//! | `GET /api/v1/engines/{engine}/metrics` | what an engine itself measures, passed on |
//! | `GET /api/v1/gpus` | the GPUs of this machine, as read last, and the engines on each |
//! | `GET /api/v1/engines`, `GET /api/v1/engines/{engine}` | engines and their states |
//! | `POST /api/v1/engines/{engine}/start`, `stop`, `restart`, `drain`, `undrain`, `sleep`, `wake` | one engine; `sleep` takes `?level=1` or `2`; `drain` keeps new requests away |
//! | `GET /api/v1/models`, `GET /api/v1/models/{model}` | models |
//! | `POST /api/v1/models/{model}/start`, `stop`, `restart`, `drain`, `undrain`, `sleep`, `wake`, `roll` | all its engines; `roll`: one by one |
//! | `PUT /api/v1/models/{model}/replicas` | `{"replicas": 2}` |
//! | `GET /api/v1/models/{model}/lora` | its LoRA adapters |
//! | `POST /api/v1/models/{model}/lora` | `{"name": "sql", "path": "/srv/adapters/sql"}` |
//! | `DELETE /api/v1/models/{model}/lora/{name}` | |
//! | `GET /api/v1/operations`, `GET /api/v1/operations/{id}` | what operators have done, under way and over |
//! | `DELETE /api/v1/operations/{id}` | cancel a start, restart, drain, roll or scaling up that is under way |
//! | `GET /api/v1/openapi.json` | the OpenAPI description of all this |
//! | `GET /api/v1/audit` | who did what, the newest first; `?limit=` |
//! | `POST /api/v1/reload` | the configuration file is read again; the answer says what changed, or all that is wrong (422) |
//! | `GET /api/v1/reload` | what became of the last reload, whatever caused it; 404: there was none |
//! | `POST /api/v1/shutdown` | the gateway ends as after SIGTERM: requests finish, then its engines end unless `on_exit: keep` is configured; 202 at once |
//! | `POST /api/v1/plan` | the body is a configuration: what it would change; nothing is changed |
//! | `GET /api/v1/status` | the gateway itself: version, uptime, hash of the configuration, totals |
//! | `GET /api/v1/aliases`, `GET /api/v1/aliases/{alias}` | where aliases lead and what they change |
//! | `GET /api/v1/callers`, `GET /api/v1/callers/{caller}` | callers, and what they used |
//! | `PUT`, `DELETE /api/v1/models/{model}`, `aliases/{alias}`, `callers/{caller}` | add, change or remove one while the gateway runs; the body is what would stand in the file, JSON or YAML; kept in the state directory, with `?persist=file` in the file |
//! | `GET /api/v1/overlay` | what was added, changed and removed so |
//! | `DELETE /api/v1/overlay/{models, aliases or callers}/{name}` | forget such a change: what the file says counts again |
//! | `GET /api/v1/requests`, `GET /api/v1/requests/{id}` | the newest requests that have ended; `?model=`, `alias=`, `engine=`, `caller=`, `status=`, `failed=true`, `limit=`; one of them with its bodies, where its alias has `capture` |
//! | `GET /api/v1/rates` | requests and tokens a second, and quantiles of times, over the last minutes; `?engine=` of one engine |
//! | `GET /api/v1/logs` | lines of all logs, merged; `?from=` one engine, one model or `gateway`, `lines=`, `since=10m`, `grep=`, `follow=true` |
//! | `GET /api/v1/log-level`, `PUT /api/v1/log-level` | which lines of its own log the gateway writes; `{"level": "debug"}`, until the next restart or a reload that changes `log.level` |
//! | `GET /api/v1/configuration` | the configuration as it is written, secrets masked |
//! | `GET /api/v1/events` | what happens, as server-sent events: a snapshot, then what changes; `?kinds=engine,requests`, `Last-Event-ID` |
//!
//! `{engine}` is the id that is listed, `model/0`. Names that hold slashes are written as they are or with `%2F`:
//! `curl -X POST http://127.0.0.1:8001/api/v1/engines/Qwen/Qwen3-8B/0/restart` just works.
//!
//! An action is answered when it is done: 200 with `{"operation": {…}, "engines": […]}`, the engines as they are then. With
//! `?wait=false` the answer is 202 as soon as it is begun, and written down where it outlasts the gateway. It is carried out even if the client disconnects. Otherwise: 400 not understood, 401 and 403
//! see `guard`, 404 no such thing, 409 refused as things are (the message says what to do), 502 an engine did not do it;
//! all with `{"error": {"message": "…"}}`.

mod act;
mod action;
mod audit;
mod audited;
mod configuration;
mod entries;
mod error;
mod events;
mod exposition;
mod gpus;
mod guard;
mod login;
mod logs;
mod operations;
mod operator;
mod page;
mod path;
mod place;
mod playground;
mod pulse;
mod query;
mod read;
mod scrape;
mod server;
mod session;
mod show;
mod snapshots;
mod sse;
mod state;
mod status;
mod token;

pub use self::audit::AuditLog;
pub use self::configuration::{Configuration, ConfigurationError, EntryChange, Wanted};
pub use self::operations::Operations;
pub use self::snapshots::Snapshots;
pub use self::state::{Admin, Started};
pub use self::token::Token;
