//! One turn of a Gym client: to the engines and back, unless the client leaves before; in a session that a cookie keeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryFutureExt;
use http::{HeaderName, HeaderValue, header};
use pingora::proxy::Session;

use super::driver::{Calls, Driver};
use crate::dialects::gym::{self, Answer, GymRoute, Sessions};
use crate::dispatch::Affinity;
use crate::openai::Endpoint;
use crate::proxy::accept::{self, Admitted};
use crate::proxy::attempts::Terms;
use crate::proxy::context::{Called, RequestContext};
use crate::proxy::memory::BodyReservation;
use crate::proxy::refusal::Refusal;
use crate::proxy::{ProxyState, reply, waiting};
use crate::routing::Plan;

/// What cookies are signed with beside the alias' name: nothing secret, as in Gym. They choose a replica, no more, and
/// are to do so after a restart and at the gateway next door.
const SEAL: &[u8] = b"enginehouse";

/// What a Gym client asks for.
pub(in crate::proxy) struct Asked {
    pub(in crate::proxy) plan: Plan,
    pub(in crate::proxy) route: GymRoute,
    pub(in crate::proxy) body: Bytes,
    pub(in crate::proxy) reservation: BodyReservation,
}

/// Carries out the next turn.
pub(in crate::proxy) async fn serve(
    state: &Arc<ProxyState>,
    session: &mut Session,
    ctx: &mut RequestContext,
    asked: Asked,
) -> Result<Admitted, Refusal> {
    let Asked { plan, route, body, reservation } = asked;
    let alias = ctx.target().map(|target| target.route.name.clone()).unwrap_or_else(|| "".into());
    let (seat, cookie) = seat(&alias, session.req_header().headers.get_all(header::COOKIE));
    let wait = ctx.target().and_then(|target| target.route.gym.as_ref()).map_or(Duration::ZERO, |gym| gym.retry_for);
    let (expires, waits_until) = (ctx.expires(), Instant::now() + wait);
    let wait_until = Some(expires.map_or(waits_until, |expires| expires.min(waits_until)));
    let trace = ctx.account.trace.clone();
    let terms = Terms {
        affinity: Affinity::Session(seat),
        wait_until,
        expires,
        is_copy: false,
        sees_logs: ctx.sees_logs(),
        trace,
    };
    let endpoint = ctx.account.asked.endpoint.unwrap_or(Endpoint::ChatCompletions);
    let mut driver = Driver {
        state: state.clone(),
        snapshot: ctx.snapshot.clone(),
        plan,
        terms,
        id: ctx.account.id().to_owned(),
        head: accept::head(session, ctx, endpoint, None).to_owned(),
        reservation,
        asked: 0,
    };
    let mut calls = Calls::default();
    ctx.account.clock.ours.stop();
    let outcome =
        waiting::unless_gone(state, session, driver.take(&mut calls, route, body).map_err(Refusal::from)).await;
    ctx.account.clock.ours.start();
    calls.close();
    let Calls { retries, usage, engine, timeline, .. } = calls;
    let (engine, usage) = (engine.map(|engine| (engine, retries)), usage.and_then(|scanner| scanner.usage()));
    ctx.account.calls = Some(Box::new(Called { engine, usage, timeline }));
    match outcome {
        Ok(answer) => send(session, ctx, answer, &cookie).await,
        Err(refusal) => {
            if let Refusal::Gone(_) = refusal {
                ctx.account.error = Some("client_gone");
            }
            Err(refusal)
        }
    }
}

/// Sends what the gateway itself answers at the address of a Gym alias.
pub(in crate::proxy) async fn answer_local(
    session: &mut Session,
    ctx: &mut RequestContext,
    body: String,
) -> Result<Admitted, Refusal> {
    let alias = ctx.entry.alias.clone().unwrap_or_else(|| "".into());
    let cookie = seat(&alias, session.req_header().headers.get_all(header::COOKIE)).1;
    let answer = Answer { status: 200, content_type: "application/json", body: body.into_bytes(), error: None };
    send(session, ctx, answer, &cookie).await
}

/// The session of a client, known or new, and the cookie that keeps it.
fn seat<'a>(alias: &str, cookies: impl IntoIterator<Item = &'a HeaderValue>) -> (String, String) {
    let sessions = Sessions::new(alias, SEAL);
    let known = sessions.named(cookies.into_iter().map(HeaderValue::as_bytes));
    let session = known.unwrap_or_else(gym::new_session);
    let cookie = sessions.set_cookie(&session);
    (session, cookie)
}

/// Sends `answer`, and the cookie with it.
async fn send(
    session: &mut Session,
    ctx: &mut RequestContext,
    answer: Answer,
    cookie: &str,
) -> Result<Admitted, Refusal> {
    if let Some(captured) = &mut ctx.captured {
        captured.add(&answer.body);
    }
    let account = &mut ctx.account;
    account.error = match &answer.error {
        Some(error) => Some(error.code),
        // What the engine, or Gym's schema, says of the request.
        None => (answer.status >= 400).then_some("gym"),
    };
    let mut headers = vec![(header::SET_COOKIE, cookie.to_owned()), (header::VARY, "Cookie".to_owned())];
    let retry = answer.error.iter().filter(|_| answer.status >= 400).flat_map(|error| error.retry_headers());
    headers.extend(retry.map(|(name, value)| (HeaderName::from_static(name), value)));
    reply::whole(session, account, (answer.status, answer.content_type), &headers, answer.body.into())
        .await
        .map_err(Refusal::Gone)?;
    Ok(Admitted::Answered)
}
