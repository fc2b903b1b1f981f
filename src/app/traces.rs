//! Traces, where the environment wants them.

use super::AppError;
use crate::telemetry::{Metrics, TraceSettings, Traces};

/// Starts what the variables of OpenTelemetry say; `None`: nothing is traced.
///
/// # Errors
/// One of them is wrong, or nothing could be sent.
pub(super) fn start(metrics: &Metrics) -> Result<Option<Traces>, AppError> {
    let Some(settings) = TraceSettings::from_env(&|name| std::env::var_os(name))? else { return Ok(None) };
    let traces = Traces::start(&settings, metrics.exemplars.clone())?;
    metrics.publish(&traces.counters())?;
    tracing::info!(to = settings.endpoint(), "requests are traced");
    Ok(Some(traces))
}
