//! The JSON Schema of everything that the operators' API tells.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{
    AdaptersView, AliasView, AliasesView, CallerView, CallersView, ConfigChange, EngineView, EnginesView, ErrorView,
    Event, GpusView, LogsView, ModelView, ModelsView, NotReadyView, OverlayView, RatesView, ReloadReport, RequestView,
    RequestsView, StatusView,
};

/// One property for each path, with the schema of its answer; what they share is in `$defs`.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let mut answers = Map::new();
    let mut add = |path: &str, schema: schemars::Schema| drop(answers.insert(path.to_owned(), schema.into()));
    add("GET /readyz 503", of::<NotReadyView>(&mut generator));
    add("GET /api/v1/engines", of::<EnginesView>(&mut generator));
    add("GET /api/v1/engines/{engine}", of::<EngineView>(&mut generator));
    add("GET /api/v1/models", of::<ModelsView>(&mut generator));
    add("GET /api/v1/models/{model}", of::<ModelView>(&mut generator));
    add("GET /api/v1/models/{model}/lora", of::<AdaptersView>(&mut generator));
    add("GET /api/v1/gpus", of::<GpusView>(&mut generator));
    add("GET /api/v1/status", of::<StatusView>(&mut generator));
    add("GET /api/v1/aliases", of::<AliasesView>(&mut generator));
    add("GET /api/v1/aliases/{alias}", of::<AliasView>(&mut generator));
    add("GET /api/v1/callers", of::<CallersView>(&mut generator));
    add("GET /api/v1/callers/{caller}", of::<CallerView>(&mut generator));
    add("GET /api/v1/overlay", of::<OverlayView>(&mut generator));
    add("PUT /api/v1/models/{model}", of::<ReloadReport>(&mut generator));
    add("GET /api/v1/requests", of::<RequestsView>(&mut generator));
    add("GET /api/v1/requests/{id}", of::<RequestView>(&mut generator));
    add("GET /api/v1/rates", of::<RatesView>(&mut generator));
    add("GET /api/v1/logs", of::<LogsView>(&mut generator));
    add("POST /api/v1/plan", of::<ConfigChange>(&mut generator));
    add("POST /api/v1/reload", of::<ReloadReport>(&mut generator));
    add("GET /api/v1/events", of::<Event>(&mut generator));
    add("any error", of::<ErrorView>(&mut generator));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Answers of the operators' API of Enginehouse; each event of /api/v1/events is one JSON value",
        "properties": answers,
        "$defs": generator.take_definitions(true),
    })
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<T>()
}
