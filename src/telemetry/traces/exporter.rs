//! The exporter of the OpenTelemetry crates, as the variables want it. Headers and compression it reads from them itself.

use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::KeyValue;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;

use super::environment::{Protocol, TraceSettings};
use super::names;

/// Makes it, inside a runtime.
///
/// # Errors
/// Why it cannot be made, for people.
pub(super) fn exporter(settings: &TraceSettings) -> Result<SpanExporter, String> {
    let TraceSettings { endpoint, timeout, .. } = settings;
    let mut exporter = match settings.protocol {
        Protocol::Grpc => SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(*timeout).build(),
        Protocol::Http => {
            let tls = HttpsConnectorBuilder::new().with_native_roots();
            // Without certificates there is still plain HTTP.
            let tls = match tls {
                Err(error) if endpoint.starts_with("https") => {
                    return Err(format!("this machine's certificates cannot be read: {error}"));
                }
                Err(_) => None,
                Ok(tls) => Some(tls.https_or_http().enable_http1().build()),
            };
            let builder = SpanExporter::builder().with_http().with_endpoint(endpoint).with_timeout(*timeout);
            match tls {
                Some(connector) => builder.with_http_client(HyperClient::new(connector, *timeout, None)),
                None => builder.with_http_client(HyperClient::with_default_connector(*timeout, None)),
            }
            .build()
        }
    }
    .map_err(|error| error.to_string())?;
    exporter.set_resource(&resource(settings));
    Ok(exporter)
}

/// What the spans are about as a whole.
fn resource(settings: &TraceSettings) -> Resource {
    let given = settings.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_attribute(KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(names::PROCESS, i64::from(std::process::id())))
        .with_attributes(given)
        .with_attribute(KeyValue::new(names::SERVICE_NAME, settings.service.clone()))
        .build()
}
