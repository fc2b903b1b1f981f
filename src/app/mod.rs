//! The composition root: builds every part from the configuration, has it serve, reloads it, and ends it in order.

mod config_dir;
mod error;
mod gateway;
mod limits;
mod listeners;
mod operators;
mod overlay_file;
mod priority;
mod ready_file;
mod reload;
mod replace_text;
mod request;
mod running_file;
mod source;
mod stamp;
mod state_dir;
mod traces;
mod user_profiles;
mod watch;

use std::path::PathBuf;

use tokio::sync::mpsc;

pub use self::config_dir::{SavedName, config_dir, one_model_file, saved_names};
pub use self::error::AppError;
use self::gateway::Gateway;
pub use self::replace_text::replace_text;
pub use self::request::Request;
pub use self::running_file::RunningGateway;
pub use self::source::Source;
pub use self::state_dir::{state_dir, state_dirs};
pub use self::user_profiles::{profile_dir, shortcut_dir, user_profiles};
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
