//! The metrics of the configuration: whether it is the one in the file.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Error, Gauge, IntGauge};

use super::register::Register;

/// How the last reload ended. Names as Prometheus has them for itself.
#[derive(Debug)]
pub struct ConfigMetrics {
    successful: IntGauge,
    success_time: Gauge,
    restart_required: IntGauge,
    overlay_entries: IntGauge,
    overlay_disabled: IntGauge,
}

impl ConfigMetrics {
    pub(super) fn new(to: &Register) -> Result<Self, Error> {
        let metrics = Self {
            successful: to.int_gauge(
                "config_last_reload_successful",
                "1 when the last load or reload of the configuration succeeded; 0 when it was rejected and the earlier configuration stays in use.",
            )?,
            success_time: to.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the configuration was last loaded or reloaded successfully, Unix time.",
            )?,
            overlay_entries: to.int_gauge(
                "config_overlay_entries",
                "Models, aliases and callers that were added, changed or removed while gateways ran.",
            )?,
            overlay_disabled: to.int_gauge(
                "config_overlay_disabled_entries",
                "Those of enginehouse_config_overlay_entries that do not fit the configuration file and are not used.",
            )?,
            restart_required: to.int_gauge(
                "config_restart_required",
                "Keys of the configuration file whose new values take effect only after a restart of the gateway.",
            )?,
        };
        metrics.loaded(0);
        Ok(metrics)
    }

    /// It was loaded just now, and so many keys wait for a new process.
    pub fn loaded(&self, restart_required: usize) {
        self.successful.set(1);
        self.success_time.set(unix_time());
        self.restart_required.set(i64::try_from(restart_required).unwrap_or(i64::MAX));
    }

    /// So many entries are on top of the file, and so many of them are disabled.
    pub fn overlaid(&self, entries: usize, disabled: usize) {
        self.overlay_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.overlay_disabled.set(i64::try_from(disabled).unwrap_or(i64::MAX));
    }

    /// The file was rejected.
    pub fn rejected(&self) {
        self.successful.set(0);
    }
}

/// Seconds since 1970.
pub(super) fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
