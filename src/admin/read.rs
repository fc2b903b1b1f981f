//! Answers what operators ask of how things are.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::path::Read;
use super::{Admin, gpus, show, status};
use crate::api::{
    AdaptersView, AliasesView, CallersView, EnginesView, ModelsView, OperationsView, RequestsView, openapi,
};
use crate::engines::Pool;

/// Answers `what`.
pub(super) fn answer(admin: &Admin, what: Read) -> Result<Response, ApiError> {
    let pools = || admin.registry.pools();
    Ok(match what {
        Read::Status => Json(status::status(admin)).into_response(),
        Read::Engines => Json(EnginesView { engines: status::engines(admin) }).into_response(),
        Read::Engine(id) => {
            let (pool, engine) = admin.registry.engine(&id).ok_or_else(|| no_engine(&id))?;
            Json(show::engine(&pool.model, &engine, Some(&admin.requests))).into_response()
        }
        Read::Models => {
            Json(ModelsView { models: pools().iter().map(|pool| show::model(pool, admin)).collect() }).into_response()
        }
        Read::Model(name) => Json(show::model(&*pool(admin, &name)?, admin)).into_response(),
        Read::Adapters(name) => {
            Json(AdaptersView { adapters: show::adapters(&*pool(admin, &name)?, &admin.control) }).into_response()
        }
        Read::Aliases => Json(AliasesView { aliases: status::aliases(admin) }).into_response(),
        Read::Alias(name) => {
            let found = status::aliases(admin).into_iter().find(|alias| alias.alias == name);
            Json(found.ok_or_else(|| none_of("alias", &name, "aliases"))?).into_response()
        }
        Read::Callers => Json(CallersView { callers: status::callers(admin) }).into_response(),
        Read::Caller(name) => {
            let found = status::callers(admin).into_iter().find(|caller| caller.caller == name);
            Json(found.ok_or_else(|| none_of("caller", &name, "callers"))?).into_response()
        }
        Read::Gpus => Json(gpus::show(&admin.monitor, &admin.registry.engines())).into_response(),
        Read::Requests(filter, most) => {
            Json(RequestsView { requests: admin.requests.newest(&filter, most) }).into_response()
        }
        Read::Request(id) => {
            let unknown = || ApiError::unknown(format!("No request `{id}` is among the newest ones that have ended."));
            Json(admin.requests.find(&id).ok_or_else(unknown)?).into_response()
        }
        Read::LogLevel => Json(status::log_level(admin)).into_response(),
        Read::Rates(None) => Json(admin.requests.rates()).into_response(),
        Read::Rates(Some(engine)) => {
            admin.registry.engine(&engine).ok_or_else(|| no_engine(&engine))?;
            Json(admin.requests.engine_view(&engine)).into_response()
        }
        Read::Configuration => Json(admin.configuration.current().source_map.shown()).into_response(),
        Read::Overlay => Json(admin.configuration.overlay()).into_response(),
        Read::OpenApi => Json(openapi()).into_response(),
        Read::Operations => Json(OperationsView { operations: admin.operations.all() }).into_response(),
        Read::Operation(id) => {
            let found = admin.operations.find(&id);
            Json(found.ok_or_else(|| none_of("operation", &id, "operations"))?).into_response()
        }
        Read::LastReload => {
            let none = || ApiError::unknown("The configuration was not reloaded since the gateway started.");
            Json(&*admin.configuration.last().ok_or_else(none)?).into_response()
        }
    })
}

/// The engines of the model `name`.
pub(super) fn pool(admin: &Admin, name: &str) -> Result<Arc<Pool>, ApiError> {
    admin.registry.pool(name).ok_or_else(|| none_of("model", name, "models"))
}

/// There is no such engine.
pub(super) fn no_engine(id: &str) -> ApiError {
    none_of("engine", id, "engines")
}

/// There is no `what` of this name among those that `path` lists.
pub(super) fn none_of(what: &str, name: &str, path: &str) -> ApiError {
    ApiError::unknown(format!("There is no {what} `{name}`; GET /api/v1/{path} lists all {path}."))
}
