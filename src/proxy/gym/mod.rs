//! The way in for clients of NeMo Gym at an alias that speaks for its model server.

mod driver;
mod files;
mod serve;

use std::sync::Arc;

use http::{Method, header};
use pingora::proxy::Session;

pub(super) use serve::serve;

use super::accept::{self, Admission, Refusal};
use super::context::Context;
use super::{Shared, resolve};
use crate::dialects::gym::{self, Answer};
use crate::openai::{ApiError, BodyKind, Code, Endpoint};

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
            let at = table.part(at, &session.req_header().headers, ctx.caller());
            ctx.in_flight = Some(table.targets[at].meters.enter());
            ctx.target = Some((table, at));
            let body = accept::receive(shared, session, ctx).await?;
            serve(shared, session, ctx, route, body.freeze()).await.map(Some)
        }
        None if matches!(path, "/" | "/openapi.json") && (method == Method::GET || method == Method::HEAD) => {
            let body = if path == "/" { gym::ALIVE } else { gym::OPENAPI };
            let answer = Answer { status: 200, content_type: "application/json", body: body.into() };
            let cookie = serve::seat(door, session.req_header().headers.get_all(header::COOKIE)).1;
            serve::tell(session, ctx, answer, &cookie).await.map(Some)
        }
        None if gym.strict => Err(ApiError::new(Code::NotFound, format!("Gym has no {path} here.")).into()),
        _ => Ok(None),
    }
}
