//! Clients of NeMo Gym at an alias that speaks for its model server: drives the machine of `dialects::gym` over the
//! engines of the alias' model.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::proxy::Session;

use super::accept::{self, Admission, Refusal};
use super::context::Context;
use super::rewrite::{OFFLOAD, Original};
use super::table::Target;
use super::{Shared, Table, pick, reply, resolve};
use crate::dialects::gym::{self, Again, Answer, Ask, GymRoute, Served, Sessions, Step, Tries, Turn};
use crate::engines::Lease;
use crate::engines::ask::Patience;
use crate::openai::{self, ApiError, BodyKind, Endpoint, UsageFinder};

/// Most of an engine's answer that is read. Token ids and log-probabilities of a long rollout are some 10 MiB.
const MOST_BYTES: usize = 256 << 20;

/// Most of an audio file that is read.
const MOST_AUDIO: u64 = 64 << 20;

/// How long to wait for an engine to become ready before looking again.
const PAUSE: Duration = Duration::from_millis(500);

/// What cookies are signed with beside the alias' name: nothing secret, as in Gym. They choose a replica, no more, and
/// are to do so after a restart and at the gateway next door.
const SEAL: &[u8] = b"enginehouse";

/// Takes in what a Gym client asks for at the address or path of an alias that goes by Gym's rules; `None`: it is no
/// matter of theirs.
pub(super) async fn enter(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<Option<Admission>, Refusal> {
    let Some(door) = &ctx.door else { return Ok(None) };
    let table = shared.table();
    let Some((at, gym)) = table.find(door).and_then(|at| Some((at, table.targets[at].route.gym.clone()?))) else {
        return Ok(None);
    };
    let path = gym::without_rollout(accept::inside(session, ctx));
    let method = &session.req_header().method;
    match gym::route(path) {
        Some(route) if method == Method::POST => {
            ctx.endpoint = Endpoint::find(path);
            resolve::check_content_type(session, BodyKind::Json)?;
            let at = table.targets[at]
                .split
                .as_ref()
                .map_or(at, |split| split.choose(&session.req_header().headers, ctx.caller()));
            ctx.in_flight = Some(table.targets[at].meters.enter());
            ctx.target = Some((table, at));
            let body = accept::receive(shared, session, ctx).await?;
            serve(shared, session, ctx, route, body.freeze()).await.map(Some)
        }
        None if matches!(path, "/" | "/openapi.json") && (method == Method::GET || method == Method::HEAD) => {
            let body = if path == "/" { gym::ALIVE } else { gym::OPENAPI };
            let answer = Answer { status: 200, content_type: "application/json", body: body.into() };
            let cookie = seat(door, session.req_header().headers.get_all(header::COOKIE)).1;
            tell(session, ctx, answer, &cookie).await.map(Some)
        }
        None if gym.strict => Err(ApiError::invalid(404, "not_found", format!("Gym has no {path} here.")).into()),
        _ => Ok(None),
    }
}

/// Takes the turn that `body` asks for at the target in `ctx`.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Context,
    route: GymRoute,
    body: Bytes,
) -> Result<Admission, Refusal> {
    let Some((table, at)) = ctx.target.clone() else { return Err(pick::no_target().into()) };
    let alias = table.targets[at].route.name.clone();
    let (seat, cookie) = seat(&alias, session.req_header().headers.get_all(header::COOKIE));
    let asked = Original::head(session, ctx, ctx.endpoint.unwrap_or(Endpoint::ChatCompletions));
    let mut driver = Driver::new(shared.clone(), table, at, seat, ctx.id.clone(), asked);
    let cut = shared.cuts();
    let mut deaf = false;
    ctx.ours.stop();
    let outcome = {
        let work = driver.take(route, body);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                answer = &mut work => break answer,
                () = cut.cancelled() => {
                    let message = "The gateway is shutting down. Try again on another one.";
                    return Err(ApiError::unavailable(503, "shutting_down", message).retry_after(5).into());
                }
                left = session.downstream_session.read_body_or_idle(true), if !deaf => match left {
                    // Whoever left gets no answer: dropping the work makes the engine give it up.
                    Err(error) => {
                        ctx.error = Some("client_gone");
                        return Err(Refusal::Gone(error.into_down()));
                    }
                    Ok(_) => deaf = true,
                },
            }
        }
    };
    ctx.ours.start();
    ctx.retries = driver.retries;
    ctx.usage = Some(driver.usage);
    ctx.tried.extend(driver.last.as_ref().map(|lease| lease.engine().clone()));
    match outcome {
        Ok(answer) => tell(session, ctx, answer, &cookie).await,
        Err(refusal) => Err(refusal.into()),
    }
}

/// The session of a client, known or new, and the cookie that keeps it.
fn seat<'a>(alias: &str, cookies: impl IntoIterator<Item = &'a HeaderValue>) -> (String, String) {
    let sessions = Sessions::new(alias, SEAL);
    let known = sessions.named(cookies.into_iter().map(HeaderValue::as_bytes));
    let session = known.unwrap_or_else(gym::new_session);
    let cookie = sessions.set_cookie(&session);
    (session, cookie)
}

async fn tell(session: &mut Session, ctx: &mut Context, answer: Answer, cookie: &str) -> Result<Admission, Refusal> {
    if answer.status >= 400 {
        ctx.error = Some("gym");
    }
    let headers = [(header::SET_COOKIE, cookie), (header::VARY, "Cookie")];
    reply::whole(session, ctx, answer.status, answer.content_type, &headers, answer.body.into())
        .await
        .map_err(Refusal::Gone)?;
    Ok(Admission::Answered)
}

/// One turn's calls of the engines.
struct Driver {
    shared: Arc<Shared>,
    table: Arc<Table>,
    at: usize,
    session: String,
    id: String,
    asked: Original,
    deadline: Instant,
    retries: usize,
    usage: UsageFinder,
    last: Option<Lease>,
}

impl Driver {
    fn new(shared: Arc<Shared>, table: Arc<Table>, at: usize, session: String, id: String, asked: Original) -> Self {
        let patience = table.targets[at].route.gym.as_ref().map_or(Duration::ZERO, |gym| gym.retry_for);
        let deadline = Instant::now() + patience;
        Self { shared, table, at, session, id, asked, deadline, retries: 0, usage: UsageFinder::default(), last: None }
    }

    fn target(&self) -> &Target {
        &self.table.targets[self.at]
    }

    async fn take(&mut self, route: GymRoute, body: Bytes) -> Result<Answer, ApiError> {
        let Some(gym) = self.target().route.gym.clone() else { return Err(pick::no_target()) };
        let model = self.target().served_name();
        // Files are read, and large bodies looked through, where they hold nobody up.
        let aside = body.len() >= OFFLOAD || gym.audio_root.is_some();
        let begin = move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            gym::start(&gym, route, Served { model: &model }, &body, now, Box::new(gym::new_id), &read)
        };
        let (mut turn, mut step) = if aside { elsewhere(begin).await? } else { begin() };
        loop {
            let ask = match step {
                Step::Answer(answer) => return Ok(answer),
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
                    let patience =
                        Patience { whole: None, connect: timeouts.connect, silence: timeouts.read, most: MOST_BYTES };
                    let asker = &self.shared.asker;
                    let said = asker.submit(lease.engine(), ask.path, &headers, body.clone(), patience).await;
                    let status = said.as_ref().ok().map(|(status, _)| status.as_u16());
                    let broken = |why| {
                        let message = format!("Engine {} gave no whole answer: {why}.", lease.id);
                        ApiError::unavailable(502, "engine_unreachable", message)
                    };
                    let said = said.map(|(status, body)| (status.as_u16(), body)).map_err(broken);
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
        own.and_then(|engine| Lease::take(engine.clone())).or_else(|| pick::lease(target, &[]))
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
    let broken = |_| ApiError::unavailable(503, "gym_failed", "The request could not be processed.");
    tokio::task::spawn_blocking(work).await.map_err(broken)
}

/// A file of bounded size.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = std::fs::File::open(path)?.take(MOST_AUDIO + 1).read_to_end(&mut bytes)?;
    if size as u64 > MOST_AUDIO {
        return Err(std::io::Error::other(format!("it is larger than {MOST_AUDIO} bytes")));
    }
    Ok(bytes)
}
