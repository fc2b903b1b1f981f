//! Has the supervisor do what operators ask for.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::timeout;

use super::error::ApiError;
use super::path::Ask;
use super::{Admin, events, gpus, logs, playground, show, status};
use crate::api::{AdaptersView, AliasesView, CallersView, EnginesView, ModelsView, ReloadOutcome, RequestsView};
use crate::engines::Pool;
use crate::supervisor::{Control, Order};

/// Whoever does not wait for an order hears of a refusal that comes so soon.
const REFUSED_WITHIN: Duration = Duration::from_millis(250);

/// Answers `ask`.
pub(super) async fn answer(admin: &Admin, headers: &HeaderMap, ask: Ask) -> Result<Response, ApiError> {
    let control = &admin.control;
    let pools = admin.registry.pools();
    Ok(match ask {
        Ask::Engines => {
            Json(EnginesView { engines: pools.iter().flat_map(|pool| show::engines(pool)).collect() }).into_response()
        }
        Ask::Gpus => Json(gpus::show(&admin.monitor, &admin.registry.engines())).into_response(),
        Ask::Engine(id) => {
            let (pool, engine) = admin.registry.engine(&id).ok_or_else(|| no_engine(&id))?;
            Json(show::engine(&pool.model, &engine)).into_response()
        }
        Ask::Models => {
            Json(ModelsView { models: pools.iter().map(|pool| show::model(pool, control)).collect() }).into_response()
        }
        Ask::Model(name) => Json(show::model(&*pool(admin, &name)?, control)).into_response(),
        Ask::Adapters(name) => {
            Json(AdaptersView { adapters: show::adapters(&*pool(admin, &name)?, control) }).into_response()
        }
        Ask::Status => Json(status::status(admin)).into_response(),
        Ask::Aliases => Json(AliasesView { aliases: status::aliases(admin) }).into_response(),
        Ask::Alias(name) => {
            let found = status::aliases(admin).into_iter().find(|alias| alias.alias == name);
            let unknown =
                || ApiError::unknown(format!("There is no alias `{name}`; GET /api/v1/aliases lists all aliases."));
            Json(found.ok_or_else(unknown)?).into_response()
        }
        Ask::Callers => Json(CallersView { callers: status::callers(admin) }).into_response(),
        Ask::Requests(filter, most) => {
            Json(RequestsView { requests: admin.requests.newest(&filter, most) }).into_response()
        }
        Ask::Request(id) => {
            let unknown = || ApiError::unknown(format!("No request `{id}` is among the newest ones that have ended."));
            Json(admin.requests.find(&id).ok_or_else(unknown)?).into_response()
        }
        Ask::Rates => Json(admin.requests.rates()).into_response(),
        Ask::Logs(ask) => logs::answer(admin, ask).await?,
        Ask::Configuration => Json(admin.configuration.current().source_map.shown()).into_response(),
        Ask::Chat(body) => playground::chat(admin, headers, body).await?,
        Ask::Events(kinds) => events::answer(admin.clone(), headers, kinds),
        Ask::LastReload => {
            let none = || ApiError::unknown("The configuration was not reloaded since the gateway started.");
            Json(&*admin.configuration.last().ok_or_else(none)?).into_response()
        }
        Ask::Reload => reload(admin).await?,
        Ask::Plan(text) => {
            let configuration = admin.configuration.clone();
            let plan = admin.runtime.spawn(async move { configuration.plan(&text).await });
            Json(plan.await.map_err(|error| broken("the plan", &error))??).into_response()
        }
        Ask::Do(order, wait) => act(admin, order, wait).await?,
    })
}

/// Reloads in a task of its own: an operator who goes away does not leave it half done.
async fn reload(admin: &Admin) -> Result<Response, ApiError> {
    let configuration = admin.configuration.clone();
    let report = admin
        .runtime
        .spawn(async move { configuration.reload().await })
        .await
        .map_err(|error| broken("the reload", &error))??;
    let status = match report.outcome {
        ReloadOutcome::Applied | ReloadOutcome::Unchanged => StatusCode::OK,
        ReloadOutcome::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok((status, Json(report)).into_response())
}

/// Something ended before it was done.
fn broken(what: &str, error: &JoinError) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{what} ended with an internal error: {error}"))
}

fn pool(admin: &Admin, name: &str) -> Result<Arc<Pool>, ApiError> {
    let unknown = || ApiError::unknown(format!("There is no model `{name}`; GET /api/v1/models lists all models."));
    admin.registry.pool(name).ok_or_else(unknown)
}

fn no_engine(id: &str) -> ApiError {
    ApiError::unknown(format!("There is no engine `{id}`; GET /api/v1/engines lists all engines."))
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
    task.await.map_err(|error| broken("the action", &error))??;
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
