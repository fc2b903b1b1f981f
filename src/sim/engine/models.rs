//! The names an engine answers to: `GET /v1/models`, adapters that come and go.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::sim::flags::Settings;
use crate::sim::stamp::{random_id, unix_seconds};
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;
use crate::sim::wire::reply;

/// Served names and loaded adapters.
pub(crate) struct Models {
    names: Vec<String>,
    root: String,
    max_model_len: usize,
    adapters: RwLock<Vec<(String, String)>>,
}

impl Models {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            names: settings.names.clone(),
            root: settings.root.clone(),
            max_model_len: settings.args.max_model_len,
            adapters: RwLock::new(settings.adapters.clone()),
        }
    }

    fn adapters(&self) -> Vec<(String, String)> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn first(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The name an answer carries when `wanted` was asked for: the first one, or the adapter's.
    pub(crate) fn resolve(&self, wanted: Option<&str>) -> Result<String, Fail> {
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(self.first().to_owned()) };
        if self.names.iter().any(|name| name == wanted) {
            return Ok(self.first().to_owned());
        }
        if self.adapters().iter().any(|(name, _)| name == wanted) {
            return Ok(wanted.to_owned());
        }
        let known = self.names.join(", ");
        Err(Fail::not_found(format!("The model `{wanted}` does not exist. Valid aliases: {known}."), Some("model")))
    }

    /// `GET /v1/models`
    pub(crate) fn list(&self) -> Response {
        let created = unix_seconds();
        let card = |id: &str, root: &str, parent: Option<&str>, length: Option<usize>| {
            json!({
                "id": id, "object": "model", "created": created, "owned_by": "vllm", "root": root, "parent": parent,
                "max_model_len": length,
                "permission": [{
                    "id": format!("modelperm-{}", random_id()), "object": "model_permission", "created": created,
                    "allow_create_engine": false, "allow_sampling": true, "allow_logprobs": true,
                    "allow_search_indices": false, "allow_view": true, "allow_fine_tuning": false, "organization": "*",
                    "group": null, "is_blocking": false,
                }],
            })
        };
        let served = self.names.iter().map(|name| card(name, &self.root, None, Some(self.max_model_len)));
        let adapters = self.adapters();
        let loaded = adapters.iter().map(|(name, path)| card(name, path, Some(self.first()), None));
        let data: Vec<Value> = served.chain(loaded).collect();
        reply::ok(&json!({ "object": "list", "data": data }))
    }

    /// `POST /v1/load_lora_adapter`. A path that ends in `none` or `missing` is not found, one in `slow`
    /// takes two seconds.
    pub(crate) async fn load(&self, fields: &Fields) -> Result<Response, Fail> {
        fields.require(&["lora_name", "lora_path"])?;
        let (name, path) =
            (fields.text("lora_name")?.unwrap_or_default(), fields.text("lora_path")?.unwrap_or_default());
        let in_place = fields.flag("load_inplace")?;
        if path.ends_with("/slow") {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        let loaded = adapters.iter().position(|(known, _)| known == name);
        if loaded.is_some() && !in_place {
            return Err(Fail {
                kind: "InvalidUserInput",
                ..Fail::bad(
                    format!(
                        "The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, \
                         set 'load_inplace' to True."
                    ),
                    None,
                )
            });
        }
        if matches!(path.rsplit('/').next(), Some("none" | "missing" | "")) {
            return Err(Fail::not_found(format!("Loading lora {name} failed: No adapter found for <path>"), None));
        }
        match loaded {
            Some(at) => adapters[at].1 = path.to_owned(),
            None => adapters.push((name.to_owned(), path.to_owned())),
        }
        Ok(said(format!("Success: LoRA adapter '{name}' added successfully.")))
    }

    /// `POST /v1/unload_lora_adapter`. One whose path ends in `sticky` stays.
    pub(crate) fn unload(&self, fields: &Fields) -> Result<Response, Fail> {
        fields.require(&["lora_name"])?;
        let name = fields.text("lora_name")?.unwrap_or_default();
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        if adapters.iter().any(|(known, path)| known == name && path.ends_with("/sticky")) {
            return Err(Fail::bad(format!("The lora adapter '{name}' cannot be removed."), None));
        }
        let before = adapters.len();
        adapters.retain(|(known, _)| known != name);
        if adapters.len() == before {
            return Err(Fail::not_found(format!("The lora adapter '{name}' cannot be found."), None));
        }
        Ok(said(format!("Success: LoRA adapter '{name}' removed successfully.")))
    }
}

/// Text without a content type, as vLLM sends it here.
fn said(text: String) -> Response {
    reply::bytes(axum::http::StatusCode::OK, None, Bytes::from(text))
}
