//! One turn of a Gym client: to the engines and back, unless the client leaves before; in a session that a cookie keeps.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::proxy::Session;

use super::driver::Driver;
use crate::dialects::gym::{self, Answer, GymRoute, Sessions};
use crate::openai::{ApiError, Code, Endpoint};
use crate::proxy::accept::{Admission, Refusal};
use crate::proxy::context::Context;
use crate::proxy::rewrite::Original;
use crate::proxy::{Shared, pick, reply};

/// What cookies are signed with beside the alias' name: nothing secret, as in Gym. They choose a replica, no more, and
/// are to do so after a restart and at the gateway next door.
const SEAL: &[u8] = b"enginehouse";

/// Takes the turn that `body` asks for at the target in `ctx`.
pub(in crate::proxy) async fn serve(
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
                    return Err(ApiError::new(Code::ShuttingDown, message).into());
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
pub(super) fn seat<'a>(alias: &str, cookies: impl IntoIterator<Item = &'a HeaderValue>) -> (String, String) {
    let sessions = Sessions::new(alias, SEAL);
    let known = sessions.named(cookies.into_iter().map(HeaderValue::as_bytes));
    let session = known.unwrap_or_else(gym::new_session);
    let cookie = sessions.set_cookie(&session);
    (session, cookie)
}

/// Sends `answer`, and the cookie with it.
pub(super) async fn tell(
    session: &mut Session,
    ctx: &mut Context,
    answer: Answer,
    cookie: &str,
) -> Result<Admission, Refusal> {
    if answer.status >= 400 {
        ctx.error = Some("gym");
    }
    let headers = [(header::SET_COOKIE, cookie), (header::VARY, "Cookie")];
    reply::whole(session, ctx, answer.status, answer.content_type, &headers, answer.body.into())
        .await
        .map_err(Refusal::Gone)?;
    Ok(Admission::Answered)
}
