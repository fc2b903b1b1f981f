//! One Pingora application under two sets of options: HTTP/1.1, and HTTP/2 in clear text.
//!
//! Pingora's own detection of HTTP/2 waits for 24 bytes without a time-out; `listener` looks first, and then hands the
//! connection to the application that fits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::callbacks::Gateway;
use super::request_head;

/// A connection's application.
pub(super) struct HttpApp {
    proxy: Arc<HttpProxy<Gateway>>,
    options: HttpServerOptions,
}

impl HttpApp {
    pub(super) fn new(proxy: Arc<HttpProxy<Gateway>>, h2c: bool, idle: Duration) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = h2c;
        options.h2_idle_timeout = Some(idle);
        Self { proxy, options }
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

    fn h2_options(&self) -> Option<H2Options> {
        // Pingora's own limits on header lists and streams; without them one connection can exhaust memory.
        let mut options = default_h2_options();
        options.max_concurrent_streams(1024);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
