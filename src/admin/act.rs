//! Has the supervisor do what operators ask for.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::error::ApiError;
use super::path::Ask;
use super::read::{no_engine, pool};
use super::{Admin, entries, events, logs, playground, read, show};
use crate::api::{EnginesView, ReloadOutcome};
use crate::supervisor::{Control, Order};

/// Whoever does not wait for an order hears of a refusal that comes so soon.
const REFUSED_WITHIN: Duration = Duration::from_millis(250);

/// Answers `ask`.
pub(super) async fn answer(admin: &Admin, headers: &HeaderMap, ask: Ask) -> Result<Response, ApiError> {
    Ok(match ask {
        Ask::Read(what) => read::answer(admin, what)?,
        Ask::Logs(ask) => logs::answer(admin, ask).await?,
        Ask::Events(kinds) => events::answer(admin.clone(), headers, kinds),
        Ask::Plan(text) => {
            let configuration = admin.configuration.clone();
            let plan = admin.runtime.spawn(async move { configuration.plan(&text).await });
            Json(plan.await.map_err(|error| ApiError::broken("the plan", &error))??).into_response()
        }
        Ask::Reload => reload(admin).await?,
        Ask::Change(change) => entries::change(admin, change).await?,
        Ask::Do(order, wait) => act(admin, order, wait).await?,
        Ask::Chat(body) => playground::chat(admin, headers, body).await?,
    })
}

/// Reloads in a task of its own: an operator who goes away does not leave it half done.
async fn reload(admin: &Admin) -> Result<Response, ApiError> {
    let configuration = admin.configuration.clone();
    let report = admin
        .runtime
        .spawn(async move { configuration.reload().await })
        .await
        .map_err(|error| ApiError::broken("the reload", &error))??;
    let status = match report.outcome {
        ReloadOutcome::Applied | ReloadOutcome::Unchanged => StatusCode::OK,
        ReloadOutcome::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok((status, Json(report)).into_response())
}

/// Does `order`, in a task of its own: an operator who goes away does not leave it half done.
async fn act(admin: &Admin, order: Order, wait: bool) -> Result<Response, ApiError> {
    // Only for a better answer: the supervisor knows best, and looks again.
    let (pool, one) = match &order {
        Order::Engine(id, _) => {
            let (pool, _) = admin.registry.engine(id).ok_or_else(|| no_engine(id))?;
            (pool, Some(id.clone()))
        }
        Order::Model(name, _)
        | Order::Roll(name)
        | Order::Scale(name, _)
        | Order::AddAdapter(name, _)
        | Order::RemoveAdapter(name, _) => (pool(admin, name)?, None),
    };
    let control = admin.control.clone();
    if control.status(&pool.model).is_none() {
        let model = &pool.model;
        let message = format!(
            "This gateway does not run the engines of `{model}` (`urls:`): start, stop or change them with the program that runs them."
        );
        return Err(ApiError::refused(message));
    }
    let (begun, has_begun) = oneshot::channel();
    let task = admin.runtime.spawn(async move {
        tracing::info!(order = %order, "an operator's order");
        let result = perform(&control, &order, begun).await;
        match &result {
            Ok(()) => tracing::info!(order = %order, "an operator's order was carried out"),
            Err(error) => {
                tracing::warn!(order = %order, why = error.message, "an operator's order was not carried out")
            }
        }
        result
    });
    let engines = || {
        let mut list = show::engines(&pool);
        list.retain(|engine| one.as_ref().is_none_or(|id| engine.engine == *id));
        Json(EnginesView { engines: list })
    };
    // What was not begun was refused: the answer says why.
    if !wait && has_begun.await.is_ok() {
        return Ok((StatusCode::ACCEPTED, engines()).into_response());
    }
    task.await.map_err(|error| ApiError::broken("the action", &error))??;
    Ok(engines().into_response())
}

/// Tells `begun` once it will be done also if this gateway is killed now and nobody has refused it, and returns when it is
/// done.
async fn perform(control: &Control, order: &Order, begun: oneshot::Sender<()>) -> Result<(), ApiError> {
    let ordered = control.order(order.clone());
    tokio::pin!(ordered);
    let early = match order {
        // Nothing of it outlasts the gateway before it is done.
        Order::AddAdapter(..) | Order::RemoveAdapter(..) => timeout(REFUSED_WITHIN, &mut ordered).await.ok(),
        _ => Some((&mut ordered).await),
    };
    let Some(early) = early else {
        let _ = begun.send(());
        return Ok(ordered.await?.done().await?);
    };
    let done = early?.done();
    tokio::pin!(done);
    let early = timeout(REFUSED_WITHIN, &mut done).await;
    if let Ok(Err(refused)) = early {
        return Err(refused.into());
    }
    let _ = begun.send(());
    match early {
        Ok(done) => Ok(done?),
        Err(_) => Ok(done.await?),
    }
}
