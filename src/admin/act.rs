//! Has done what operators ask for.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::action::Action;
use super::error::ApiError;
use super::path::Ask;
use super::place::Place;
use super::read::none_of;
use super::{Admin, entries, events, logs, playground, read, scrape, show, status};
use crate::api::{ActionView, EngineView, OperatorView, ReloadOutcome};
use crate::config::log_level_error;
use crate::supervisor::{Control, Order};

/// Whoever does not wait for an order hears of a refusal that comes so soon.
const REFUSED_WITHIN: Duration = Duration::from_millis(250);

/// Answers what `operator` asks.
pub(super) async fn answer(
    admin: &Admin,
    (operator, headers): (OperatorView, &HeaderMap),
    ask: Ask,
) -> Result<Response, ApiError> {
    Ok(match ask {
        Ask::Read(what) => read::answer(admin, what)?,
        Ask::Audit(most) => {
            let failed = |error| {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the audit log cannot be read: {error}"))
            };
            Json(admin.audit.newest(most).await.map_err(failed)?).into_response()
        }
        Ask::Logs(ask) => logs::answer(admin, ask).await?,
        Ask::Events(kinds) => events::answer(admin.clone(), headers, kinds),
        Ask::Plan(text) => {
            let configuration = admin.configuration.clone();
            let plan = admin.runtime.spawn(async move { configuration.plan(&text).await });
            Json(plan.await.map_err(|error| ApiError::broken("the plan", &error))??).into_response()
        }
        Ask::EngineMetrics(id) => scrape::of_engine(admin, headers, &id).await?,
        Ask::Targets => scrape::targets(admin, headers)?,
        Ask::SetLogLevel(level) => set_log_level(admin, &level)?,
        Ask::Reload => reload(admin).await?,
        Ask::Change(change) => entries::change(admin, change).await?,
        Ask::Do(action, wait) => act(admin, operator, action, wait).await?,
        Ask::Cancel(id) => cancel(admin, &id).await?,
        Ask::ShutDown => {
            admin.shutdown.notify_one();
            StatusCode::ACCEPTED.into_response()
        }
        Ask::Chat(body) => playground::chat(admin, headers, body).await?,
    })
}

/// Has other lines of the gateway's log written.
fn set_log_level(admin: &Admin, level: &str) -> Result<Response, ApiError> {
    if let Some((reason, remedy)) = log_level_error(level) {
        return Err(ApiError::malformed(format!("{reason} {remedy}")));
    }
    admin.log_level.set(level).map_err(ApiError::malformed)?;
    tracing::info!(level, "an operator changed the log level");
    Ok(Json(status::log_level(admin)).into_response())
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

/// Has `action` done in a task of its own: an operator who goes away does not leave it half done.
async fn act(admin: &Admin, operator: OperatorView, action: Action, wait: bool) -> Result<Response, ApiError> {
    let place = Place::of(&action, admin)?;
    let wanted = admin.control.status(&place.pool.model).map(|status| status.wanted_replicas);
    let can_be_cancelled = action.can_be_cancelled(wanted);
    let (id, cancelled) = admin.operations.begin(&action, operator, (can_be_cancelled, wanted));
    let engines = |place: &Place| -> Vec<EngineView> {
        let rates = Some(&admin.requests);
        place.engines().iter().map(|engine| show::engine(&place.pool.model, engine, rates)).collect()
    };
    let (begun, has_begun) = oneshot::channel();
    let (doing, at) = (admin.clone(), Place::of(&action, admin)?);
    let name = id.clone();
    let task = admin.runtime.spawn(async move {
        tracing::info!(order = %action, operation = name, "an operator's order");
        let result = perform(&doing.control, (&action, &at), begun, cancelled).await;
        match &result {
            Ok(()) => tracing::info!(order = %action, operation = name, "an operator's order was carried out"),
            Err(error) => {
                tracing::warn!(order = %action, operation = name, why = error.message, "an operator's order was not carried out");
            }
        }
        doing.operations.end(&name, result.as_ref().err().map(|error| error.message.clone()));
        result
    });
    let told = |status| {
        let operation = admin.operations.find(&id).ok_or_else(|| none_of("operation", &id, "operations"))?;
        Ok((status, Json(ActionView { operation, engines: engines(&place) })).into_response())
    };
    // What was not begun was refused, and the answer says why; or it is over already, and the answer says so.
    if wait || has_begun.await.is_err() {
        task.await.map_err(|error| ApiError::broken("the action", &error))??;
    }
    told(if wait { StatusCode::OK } else { StatusCode::ACCEPTED })
}

/// Undoes what is under way.
async fn cancel(admin: &Admin, id: &str) -> Result<Response, ApiError> {
    let operation = admin.operations.cancel(id).ok_or_else(|| none_of("operation", id, "operations"))?;
    if operation.view.ended.is_some() {
        return Err(ApiError::refused(format!("The operation `{id}` is over.")));
    }
    let place = Place::of(&operation.action, admin)?;
    let undo = operation.action.undone_by(&place.waiting(), operation.wanted);
    if !operation.view.can_be_cancelled || undo.is_empty() {
        let action = operation.view.action;
        let message = format!("An operation `{action}` cannot be cancelled: wait until it is over, then undo it.");
        return Err(ApiError::refused(message));
    }
    let control = admin.control.clone();
    let undone = admin.runtime.spawn(async move {
        for action in undo {
            let (begun, _) = oneshot::channel();
            let (_, never) = watch::channel(false);
            match &action {
                Action::Order(order) => drop(control.order(order.clone()).await?),
                Action::Drain(_) | Action::Undrain(_) => perform(&control, (&action, &place), begun, never).await?,
            }
        }
        Ok::<_, ApiError>(())
    });
    undone.await.map_err(|error| ApiError::broken("the cancellation", &error))??;
    let view = admin.operations.find(id).ok_or_else(|| none_of("operation", id, "operations"))?;
    Ok((StatusCode::ACCEPTED, Json(view)).into_response())
}

/// Tells `begun` once it is begun, and returns when it is done. `cancelled`: it is not wanted any more.
async fn perform(
    control: &Control,
    (action, place): (&Action, &Place),
    begun: oneshot::Sender<()>,
    mut cancelled: watch::Receiver<bool>,
) -> Result<(), ApiError> {
    let engines = place.engines();
    match action {
        Action::Order(order) => return carry_out(control, order, begun).await,
        Action::Undrain(_) => engines.iter().for_each(|engine| engine.withhold(false)),
        Action::Drain(_) => {
            engines.iter().for_each(|engine| engine.withhold(true));
            let _ = begun.send(());
            let drained = join_all(engines.iter().map(|engine| engine.drained()));
            tokio::select! {
                _ = drained => {}
                Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => {
                    return Err(ApiError::refused("It was cancelled: requests go there again."));
                }
            }
        }
    }
    Ok(())
}

/// Tells `begun` once it will be done also if this gateway is killed now and nobody has refused it, and returns when it is
/// done: what is done at once is never told to be begun.
async fn carry_out(control: &Control, order: &Order, begun: oneshot::Sender<()>) -> Result<(), ApiError> {
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
    if let Ok(early) = timeout(REFUSED_WITHIN, &mut done).await {
        return Ok(early?);
    }
    let _ = begun.send(());
    Ok(done.await?)
}
