//! Drives the machine of `dialects::gym`: asks the engines of the alias' model what it wants to know, again and again
//! while that may help and time is left.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::files;
use crate::dialects::gym::{self, Again, Answer, Ask, GymRoute, Served, Step, Tries, Turn};
use crate::engines::CallLimits;
use crate::engines::Lease;
use crate::openai::{self, ApiError, Code, Endpoint, UsageFinder};
use crate::proxy::rewrite::{OFFLOAD, Original};
use crate::proxy::table::{Table, Target};
use crate::proxy::{Shared, pick};

/// Most of an engine's answer that is read. Token ids and log-probabilities of a long rollout are some 10 MiB.
const MOST_BYTES: usize = 256 << 20;

/// How long to wait for an engine to become ready before looking again.
const PAUSE: Duration = Duration::from_millis(500);

/// One turn's calls of the engines.
pub(super) struct Driver {
    shared: Arc<Shared>,
    table: Arc<Table>,
    at: usize,
    session: String,
    id: String,
    asked: Original,
    deadline: Instant,
    /// How often an engine was asked again.
    pub(super) retries: usize,
    /// What the engines' last answers say of tokens.
    pub(super) usage: UsageFinder,
    /// The engine asked last.
    pub(super) last: Option<Lease>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        table: Arc<Table>,
        at: usize,
        session: String,
        id: String,
        asked: Original,
    ) -> Self {
        let patience = table.targets[at].route.gym.as_ref().map_or(Duration::ZERO, |gym| gym.retry_for);
        let deadline = Instant::now() + patience;
        Self { shared, table, at, session, id, asked, deadline, retries: 0, usage: UsageFinder::default(), last: None }
    }

    fn target(&self) -> &Target {
        &self.table.targets[self.at]
    }

    pub(super) async fn take(&mut self, route: GymRoute, body: Bytes) -> Result<Answer, ApiError> {
        let Some(gym) = self.target().route.gym.clone() else { return Err(pick::no_target()) };
        let model = self.target().served_name();
        // Files are read, and large bodies looked through, where they hold nobody up.
        let aside = body.len() >= OFFLOAD || gym.audio_root.is_some();
        let begin = move || {
            let root = gym.audio_root.clone().unwrap_or_default();
            let read = |path: &Path| files::read(&root, path);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            gym::start(&gym, route, Served { model: &model }, &body, now, Box::new(gym::new_id), &read)
        };
        let (mut turn, mut step) = if aside { elsewhere(begin).await? } else { begin() };
        loop {
            let ask = match step {
                Step::Answer(answer) => return Ok(self.named(answer)),
                Step::Ask(ask) => ask,
            };
            (turn, step) = match self.call(ask).await {
                Ok((status, body)) => hear(turn, status, body).await?,
                Err(error) => {
                    let answer = turn.failed(&error);
                    return Ok(answer);
                }
            };
        }
    }

    /// Asks an engine until it says something that repeating would not change, or time is up.
    async fn call(&mut self, ask: Ask) -> Result<(u16, Bytes), ApiError> {
        let mut headers = self.headers();
        let body = self.settled(ask.path, ask.body, &mut headers)?;
        let mut tries = Tries::default();
        loop {
            let (said, pause) = match self.seat() {
                None => (Err(pick::why_not(&self.shared, self.target())), Again::After(PAUSE)),
                Some(lease) => {
                    let timeouts = &self.shared.timeouts;
                    let limits = CallLimits {
                        whole: None,
                        connect: timeouts.connect,
                        silence: timeouts.read,
                        bytes: MOST_BYTES,
                    };
                    let client = &self.shared.client;
                    let said = client.submit(lease.engine(), ask.path, &headers, body.clone(), (limits, false)).await;
                    let status = said.as_ref().ok().map(|reply| reply.status.as_u16());
                    let broken = |why| {
                        let message = format!("Engine {} gave no whole answer: {why}.", lease.id);
                        ApiError::new(Code::EngineUnreachable, message)
                    };
                    let said = said.map(|reply| (reply.status.as_u16(), reply.body)).map_err(broken);
                    self.last = Some(lease);
                    (said, tries.after(status))
                }
            };
            match pause {
                Again::After(pause) if Instant::now() + pause < self.deadline && !self.shared.is_draining() => {
                    self.retries += 1;
                    self.last = None;
                    tokio::time::sleep(pause).await;
                }
                Again::After(_) | Again::No => {
                    if let Ok((200, body)) = &said {
                        self.usage.feed(body);
                    }
                    return said;
                }
            }
        }
    }

    /// The session's own engine; while that one is not ready, the best of the others.
    fn seat(&self) -> Option<Lease> {
        let target = self.target();
        let engines = target.pool.engines();
        let own = engines.get(gym::replica(&self.session, engines.len())).filter(|engine| engine.is_ready());
        own.and_then(|engine| Lease::try_take(engine.clone())).or_else(|| pick::lease(target, &[]))
    }

    fn headers(&self) -> HeaderMap {
        let own =
            self.target().route.gym.iter().flat_map(|gym| gym.default_headers.iter()).filter_map(|(name, value)| {
                Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.expose()).ok()?))
            });
        let mut headers: HeaderMap = own.collect();
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert("x-request-id", id);
        }
        headers
    }

    /// The answer under the alias' name, if it is to have it.
    fn named(&self, answer: Answer) -> Answer {
        let Some(name) = self.target().echo().filter(|_| answer.status == 200) else { return answer };
        let mut echo =
            if answer.content_type == gym::EVENTS { openai::Echo::events(name) } else { openai::Echo::json(name) };
        Answer { body: echo.feed(&answer.body.into()).into(), ..answer }
    }

    /// The body with the settings of the model and the alias, which have the last word.
    fn settled(&self, path: &str, body: Vec<u8>, headers: &mut HeaderMap) -> Result<Bytes, ApiError> {
        let rules = &self.target().rules;
        let Some(endpoint) = Endpoint::find(path).filter(|_| !rules.is_empty()) else { return Ok(body.into()) };
        let mut body = BytesMut::from(&body[..]);
        let peek = openai::peek(&body)?;
        let asked = self.asked.asked();
        let request = openai::Request { asked: asked.endpoint, endpoint, headers: asked.headers, caller: asked.caller };
        let done = openai::rewrite(&mut body, &peek, rules, &request, None)?;
        headers.extend(done.headers);
        Ok(body.freeze())
    }
}

/// What follows from what the engine said. Token ids and log-probabilities are large.
async fn hear(mut turn: Turn, status: u16, body: Bytes) -> Result<(Turn, Step), ApiError> {
    let work = move || {
        let step = turn.engine_said(status, &body);
        (turn, step)
    };
    elsewhere(work).await
}

async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let broken = |_| ApiError::new(Code::Internal, "The request could not be processed.");
    tokio::task::spawn_blocking(work).await.map_err(broken)
}
