//! The OpenAPI description of the operators' API, made from its types (OpenAPI Specification 3.1).

mod routes;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use self::routes::{Body, Route, of, routes};
use super::{ErrorView, Event};

/// The description.
#[must_use]
pub fn openapi() -> Value {
    let mut generator = SchemaGenerator::new(schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    }));
    let mut paths = Map::new();
    for route in routes() {
        let item = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        item[route.method] = operation(&route, &mut generator);
    }
    let error = content("application/json", &of::<ErrorView>(&mut generator));
    // Each message of the stream of events is one of these.
    let _ = of::<Event>(&mut generator);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Operators' API of Enginehouse",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Names of models, aliases and callers may hold slashes: write them as they are or as %2F.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": { "Error": { "description": "Why it was not done.", "content": error } },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "admin.token of the configuration" },
            },
        },
        "security": [{}, { "token": [] }],
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let in_path = route
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = route.query.iter().map(
        |(name, what)| json!({ "name": name, "in": "query", "description": what, "schema": { "type": "string" } }),
    );
    let mut operation = json!({
        "summary": route.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": { "default": { "$ref": "#/components/responses/Error" } },
    });
    for (status, what, body) in &route.answers {
        let mut answer = json!({ "description": what });
        if let Some(content) = body.as_ref().map(|body| described(body, generator)) {
            answer["content"] = content;
        }
        operation["responses"][status.to_string()] = answer;
    }
    if let Some(body) = &route.body {
        operation["requestBody"] = json!({ "required": true, "content": described(body, generator) });
    }
    operation
}

fn described(body: &Body, generator: &mut SchemaGenerator) -> Value {
    match body {
        Body::Json(schema) => content("application/json", &schema(generator)),
        Body::Entry(example) => json!({ "application/json": { "schema": { "type": "object" }, "example": example } }),
        Body::Text(kind) => content(kind, &json!({ "type": "string" })),
    }
}

fn content(kind: &str, schema: &Value) -> Value {
    json!({ kind: { "schema": schema } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_an_answer() {
        let description = openapi();
        let text = description.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(description.pointer(reference).is_some(), "{reference}");
        }
        for (path, methods) in description["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let answers = operation["responses"].as_object().expect("answers");
                assert!(
                    answers.len() > 1 && operation["summary"].as_str().is_some_and(|it| it.len() > 5),
                    "{method} {path}"
                );
            }
        }
    }
}
