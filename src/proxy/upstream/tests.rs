//! Connections to engines, over sockets.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use pingora::ErrorType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::connection::Limits;
use super::socket::Socket;
use super::{Connection, EngineConnections};
use crate::config::{EngineUrl, Timeouts};
use crate::engines::{Address, Engine};
use crate::ids::EngineId;

const LIMITS: Limits = Limits { read: Duration::from_secs(20), write: Duration::from_secs(20) };

/// A connection, and the engine's end of it.
async fn pair(limits: Limits) -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (here, there) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Connection::new(Socket::Plain(here.expect("connected")), limits), there.expect("accepted").0)
}

fn engine(at: SocketAddr) -> Engine {
    let url = EngineUrl { tls: false, host: at.ip().to_string(), port: at.port(), base: String::new() };
    Engine::new(EngineId::new("m", 0), Address { url, api_key: None }, Some(at))
}

fn send(connection: &mut Connection, body: impl Into<Bytes>) {
    connection.send(Method::POST, Bytes::from_static(b"POST / HTTP/1.1\r\n\r\n"), body.into());
}

async fn body(connection: &mut Connection) -> pingora::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = connection.piece().await? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[tokio::test]
async fn head_and_body_leave_together_and_interim_answers_are_passed_over() {
    let (mut connection, mut engine) = pair(LIMITS).await;
    send(&mut connection, "the body");
    let engine = async {
        let mut came = [0; 100];
        let size = engine.read(&mut came).await.expect("read");
        assert_eq!(&came[..size], b"POST / HTTP/1.1\r\n\r\nthe body", "in one write");
        let answer =
            b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n";
        engine.write_all(answer).await.expect("written");
        engine
    };
    let (head, mut engine) = tokio::join!(connection.head(), engine);
    assert_eq!(head.expect("a head").status, 200);
    assert_eq!(connection.piece().await.expect("a piece"), Some(Bytes::from_static(b"abc")), "all that has come");
    assert!(!connection.is_done() && !connection.is_reusable());
    engine.write_all(b"0\r\n\r\n").await.expect("written");
    assert_eq!(connection.piece().await.expect("the end"), None);
    assert!(connection.is_done() && connection.is_reusable() && connection.is_quiet());
    drop(engine);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_whole_request_was_taken_is_an_answer() {
    let (mut connection, mut engine) = pair(LIMITS).await;
    // More than any socket takes at once.
    send(&mut connection, vec![b'x'; 64 << 20]);
    let engine = async {
        engine.read_u8().await.expect("it begins");
        engine.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await.expect("written");
        engine
    };
    let (head, engine) = tokio::join!(connection.head(), engine);
    assert_eq!(head.expect("a head").status, 413);
    assert_eq!(body(&mut connection).await.expect("a body"), b"big");
    assert!(!connection.is_reusable(), "the rest of the request is still on its way");
    drop(engine);
}

#[tokio::test]
async fn an_engine_that_stands_still_or_breaks_off_is_told_apart() {
    let soon = Duration::from_millis(50);
    let (mut silent, _engine) = pair(Limits { read: soon, ..LIMITS }).await;
    send(&mut silent, "");
    assert_eq!(*silent.head().await.expect_err("late").etype(), ErrorType::ReadTimedout);

    let (mut deaf, _engine) = pair(Limits { write: soon, ..LIMITS }).await;
    send(&mut deaf, vec![b'x'; 64 << 20]);
    assert_eq!(*deaf.head().await.expect_err("late").etype(), ErrorType::WriteTimedout);

    let (mut gone, engine) = pair(LIMITS).await;
    send(&mut gone, "");
    drop(engine);
    let error = gone.head().await.expect_err("gone");
    assert!(matches!(error.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError), "{error}");

    for (answer, kind) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"[..], ErrorType::ConnectionClosed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", ErrorType::ConnectionClosed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd", ErrorType::H1Error),
    ] {
        let (mut connection, mut engine) = pair(LIMITS).await;
        send(&mut connection, "");
        engine.write_all(answer).await.expect("written");
        engine.shutdown().await.expect("shut");
        connection.head().await.expect("a head");
        assert_eq!(*body(&mut connection).await.expect_err("not whole").etype(), kind);
    }

    let (mut old, mut engine) = pair(LIMITS).await;
    send(&mut old, "");
    engine.write_all(b"HTTP/1.0 200 OK\r\n\r\nto the end").await.expect("written");
    engine.shutdown().await.expect("shut");
    old.head().await.expect("a head");
    assert_eq!(body(&mut old).await.expect("a body"), b"to the end");
    assert!(!old.is_reusable());

    let (mut other, mut engine) = pair(LIMITS).await;
    send(&mut other, "");
    engine.write_all(b"SSH-2.0-OpenSSH\r\n").await.expect("written");
    assert_eq!(*other.head().await.expect_err("no HTTP").etype(), ErrorType::InvalidHTTPHeader);
}

/// Asks over `connection` and answers at the engine's end.
async fn exchange(connection: &mut Connection, engine: &mut TcpStream, answer: &[u8]) {
    send(connection, "");
    let answer = async {
        let mut came = [0; 100];
        assert!(engine.read(&mut came).await.expect("read") > 0);
        engine.write_all(answer).await.expect("written");
    };
    let (head, ()) = tokio::join!(connection.head(), answer);
    head.expect("a head");
    body(connection).await.expect("a body");
}

#[tokio::test]
async fn connections_are_kept_for_their_engine_until_it_closes_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (engine, other) = (engine(address), engine(address));
    let (connections, timeouts) = (EngineConnections::default(), Timeouts::default());
    let get =
        async |engine: &Engine, fresh| connections.get(engine, address, &timeouts, fresh).await.expect("connected");

    let (mut first, mut end) = pair(LIMITS).await;
    exchange(&mut first, &mut end, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    connections.put(first, &engine, address);
    assert!(!get(&other, false).await.1, "another engine has its own");
    assert!(!get(&engine, true).await.1, "a new one is wanted");
    let (mut kept, reused) = get(&engine, false).await;
    assert!(reused && !get(&engine, false).await.1, "there was one");
    exchange(&mut kept, &mut end, b"HTTP/1.1 204 No Content\r\n\r\n").await;

    end.shutdown().await.expect("shut");
    while kept.is_quiet() {
        tokio::task::yield_now().await;
    }
    connections.put(kept, &engine, address);
    assert!(!get(&engine, false).await.1, "the engine has closed it");

    let (mut closing, mut end) = pair(LIMITS).await;
    exchange(&mut closing, &mut end, b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    connections.put(closing, &engine, address);
    assert!(!get(&engine, false).await.1, "the engine said that it closes it");

    let (mut talking, mut end) = pair(LIMITS).await;
    exchange(&mut talking, &mut end, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nunasked").await;
    connections.put(talking, &engine, address);
    assert!(!get(&engine, false).await.1, "nobody knows what comes next on it");
}
