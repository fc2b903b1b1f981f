//! The gateway as a whole, as operators see it.

use std::sync::Arc;

use super::{Admin, gpus, show};
use crate::api::{
    AliasView, CallerView, CaptureView, EngineView, LogLevelView, SnapshotView, SplitPart, StatusView, Totals,
};
use crate::config::{Alias, Caller, Capture, Config, alias_changes};
use crate::engines::Pool;
use crate::ids::EntryKind;
use crate::telemetry::give_way;

/// The gateway itself.
pub(super) fn status(admin: &Admin) -> StatusView {
    let config = admin.configuration.current();
    let (pools, engines) = (admin.registry.pools(), admin.registry.engines());
    StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: config.name.clone(),
        pid: std::process::id(),
        started: humantime::format_rfc3339_seconds(admin.started.time()).to_string(),
        uptime_seconds: admin.started.ago().as_secs_f64(),
        configuration_file: admin.configuration.file(),
        configuration_hash: config.source_map.hash().to_owned(),
        listen: admin.data_address().map(|address| address.to_string()),
        shutting_down: admin.control.is_closed(),
        totals: Totals {
            models: pools.len(),
            ready_models: pools.iter().filter(|pool| pool.is_ready()).count(),
            engines: engines.len(),
            ready_engines: engines.iter().filter(|(_, engine)| engine.is_ready()).count(),
            aliases: config.aliases.len(),
            in_flight: engines.iter().map(|(_, engine)| engine.in_flight()).sum(),
        },
    }
}

/// Which lines of the gateway's own log are written.
pub(super) fn log_level(admin: &Admin) -> LogLevelView {
    let (level, configured) = admin.log_level.get();
    LogLevelView { level, configured }
}

/// All aliases.
pub(super) fn aliases(admin: &Admin) -> Vec<AliasView> {
    let config = admin.configuration.current();
    config.aliases.iter().map(|one| alias(&config, one)).collect()
}

fn alias(config: &Config, alias: &Alias) -> AliasView {
    let part = |(name, weight): &(_, u32)| SplitPart { name: ToString::to_string(name), weight: *weight };
    AliasView {
        alias: alias.name.to_string(),
        model: alias.model.to_string(),
        origin: show::origin(config, EntryKind::Alias, &alias.name),
        hidden: alias.hidden,
        changes: alias_changes(alias),
        split: alias.split.iter().map(part).collect(),
        fallback: alias.fallback.iter().map(ToString::to_string).collect(),
        mirror: alias.mirror.as_ref().map(|mirror| mirror.to.to_string()),
        capture: alias.capture.as_deref().map(capture),
        listen: alias.listen.map(|address| address.to_string()),
    }
}

fn capture(capture: &Capture) -> CaptureView {
    let Capture { requests, bytes, mask } = capture;
    CaptureView { requests: *requests, bytes: *bytes, mask: mask.iter().map(|path| path.join(".")).collect() }
}

/// All callers.
pub(super) fn callers(admin: &Admin) -> Vec<CallerView> {
    let config = admin.configuration.current();
    let caller = |caller: &Caller| {
        let origin = show::origin(&config, EntryKind::Caller, &caller.name);
        let (requests, [prompt_tokens, completion_tokens]) = admin.metrics.caller_totals(&caller.name);
        let (caller, keys) = (caller.name.to_string(), caller.keys.len());
        CallerView { caller, origin, keys, requests, prompt_tokens, completion_tokens }
    };
    config.callers.iter().map(caller).collect()
}

/// All engines.
pub(super) fn engines(admin: &Admin) -> Vec<EngineView> {
    let engines = |pool: &Arc<Pool>| {
        // Quantiles of many take milliseconds.
        give_way();
        show::engines(pool, &admin.requests)
    };
    admin.registry.pools().iter().flat_map(engines).collect()
}

/// How everything is.
pub(super) fn snapshot(admin: &Admin) -> SnapshotView {
    SnapshotView {
        status: status(admin),
        aliases: aliases(admin),
        callers: callers(admin),
        models: admin.registry.pools().iter().map(|pool| show::model(pool, admin)).collect(),
        engines: engines(admin),
        operations: admin.operations.newest(),
        gpus: gpus::show(&admin.monitor, &admin.registry.engines()),
        rates: admin.requests.rates(),
    }
}
