//! HTTP/2 without TLS, many streams on a connection: open streams of events, and plain requests as fast as they are answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use h2::client::SendRequest;
use tokio::net::TcpStream;

use crate::client::request;
use crate::engine::GAP;
use crate::process::Process;
use crate::wires::{Plan, Wire};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// `count` streams of events on one connection, until one of them ends.
pub(crate) async fn streams(plan: Plan, count: usize, wire: &Wire) -> Result<(), Failure> {
    let client = connect(plan.address).await?;
    let body = body();
    let gap = plan.gap.as_micros().to_string();
    let all = (0..count).map(async |_| -> Result<(), Failure> {
        let (response, _) = send(&client, &body, Some(&gap)).await?;
        let mut answer = response.await?;
        if answer.status() != 200 {
            return Err(answer.status().to_string().into());
        }
        let mut listener = wire.listener();
        while let Some(piece) = answer.body_mut().data().await {
            let piece = piece?;
            answer.body_mut().flow_control().release_capacity(piece.len())?;
            listener.take(&piece);
        }
        Err("a stream ended".into())
    });
    futures::future::try_join_all(all).await.map(drop)
}

/// Sends plain requests over `connections` with `streams` each, for `span`; microseconds of CPU that `process` used for each.
pub(crate) fn measure(
    process: &Process,
    address: SocketAddr,
    (connections, streams): (usize, usize),
    span: Duration,
) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let body = body();
    let (before, since) = (process.cpu(), Instant::now());
    runtime.block_on(join_all((0..connections).map(async |_| {
        let client = connect(address).await.expect("connected");
        join_all((0..streams).map(async |_| {
            while !stop.load(Ordering::Relaxed) {
                one(&client, &body).await.expect("an answer");
                done.fetch_add(1, Ordering::Relaxed);
                stop.fetch_or(since.elapsed() > span, Ordering::Relaxed);
            }
        }))
        .await;
    })));
    let used = process.cpu().saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred thousand requests")]
    let requests = done.load(Ordering::Relaxed) as f64;
    used.as_secs_f64() * 1e6 / requests
}

async fn one(client: &SendRequest<Bytes>, body: &Bytes) -> Result<(), Failure> {
    let (response, _) = send(client, body, None).await?;
    let mut answer = response.await?;
    assert_eq!(answer.status(), 200);
    while let Some(piece) = answer.body_mut().data().await {
        let length = piece?.len();
        answer.body_mut().flow_control().release_capacity(length)?;
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = h2::client::handshake(stream).await?;
    // Ends with the runtime, or when the gateway closes the connection.
    tokio::spawn(connection);
    Ok(client)
}

/// The same as over HTTP/1.1, 1 KiB.
fn body() -> Bytes {
    let whole = request("a0", 1 << 10, false, "");
    let head = memchr::memmem::find(&whole, b"\r\n\r\n").expect("a head");
    whole[head + 4..].to_vec().into()
}

async fn send(
    client: &SendRequest<Bytes>,
    body: &Bytes,
    gap: Option<&str>,
) -> Result<(h2::client::ResponseFuture, h2::SendStream<Bytes>), Failure> {
    let mut client = client.clone().ready().await?;
    let mut head = http::Request::post("http://bench/v1/chat/completions")
        .header("content-type", "application/json")
        .header("content-length", body.len());
    if let Some(gap) = gap {
        head = head.header(GAP, gap);
    }
    let (response, mut stream) = client.send_request(head.body(())?, false)?;
    stream.send_data(body.clone(), true)?;
    Ok((response, stream))
}
