//! Applying a target's request settings to a body, in place.

use std::sync::Arc;

use bytes::BytesMut;
use pingora::proxy::Session;

use super::context::Context;
use super::resolve::{self, Peeked};
use super::{Shared, Table};
use crate::openai::{self, ApiError, BodyKind, Endpoint};

/// From this size on, looking through a body could hold up a worker for more than a millisecond.
const OFFLOAD: usize = 1 << 20;

/// The body for the engines of the target it names; the target is noted in `ctx`.
pub(super) async fn prepare(
    shared: &Arc<Shared>,
    session: &Session,
    ctx: &mut Context,
    endpoint: Endpoint,
    body: BytesMut,
) -> Result<BytesMut, ApiError> {
    let (kind, table) = (endpoint.body(), shared.table());
    let boundary = if kind == BodyKind::Multipart { resolve::boundary(session) } else { None };
    let work = {
        let (table, door) = (table.clone(), ctx.door.clone());
        move || aim(&table, door.as_deref(), kind, boundary.as_deref(), body)
    };
    let (at, body) = if ctx.received < OFFLOAD {
        work()?
    } else {
        let broken = |_| ApiError::unavailable(503, "rewrite_failed", "The request could not be processed.");
        tokio::task::spawn_blocking(work).await.map_err(broken)??
    };
    ctx.in_flight = table.targets.get(at).map(|target| target.meters.enter());
    ctx.target = Some((table, at));
    Ok(body)
}

fn aim(
    table: &Arc<Table>,
    door: Option<&str>,
    kind: BodyKind,
    boundary: Option<&str>,
    mut body: BytesMut,
) -> Result<(usize, BytesMut), ApiError> {
    let peeked = resolve::peek(kind, boundary, &body)?;
    let at = resolve::target(table, door, &peeked)?;
    let target = &table.targets[at];
    let served = target.served_name();
    match &peeked {
        Peeked::Json(peek) => {
            openai::rewrite(&mut body, peek, &target.rules, Some(&served));
        }
        Peeked::Form(peek) => {
            openai::rewrite_form(&mut body, peek, &target.rules, Some(&served));
        }
    }
    Ok((at, body))
}
