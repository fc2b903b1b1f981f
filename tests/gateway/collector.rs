//! A collector of traces: takes what an exporter sends, over HTTP or gRPC, and keeps the spans.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

use crate::support::eventually;

/// What came in one request to the collector.
type Exports = Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>;

/// The collector; ends when dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    exports: Exports,
    task: JoinHandle<()>,
}

/// A span, as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Seen(pub(crate) Span);

impl Collector {
    /// One that is spoken to over HTTP.
    pub(crate) async fn http() -> Self {
        let exports = Exports::default();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(exports.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.expect("serving") });
        Self { address, exports, task }
    }

    /// One that is spoken to over gRPC.
    pub(crate) async fn grpc() -> Self {
        let exports = Exports::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = TraceServiceServer::new(Service(exports.clone()));
        let serving = tonic::transport::Server::builder().add_service(service);
        let task = tokio::spawn(async move {
            serving.serve_with_incoming(TcpIncoming::from(listener)).await.expect("serving");
        });
        Self { address, exports, task }
    }

    /// All spans that have come.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        let exports = self.exports.lock().expect("kept");
        let scopes = exports.iter().flat_map(|(_, export)| &export.resource_spans).flat_map(|one| &one.scope_spans);
        scopes.flat_map(|scope| scope.spans.iter().cloned().map(Seen)).collect()
    }

    /// The spans of the request with this id, when they have come: its own first, then in the order in which they began.
    pub(crate) async fn of_request(&self, id: &str) -> Vec<Seen> {
        eventually("the spans of a request", async || {
            let mut all = self.spans();
            let own = all.iter().find(|span| span.attribute("enginehouse.request.id") == json!(id))?.clone();
            all.retain(|span| span.0.trace_id == own.0.trace_id);
            all.sort_by_key(|span| (span.0.span_id != own.0.span_id, span.0.start_time_unix_nano));
            Some(all)
        })
        .await
    }

    /// An attribute of the resource that spans came with first.
    pub(crate) fn resource(&self, name: &str) -> Value {
        let exports = self.exports.lock().expect("kept");
        let resource = exports[0].1.resource_spans[0].resource.as_ref().expect("a resource");
        attribute(&resource.attributes, name)
    }

    /// The headers of the first export.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.exports.lock().expect("kept")[0].0.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    /// An attribute; `null`: it has none of this name.
    pub(crate) fn attribute(&self, name: &str) -> Value {
        attribute(&self.0.attributes, name)
    }

    /// Its ids as `traceparent` writes them: of the trace, and its own.
    pub(crate) fn ids(&self) -> (String, String) {
        (hex(&self.0.trace_id), hex(&self.0.span_id))
    }

    /// The span that it belongs to.
    pub(crate) fn parent(&self) -> String {
        hex(&self.0.parent_span_id)
    }

    /// The times of its beginning and its end, in nanoseconds.
    pub(crate) fn times(&self) -> (u64, u64) {
        (self.0.start_time_unix_nano, self.0.end_time_unix_nano)
    }

    /// The names of its events.
    pub(crate) fn events(&self) -> Vec<&str> {
        self.0.events.iter().map(|event| event.name.as_str()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(all: &[KeyValue], name: &str) -> Value {
    let found = all.iter().find(|pair| pair.key == name).and_then(|pair| pair.value.as_ref()?.value.as_ref());
    match found {
        None => Value::Null,
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        Some(any_value::Value::BoolValue(is)) => json!(is),
        Some(other) => panic!("{name} is {other:?}"),
    }
}

/// An export over HTTP.
async fn take(State(exports): State<Exports>, headers: HeaderMap, body: Bytes) -> (StatusCode, Vec<u8>) {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/x-protobuf") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, Vec::new());
    }
    let Ok(export) = ExportTraceServiceRequest::decode(body) else { return (StatusCode::BAD_REQUEST, Vec::new()) };
    exports.lock().expect("kept").push((headers, export));
    (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec())
}

/// An export over gRPC.
struct Service(Exports);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let headers = request.metadata().clone().into_headers();
        self.0.lock().expect("kept").push((headers, request.into_inner()));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}
