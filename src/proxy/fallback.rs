//! Another name for a request whose own can do nothing for it: its model is down, full, or too small.

use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use serde_json::Value;

use super::context::Context;
use super::{Shared, rewrite, standin};
use crate::engines::Pool;
use crate::openai::ApiError;

/// Aims the request at the next target; `false` when there is none.
pub(super) async fn next(shared: &Shared, ctx: &mut Context) -> std::result::Result<bool, ApiError> {
    let (Some((table, from)), Some(original)) = (&ctx.target, &ctx.original) else { return Ok(false) };
    if ctx.fallback.is_empty() {
        return Ok(false);
    }
    let (table, from, at) = (table.clone(), *from, ctx.fallback.remove(0));
    let aimed = rewrite::again(&table, at, original).await?;
    if let (Some(alias), Some(to)) = (table.targets.get(from), table.targets.get(at)) {
        alias.meters.fell_back(&shared.metrics, &to.route.model);
    }
    aimed.note(table, ctx);
    Ok(true)
}

/// The same for a request that is under way, nothing of whose answer has been passed on.
pub(super) async fn switch(shared: &Shared, session: &mut Session, ctx: &mut Context) -> Result<bool> {
    match next(shared, ctx).await {
        Ok(false) => return Ok(false),
        Ok(true) => {}
        Err(refusal) => {
            ctx.refusal = Some(refusal);
            return Err(Error::new_up(ErrorType::ConnectError));
        }
    }
    if let Some(slot) = ctx.stand_in.take() {
        standin::give_back(session, &slot);
        ctx.stand_in = Some(standin::take_place(session, ctx.body.clone(), shared.cuts()));
    }
    Ok(true)
}

/// Whether the next target may take a prompt that was refused here. What an engine says of a request it refuses is not
/// known when this is decided; a request that is wrong for other reasons is refused by the next one as well.
pub(super) fn may_be_longer(ctx: &Context) -> bool {
    let Some((table, at)) = &ctx.target else { return false };
    let length = |at: usize| table.targets.get(at).and_then(|target| length(&target.pool));
    match ctx.fallback.first() {
        None => false,
        Some(next) => match (length(*at), length(*next)) {
            (Some(own), Some(other)) => other > own,
            _ => true,
        },
    }
}

/// The context length that a model's engines say they have, in tokens.
fn length(pool: &Pool) -> Option<u64> {
    let engines = pool.engines();
    engines
        .iter()
        .find_map(|engine| engine.cards().iter().find_map(|card| card.get("max_model_len").and_then(Value::as_u64)))
}
