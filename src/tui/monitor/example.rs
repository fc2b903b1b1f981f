//! A gateway as tests see it: three models with engines in all states, two GPUs, requests, operations and logs.

use std::collections::BTreeMap;

use crate::api::{
    AliasView, AttemptView, CaptureView, EngineHistory, EngineState, EngineView, Event, Failure, FailureCause,
    GpusView, LogLine, Login, ModelView, NextStep, OperationState, OperationView, OperatorView, Origin, Progress,
    PulseView, Quantiles, Rates, RatesPoint, RatesView, ReportView, RequestView, Sleep, SnapshotView, SplitPart,
    StartPhase, Starting, StatusView,
};
use crate::gpu::{Gpu, GpuProcess, Inventory, Memory};

/// An engine that is run here.
pub(super) fn engine(id: &str, state: EngineState) -> EngineView {
    let model = id.rsplit_once('/').map_or(id, |(model, _)| model).to_owned();
    let detail = state.detail();
    EngineView {
        engine: id.to_owned(),
        model: model.clone(),
        replica: Some(0),
        ours: true,
        url: "http://127.0.0.1:21001".to_owned(),
        port: 21001,
        gpus: Some(vec!["0".to_owned(), "1".to_owned()]),
        pid: Some(4711),
        state,
        detail,
        log_file: None,
        restarts: 1,
        stalls: 0,
        start_seconds: Some(34.2),
        ejected: false,
        drained: false,
        in_flight: 0,
        serves: vec![model],
        state_seconds: 192.0,
        report: None,
        history: EngineHistory::default(),
        rates: None,
    }
}

/// One that has work.
pub(super) fn busy(id: &str) -> EngineView {
    let report = ReportView {
        running: 4.0,
        waiting: 2.0,
        kv_cache_usage: 0.834,
        prefix_cache_queries: 1000.0,
        prefix_cache_hits: 345.0,
        ..ReportView::default()
    };
    EngineView { in_flight: 4, report: Some(report), rates: Some(rates(1.0)), ..engine(id, EngineState::Ready) }
}

fn rates(factor: f64) -> Rates {
    Rates {
        requests_per_second: 3.2 * factor,
        errors_per_second: 0.0,
        prompt_tokens_per_second: 4100.0 * factor,
        completion_tokens_per_second: 812.0 * factor,
        first_token_seconds: Some(Quantiles { p50: 0.085, p95: 0.42, p99: 1.3 }),
        inter_token_seconds: None,
        duration_seconds: None,
    }
}

/// A model with these engines.
pub(super) fn model(name: &str, engines: &[&EngineView]) -> ModelView {
    let ready = engines.iter().filter(|engine| engine.state == EngineState::Ready).count();
    ModelView {
        model: name.to_owned(),
        origin: Origin::File,
        ours: true,
        ready: ready > 0,
        replicas: engines.len(),
        wanted_replicas: Some(engines.len()),
        ready_replicas: ready,
        in_flight: engines.iter().map(|engine| engine.in_flight).sum(),
        waiting: 0,
        unserved: 0,
        last_unserved_seconds: None,
        roll: None,
        on_demand: None,
        engines: engines.iter().map(|engine| engine.engine.clone()).collect(),
        adapters: Vec::new(),
    }
}

/// An engine that loads its weights.
pub(super) fn loading(percent: u8) -> EngineState {
    let progress = Progress { percent: Some(percent), done: Some(3), total: Some(8), result: None };
    EngineState::Starting(Starting { progress, ..Starting::at(StartPhase::LoadingWeights) })
}

/// An engine whose process ended while it loaded.
pub(super) fn failed() -> EngineState {
    EngineState::Failed(Failure {
        cause: FailureCause::Exited { code: Some(1), signal: None, loading: true, diagnosis: None },
        log: vec!["torch.OutOfMemoryError: CUDA out of memory.".to_owned()],
        next: NextStep::CrashLoop { crashes: 3, seconds: 42.0 },
    })
}

fn gpu(index: u32, share: u64, engines: &[&str]) -> Gpu {
    let total: u64 = 80 << 30;
    let used = total / 100 * share;
    let process = |engine: Option<&str>, name: &str| GpuProcess {
        pid: 4711 + index,
        name: Some(name.to_owned()),
        memory: Some(used / 2),
        engine: engine.map(str::to_owned),
    };
    Gpu {
        index,
        uuid: Some(format!("GPU-{index}")),
        name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        memory: Some(Memory { total, used, free: total - used }),
        utilisation: Some(64),
        temperature: Some(61 + 20 * index),
        power: Some(431.4),
        processes: Some(vec![process(engines.first().copied(), "VLLM::EngineCore"), process(None, "python3 train.py")]),
        engines: Some(engines.iter().map(|engine| (*engine).to_owned()).collect()),
        ..Gpu::default()
    }
}

/// A request that has ended.
pub(super) fn request(id: &str, status: u16, error: Option<&str>) -> RequestView {
    let attempt = AttemptView {
        number: 1,
        engine: "qwen3-32b/0".to_owned(),
        began_seconds: 0.0004,
        answered_seconds: Some(0.084),
        ended_seconds: 2.31,
        outcome: "answered".to_owned(),
        status: Some(status),
    };
    RequestView {
        id: id.to_owned(),
        trace_id: None,
        ended: "2026-11-30T12:34:56.789Z".to_owned(),
        client: Some("10.0.0.9".to_owned()),
        caller: Some("team-a".to_owned()),
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model: Some("qwen3-32b".to_owned()),
        unknown_model: None,
        alias: Some("qwen3-instant".to_owned()),
        engine: Some("qwen3-32b/0".to_owned()),
        status,
        stream: true,
        bytes_in: 512,
        bytes_out: 20_480,
        seconds: 2.31,
        first_token_seconds: Some(0.085),
        first_token_came_seconds: Some(0.085),
        queue_seconds: 0.0,
        queue_began_seconds: None,
        attempts: vec![attempt],
        overhead_seconds: 0.000_31,
        retries: 0,
        prompt_tokens: Some(1200),
        completion_tokens: Some(345),
        cached_tokens: None,
        tokens_estimated: false,
        stream_end: Some("complete".to_owned()),
        error: error.map(str::to_owned),
        request_body: None,
        response_body: None,
    }
}

/// An operation.
pub(super) fn operation(id: &str, state: OperationState) -> OperationView {
    OperationView {
        id: id.to_owned(),
        action: "restart".to_owned(),
        target: "qwen3-32b/1".to_owned(),
        detail: "restart engine qwen3-32b/1".to_owned(),
        state,
        began: "2026-11-30T12:30:00Z".to_owned(),
        ended: None,
        seconds: 12.4,
        error: (state == OperationState::Failed).then(|| "the engine did not become ready within 600 s".to_owned()),
        operator: OperatorView {
            address: Some("127.0.0.1".to_owned()),
            login: Login::None,
            agent: Some("enginehouse/0.1.0".to_owned()),
        },
        can_be_cancelled: state == OperationState::Running,
    }
}

/// A point of the curves.
pub(super) fn point(number: u64) -> RatesPoint {
    let height = 1.0 + (number % 12) as f64;
    RatesPoint {
        number,
        requests_per_second: height,
        errors_per_second: 0.0,
        completion_tokens_per_second: 100.0 * height,
        first_token_p50_seconds: Some(0.01 * height),
        first_token_p95_seconds: Some(0.02 * height),
        inter_token_p50_seconds: None,
        inter_token_p95_seconds: None,
    }
}

fn all_rates(history: Vec<RatesPoint>) -> RatesView {
    let models = BTreeMap::from([("qwen3-32b".to_owned(), rates(2.0))]);
    RatesView { window_seconds: 60.0, interval_seconds: 2.0, all: rates(2.0), models, history }
}

fn alias(name: &str, changes: &[&str], split: Vec<SplitPart>, fallback: &[&str]) -> AliasView {
    AliasView {
        alias: name.to_owned(),
        model: "qwen3-32b".to_owned(),
        hidden: false,
        changes: changes.iter().map(|change| (*change).to_owned()).collect(),
        split,
        fallback: fallback.iter().map(|place| (*place).to_owned()).collect(),
        mirror: None,
        capture: fallback.first().map(|_| CaptureView {
            requests: 20,
            bytes: 65_536,
            mask: vec!["messages".to_owned()],
        }),
        listen: None,
        origin: Origin::File,
    }
}

/// The first event of a gateway.
pub(super) fn snapshot() -> Event {
    let engines = vec![
        busy("qwen3-32b/0"),
        engine("qwen3-32b/1", loading(45)),
        EngineView {
            history: EngineHistory { sleeps: 1, ..EngineHistory::default() },
            ..engine("embed/0", EngineState::Asleep(Sleep { freed_bytes: Some(71 << 30), ..Sleep::of(1) }))
        },
        EngineView { pid: None, ..engine("org/coder/0", failed()) },
        EngineView { pid: None, ..engine("org/coder/1", EngineState::Stopped) },
    ];
    let status = StatusView {
        version: "0.1.0".to_owned(),
        name: "demo".to_owned(),
        started: "2026-11-30T12:00:00Z".to_owned(),
        uptime_seconds: 2096.0,
        configuration_file: "/etc/enginehouse/enginehouse.yaml".to_owned(),
        configuration_hash: "0".repeat(64),
        listen: Some("127.0.0.1:8000".to_owned()),
        shutting_down: false,
        totals: crate::api::Totals::default(),
        ..serde_json::from_value(serde_json::json!({
            "version": "", "name": "", "pid": 4242, "started": "", "uptime_seconds": 0.0, "configuration_file": "",
            "configuration_hash": "", "listen": null, "shutting_down": false,
            "totals": { "models": 0, "ready_models": 0, "engines": 0, "ready_engines": 0, "aliases": 0, "in_flight": 0 },
        }))
        .expect("a status")
    };
    let part = |name: &str, weight| SplitPart { name: name.to_owned(), weight };
    Event::Snapshot(Box::new(SnapshotView {
        status,
        aliases: vec![
            alias(
                "qwen3-instant",
                &["default: max_tokens = 2048", "override: chat_template_kwargs.enable_thinking = false"],
                vec![],
                &["embed"],
            ),
            alias("qwen3-canary", &[], vec![part("qwen3-32b", 95), part("org/coder", 5)], &[]),
        ],
        callers: Vec::new(),
        models: vec![
            model("qwen3-32b", &[&engines[0], &engines[1]]),
            model("embed", &[&engines[2]]),
            model("org/coder", &[&engines[3], &engines[4]]),
        ],
        engines,
        operations: vec![operation("2", OperationState::Running), operation("1", OperationState::Failed)],
        gpus: GpusView {
            inventory: Inventory {
                driver: Some("580.95.05".to_owned()),
                cuda: Some("13.0".to_owned()),
                gpus: vec![gpu(0, 91, &["qwen3-32b/0"]), gpu(1, 40, &["qwen3-32b/0", "embed/0"])],
                ..Inventory::default()
            },
            age_seconds: Some(0.4),
        },
        rates: all_rates((0..40).map(point).collect()),
    }))
}

/// A later event with nothing but these engines.
pub(super) fn pulse(engines: Vec<EngineView>, points: Vec<RatesPoint>) -> PulseView {
    let engines = engines.into_iter().map(|engine| EngineView { state_seconds: 0.0, ..engine }).collect();
    PulseView {
        models: Vec::new(),
        engines,
        gone_models: Vec::new(),
        gone_engines: Vec::new(),
        gpus: None,
        rates: all_rates(points),
    }
}

/// A line of a log.
pub(super) fn line(from: &str, level: Option<&str>, text: &str) -> LogLine {
    LogLine { from: from.to_owned(), time: None, level: level.map(str::to_owned), text: text.to_owned() }
}
