//! The composition root: builds every part from the configuration, has it serve, reloads it, and ends it in order.

mod error;
mod gateway;
mod limits;
mod listeners;
mod operators;
mod overlay_file;
mod priority;
mod ready_file;
mod reload;
mod request;
mod running_file;
mod source;
mod stamp;
mod state_dir;
mod traces;
mod watch;

use std::path::PathBuf;

use tokio::sync::mpsc;

pub use self::error::AppError;
use self::gateway::Gateway;
pub use self::request::Request;
pub use self::running_file::RunningGateway;
pub use self::source::Source;
pub use self::state_dir::{state_dir, state_dirs};
use crate::config::Config;
use crate::telemetry::Logs;

/// Serves `config`, which was read from `source`, until it is asked to stop, then drains and stops the engines.
/// `ready_file`: where the addresses that it serves are written.
///
/// # Errors
/// When an address cannot be bound or the supervisor cannot start; nothing is left running then.
pub async fn serve(
    source: Source,
    config: Config,
    logs: Logs,
    mut requests: mpsc::Receiver<Request>,
    ready_file: Option<PathBuf>,
) -> Result<(), AppError> {
    let gateway = Gateway::start(source, config, logs, ready_file).await?;
    gateway.serve(&mut requests).await;
    gateway.stop(requests).await;
    Ok(())
}
