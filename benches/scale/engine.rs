//! The engine: answers at once and with little work, and puts the time of sending into every event of a stream.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval};

use crate::delay::{MARK, now};

/// The argument that makes this executable the engine.
pub(crate) const MODE: &str = "--engine";

/// The header with the microseconds between events; a request that has it is answered with a stream without an end.
pub(crate) const GAP: &str = "x-bench-gap";

/// How many engines there are: it listens at as many addresses of this machine, 127.0.0.1 and those that follow, on one port.
const ENGINES: u8 = 64;

const LARGEST_HEAD: usize = 64 << 10;

/// A plain answer.
const ANSWER: &str = r#"{"id":"chatcmpl-b","object":"chat.completion","created":1795306561,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"All work and no play makes a dull day."},"finish_reason":"stop"}],"usage":{"prompt_tokens":21,"total_tokens":53,"completion_tokens":32}}"#;

/// The addresses of `count` engines, of which `first` is one.
pub(crate) fn addresses(first: SocketAddr, count: u8) -> Vec<SocketAddr> {
    (1..=count.min(ENGINES)).map(|last| (Ipv4Addr::new(127, 0, 0, last), first.port()).into()).collect()
}

/// Serves until it is ended.
pub(crate) fn serve() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let first = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = first.local_addr().expect("an address");
        tokio::spawn(accept(first));
        for other in addresses(address, ENGINES).into_iter().skip(1) {
            tokio::spawn(accept(TcpListener::bind(other).await.expect("the same port at another address")));
        }
        say(&format!("engine on http://{address}"));
        std::future::pending().await
    })
}

#[expect(clippy::print_stdout, reason = "the benchmark reads it")]
fn say(line: &str) {
    println!("{line}");
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(async { serve_connection(stream).await.unwrap_or_default() });
    }
}

/// One request after the other, until the client goes.
async fn serve_connection(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4 << 10);
    loop {
        let (head, mut left, gap) = loop {
            if let Some(read) = parse(&buffer) {
                break read;
            }
            if buffer.len() > LARGEST_HEAD || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        buffer.drain(..head);
        // The body is of no interest.
        while left > buffer.len() {
            left -= buffer.len();
            buffer.clear();
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..left);
        match gap {
            Some(gap) => return stream_events(&mut stream, gap).await,
            None => answer(&mut stream).await?,
        }
    }
}

/// Of a request whose head has come: the head's length, the body's, and the pause between events.
fn parse(buffer: &[u8]) -> Option<(usize, usize, Option<Duration>)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer).ok()? else { return None };
    let number = |name: &str| {
        let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()?.trim().parse::<u64>().ok()
    };
    let length = number("content-length").and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    Some((head, length, number(GAP).map(Duration::from_micros)))
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    stream.write_all(format!("{head}{}\r\n\r\n{ANSWER}", ANSWER.len()).as_bytes()).await
}

async fn stream_events(stream: &mut TcpStream, gap: Duration) -> std::io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let mut ticks = interval(gap);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let event = format!(
            "data: {{\"id\":\"chatcmpl-b\",\"object\":\"chat.completion.chunk\",\"created\":1795306561,\"model\":\"m\",\
             \"choices\":[{{\"index\":0,\"delta\":{{{MARK}{:016}\"}},\"finish_reason\":null}}]}}\n\n",
            now()
        );
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
    }
}
