//! What operators can do with the configuration, and the token that they need.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;

use crate::api::{ConfigChange, ConfigError, ReloadReport};
use crate::config::Config;
use crate::secret::Secret;

/// The configuration of the running gateway.
#[async_trait]
pub trait Configuration: fmt::Debug + Send + Sync {
    /// Reads the file again and serves by it; what became of that.
    ///
    /// # Errors
    /// When the gateway is shutting down.
    async fn reload(&self) -> Result<ReloadReport, ConfigurationError>;

    /// What `text` would change if it was in the file; nothing is changed.
    ///
    /// # Errors
    /// Everything that is wrong with it, also addresses that are taken; or when the gateway is shutting down.
    async fn plan(&self, text: &str) -> Result<ConfigChange, ConfigurationError>;

    /// What the gateway runs by.
    fn current(&self) -> Arc<Config>;

    /// The file that it was started with.
    fn file(&self) -> String;

    /// What became of the last reload; `None`: there was none.
    fn last(&self) -> Option<Arc<ReloadReport>>;
}

/// Why there is no reload, or no plan of one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigurationError {
    /// The gateway ends.
    #[error("The gateway is shutting down: its configuration cannot be changed any more.")]
    ShuttingDown,
    /// It would be rejected: everything that is wrong.
    #[error("The configuration has errors.")]
    Invalid(Vec<ConfigError>),
}

/// `admin.token`, which a reload may change.
#[derive(Clone, Debug, Default)]
pub struct Token(Arc<ArcSwapOption<Secret>>);

impl Token {
    /// Asks for this one from now on; `None`: no token is needed.
    pub fn set(&self, token: Option<Secret>) {
        self.0.store(token.map(Arc::new));
    }

    pub(super) fn get(&self) -> Option<Arc<Secret>> {
        self.0.load_full()
    }
}
