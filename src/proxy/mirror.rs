//! Shadow traffic: copies of some requests for another target, whose answers are dropped and whose failures nobody feels.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

use super::context::Context;
use super::{Shared, pick, rewrite};
use crate::engines::CallLimits;

/// Copies under way at once over all aliases; further ones are dropped. A slow mirror must cost us no memory.
pub(super) const MOST: usize = 256;

/// Most of an answer that is read before it is given up.
const MOST_BYTES: usize = 16 << 20;

/// A mirror that does not answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// Headers of a caller that its copy has too. None of its credentials.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::ACCEPT, header::USER_AGENT];

/// Sends a copy of the request on its way, if it is one of those that are mirrored. Its caller waits for nothing.
pub(super) fn cast(shared: &Arc<Shared>, ctx: &Context) {
    let (Some((table, at)), Some(original)) = (&ctx.target, &ctx.original) else { return };
    let Some((percent, to)) = table.targets.get(*at).and_then(|target| target.mirror) else { return };
    if fastrand::f64() * 100.0 >= percent {
        return;
    }
    let (shared, table, original, at, id) = (shared.clone(), table.clone(), original.clone(), *at, ctx.id.clone());
    let Ok(place) = shared.mirrors.clone().try_acquire_owned() else {
        table.targets[at].meters.mirrored(&shared.metrics, "dropped");
        return;
    };
    tokio::spawn(async move {
        let copy = async {
            let target = table.targets.get(to)?;
            let aimed = rewrite::again(&table, to, &original).await.ok()?;
            let lease = pick::lease(target, &[])?;
            let mut headers: HeaderMap = KEPT
                .iter()
                .filter_map(|name| Some((name.clone(), original.asked().headers.get(name)?.clone())))
                .collect();
            headers.extend(aimed.headers.iter().cloned());
            headers.insert("x-request-id", format!("{id}-mirror").parse().ok()?);
            let limits = CallLimits {
                whole: Some(PATIENCE),
                connect: shared.timeouts.connect,
                silence: shared.timeouts.read,
                bytes: MOST_BYTES,
            };
            let path = aimed.endpoint.path();
            let answer =
                shared.client.submit(lease.engine(), path, &headers, aimed.body.freeze(), (limits, false)).await;
            answer.ok().filter(|reply| reply.status.is_success())
        };
        let cut = shared.cuts();
        let answer = tokio::select! {
            answer = copy => answer,
            () = cut.cancelled() => None,
        };
        drop(place);
        let outcome = if answer.is_some() { "answered" } else { "failed" };
        table.targets[at].meters.mirrored(&shared.metrics, outcome);
    });
}
