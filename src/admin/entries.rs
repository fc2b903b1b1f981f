//! Models, aliases and callers that are added, changed and removed while the gateway runs.

use axum::Json;
use axum::extract::Query;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::ApiError;
use super::{Admin, EntryChange, Wanted};
use crate::api::{ChangeKind, ReloadReport};
use crate::ids::EntryKind;

/// The query of a change.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    persist: Option<Persist>,
}

/// Where a change is kept.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Persist {
    /// In the configuration file.
    File,
    /// In the state directory, as without it.
    State,
}

/// What a request to change the entry `name` asks for. `method`: `PUT` or `DELETE`.
pub(super) fn parse(
    method: &Method,
    uri: &Uri,
    (kind, name): (EntryKind, String),
    body: &[u8],
) -> Result<EntryChange, ApiError> {
    let wanted = if method == Method::DELETE {
        Wanted::Removed
    } else {
        let text = std::str::from_utf8(body).ok().filter(|text| !text.trim().is_empty()).ok_or_else(|| {
            ApiError::malformed(format!(
                "Send what would stand under `{name}` in `{}:` of the configuration file, as JSON or YAML: {}.",
                kind.section(),
                example(kind)
            ))
        })?;
        Wanted::Entry(text.to_owned())
    };
    let persist = matches!(options(uri)?.persist, Some(Persist::File));
    Ok(EntryChange { kind, name, wanted, persist })
}

/// What a request to forget a change asks for.
pub(super) fn forget(uri: &Uri, (kind, name): (EntryKind, String)) -> Result<EntryChange, ApiError> {
    if options(uri)?.persist.is_some() {
        return Err(ApiError::malformed(
            "What is forgotten cannot be kept: `persist` belongs to PUT and DELETE of an entry.",
        ));
    }
    Ok(EntryChange { kind, name, wanted: Wanted::AsInFile, persist: false })
}

fn options(uri: &Uri) -> Result<Options, ApiError> {
    let Query(options) = Query::<Options>::try_from_uri(uri).map_err(|error| {
        ApiError::malformed(format!("The query is not understood: {}. It may have `persist=file`.", error.body_text()))
    })?;
    Ok(options)
}

fn example(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Model => r#"{"source": "Qwen/Qwen3-8B", "gpus": 1}"#,
        EntryKind::Alias => r#"{"model": "qwen", "defaults": {"temperature": 0.2}}"#,
        EntryKind::Caller => r#"{"keys": ["${CHATBOT_KEY}"]}"#,
    }
}

/// Makes a change in a task of its own: an operator who goes away does not leave it half done.
pub(super) async fn change(admin: &Admin, change: EntryChange) -> Result<Response, ApiError> {
    let configuration = admin.configuration.clone();
    let (name, is_put) = (change.name.clone(), matches!(change.wanted, Wanted::Entry(_)));
    let report = admin
        .runtime
        .spawn(async move { configuration.change(change).await })
        .await
        .map_err(|error| ApiError::broken("the change", &error))??;
    let status = if is_put && is_new(&report, &name) { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(report)).into_response())
}

/// Whether there was nothing of that name.
fn is_new(report: &ReloadReport, name: &str) -> bool {
    let change = &report.change;
    let mut all = change.models.iter().chain(&change.aliases).chain(&change.callers);
    all.any(|one| one.name == name && one.kind == ChangeKind::Added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_understood_where_it_is_sent_back() {
        let (model, alias, caller) = (example(EntryKind::Model), example(EntryKind::Alias), example(EntryKind::Caller));
        let yaml = format!("models: {{ qwen: {model} }}\naliases: {{ a: {alias} }}\ncallers: {{ c: {caller} }}\n");
        let config = crate::config::parse(&yaml, &|_| Some("a-key-that-is-long-enough".into())).expect("it is valid");
        assert_eq!((config.models.len(), config.aliases.len(), config.callers.len()), (1, 1, 1));
    }
}
