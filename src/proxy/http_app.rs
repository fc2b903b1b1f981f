//! The Pingora application that serves the requests of a connection, over HTTP/1.1 one after another, over HTTP/2 side by side.
//!
//! Pingora's own detection of HTTP/2 waits for 24 bytes without a time-out; `listener` looks first, and hands connections of
//! HTTP/2 to `http2`, which brings each of their requests here.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::callbacks::Gateway;
use super::request_head;

/// A connection's application.
pub(super) struct HttpApp {
    proxy: Arc<HttpProxy<Gateway>>,
}

impl HttpApp {
    pub(super) fn new(proxy: Arc<HttpProxy<Gateway>>) -> Self {
        Self { proxy }
    }
}

#[async_trait]
impl HttpServerApp for HttpApp {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        request_head::read_by(self.proxy.process_new_http(session, shutdown)).await
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
