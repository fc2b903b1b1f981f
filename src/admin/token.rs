//! The token that operators need, and what keeps it from being guessed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::secret::Secret;

/// Wrong tokens that are answered at a time, whoever sends them; the others wait, each on its own connection.
const AT_ONCE: usize = 4;

/// How long the answer to each of them takes: somebody who has mistyped it hardly notices, and nobody guesses more than sixteen
/// in a second.
const DELAY: Duration = Duration::from_millis(250);

/// `admin.token`, which a reload may change.
#[derive(Clone, Debug)]
pub struct Token {
    wanted: Arc<ArcSwapOption<Secret>>,
    guesses: Arc<Semaphore>,
}

impl Default for Token {
    fn default() -> Self {
        Self { wanted: Arc::default(), guesses: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Token {
    /// Asks for this one; `None`: no token is needed.
    #[must_use]
    pub fn of(token: Option<Secret>) -> Self {
        let asks = Self::default();
        asks.set(token);
        asks
    }

    /// Asks for this one from now on; `None`: no token is needed.
    pub fn set(&self, token: Option<Secret>) {
        self.wanted.store(token.map(Arc::new));
    }

    pub(super) fn get(&self) -> Option<Arc<Secret>> {
        self.wanted.load_full()
    }

    /// Returns when a client may hear that its token is wrong. Right ones wait for nothing.
    pub(super) async fn wrong_one(&self) {
        // It is never closed.
        let _turn = self.guesses.acquire().await;
        sleep(DELAY).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_are_guessed_in_a_time_and_no_more_whoever_guesses() {
        let (token, since) = (Token::default(), Instant::now());
        let guesses: Vec<_> =
            (0..12).map(|_| token.clone()).map(|it| tokio::spawn(async move { it.wrong_one().await })).collect();
        // Those who do not wait for their answer are forgotten.
        guesses[11].abort();
        let ended = futures::future::join_all(guesses).await;
        assert_eq!(ended.iter().filter(|end| end.is_ok()).count(), 11);
        assert_eq!(since.elapsed(), 3 * DELAY);
    }
}
