//! Pingora without any logic of ours: it passes every request on to one engine. The floor for what is built on it.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, Server};
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;

/// The argument that makes this executable such a proxy; its address and the engine's follow.
pub(crate) const MODE: &str = "--passthrough";

struct Passthrough(SocketAddr);

#[async_trait]
impl ProxyHttp for Passthrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

/// Serves until it is asked to end.
pub(crate) fn serve(address: &str, engine: &str) -> ! {
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 64,
        // Ends at once.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let engine = engine.parse().expect("the engine's address");
    let mut service = http_proxy_service(&server.configuration, Passthrough(engine));
    service.add_tcp(address);
    server.add_service(service);
    server.run_forever()
}
