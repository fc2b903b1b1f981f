//! What operators can do with the configuration, and the token that they need.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;

use crate::api::{ConfigChange, ConfigError, ReloadReport};
use crate::secret::Secret;

/// The configuration of the running gateway.
#[async_trait]
pub trait Configuration: fmt::Debug + Send + Sync {
    /// Reads the file again and serves by it; what became of that.
    async fn reload(&self) -> ReloadReport;

    /// What `text` would change if it was in the file; nothing is changed.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    async fn plan(&self, text: &str) -> Result<ConfigChange, Vec<ConfigError>>;

    /// What became of the last reload; `None`: there was none.
    fn last(&self) -> Option<Arc<ReloadReport>>;
}

/// `admin.token`, which a reload may change.
#[derive(Clone, Debug, Default)]
pub struct Token(Arc<ArcSwapOption<Secret>>);

impl Token {
    /// The token that requests must have; `None`: no token is needed.
    #[must_use]
    pub fn new(token: Option<Secret>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(token)))
    }

    /// Asks for this one from now on.
    pub fn set(&self, token: Option<Secret>) {
        self.0.store(token.map(Arc::new));
    }

    pub(super) fn get(&self) -> Option<Arc<Secret>> {
        self.0.load_full()
    }
}
