//! A machine on which all is well, for tests to spoil.

use super::facts::{
    Configuration, Deployment, Disk, EnginePorts, Facts, Folder, GpuNeed, LockedMemory, Memory, OpenFiles, Port,
    PortState, Program, Threads, Token, TokenPlace, Wanted,
};
use super::report::Check;
use crate::config::{self, Diagnostic, Severity};
use crate::inventory::{Gpu, Inventory};

/// Two engines of one GPU each, on a machine with two.
pub(super) fn healthy() -> Facts {
    let gpu = |index| Gpu { index, name: Some("NVIDIA H100".into()), ..Gpu::default() };
    let disk = Disk { total: 1 << 40, free: 1 << 39 };
    let folder = |path: &str| Folder {
        path: path.into(),
        is_there: true,
        refused: None,
        owner: None,
        is_open: false,
        disk: Some(disk),
    };
    let port =
        |key: &str, port: u16| Port { key: key.into(), address: ([127, 0, 0, 1], port).into(), state: PortState::Free };
    Facts {
        configuration: Configuration::Valid { title: "/g.yaml".into(), models: 2, aliases: 1 },
        wanted: Wanted {
            engines: 2,
            processes: 2,
            gpus: 2,
            widest: 1,
            gpu_need: GpuNeed::Sure,
            downloads: vec![],
            connections: Some(10_000),
        },
        gpus: Inventory {
            driver: Some("580.95.05".into()),
            cuda: Some("13.0".into()),
            gpus: vec![gpu(0), gpu(1)],
            faults: vec![],
            known: true,
        },
        programs: vec![Program {
            name: "vllm".into(),
            file: Some("/venv/bin/vllm".into()),
            is_elsewhere: false,
            version: Some("0.32.0".into()),
            silent: None,
            found: vec![],
        }],
        ports: vec![port("listen", 8000), port("admin.listen", 8001)],
        engine_ports: Some(EnginePorts { range: 21_000..=21_999, taken: 0 }),
        open_files: OpenFiles { hard: Some(1 << 20) },
        state_dir: folder("/state"),
        deployments: vec![Deployment { state_dir: "/state".into(), gateway: None, processes: 0 }],
        hub: Some(folder("/hub")),
        token: Token { place: Some(TokenPlace::Variable("HF_TOKEN".into())), is_offline: false },
        shared_memory: Some(disk),
        memory: Memory { total: Some(1 << 38), available: Some(1 << 37), limit: None },
        processors: 64,
        locked_memory: LockedMemory { hard: None, has_rdma: true },
        threads: Threads { of_user: None, of_group: Some(100_000) },
    }
}

/// The only check of this name.
pub(super) fn only(checks: &[Check], name: &str) -> Check {
    let mut found = checks.iter().filter(|check| check.name == name);
    match (found.next(), found.next()) {
        (Some(check), None) => check.clone(),
        others => panic!("{others:?}"),
    }
}

/// What is said of a flag of a model.
pub(super) fn diagnostic(severity: Severity, reason: &str, remedy: &str) -> Diagnostic {
    let config = config::parse("models: {m: {source: s, args: {x: 1}}}", &|_| None).expect("a configuration");
    config.source_map.diagnostic(severity, &[&["models", "m", "args", "x"]], reason, remedy)
}
