//! The tokens that operators need, and what keeps them from being guessed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::secret::Secret;

/// Wrong tokens that are answered at a time, whoever sends them; the others wait, each on its own connection.
const AT_ONCE: usize = 4;

/// How long the answer to each of them takes: somebody who has mistyped it hardly notices, and nobody guesses more than sixteen
/// in a second.
const DELAY: Duration = Duration::from_millis(250);

/// `admin.token`, which a reload may change, and a token of this process, which commands on this machine find in the state
/// directory.
#[derive(Clone, Debug)]
pub struct Token {
    wanted: Arc<ArcSwapOption<Secret>>,
    local: Option<Secret>,
    guesses: Arc<Semaphore>,
}

impl Default for Token {
    fn default() -> Self {
        Self { wanted: Arc::default(), local: random(), guesses: Arc::new(Semaphore::new(AT_ONCE)) }
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

    /// The token that is made for this process and is good as long as it lives; `None`: the system had no random bits.
    #[must_use]
    pub fn local(&self) -> Option<&Secret> {
        self.local.as_ref()
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

/// 256 random bits as hexadecimal digits; `None`: the system has none.
fn random() -> Option<Secret> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn the_token_of_a_process_is_its_own() {
        let (one, other) = (Token::default(), Token::default());
        assert_eq!(one.local().expect("random bits").expose().len(), 64);
        assert!(one.local() != other.local() && one.clone().local() == one.local());
    }

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
