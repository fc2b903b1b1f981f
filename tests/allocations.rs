//! How often the gateway asks for memory to serve one request: counted, with ceilings, because unlike time it is the same on
//! every machine. The gateway runs inside this test; the engine is a process of its own, the client asks for no memory.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use enginehouse::app::{self, Request, Source};
use enginehouse::telemetry::Logs;
use tokio::sync::mpsc;

use crate::support::Sim;

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

/// Requests of one measurement, and measurements of which the least counts: the gateway does other things, too.
const REQUESTS: u64 = 50;
const ROUNDS: usize = 5;

/// A gateway inside this process; ends when dropped.
struct Inside {
    address: SocketAddr,
    stop: mpsc::Sender<Request>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Inside {
    fn start(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, ready) = (folder.path().join("gateway.yaml"), folder.path().join("ready.json"));
        std::fs::write(&file, yaml).expect("written");
        let (stop, requests) = mpsc::channel(1);
        let (to, state) = (ready.clone(), folder.path().join("state"));
        let thread = std::thread::spawn(move || {
            let source = Source::new(&[file], Vec::new(), Some(state));
            let config = source.load().expect("a configuration");
            let logs = Logs::start(&config.log).expect("logs");
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let served = app::serve(source, config, logs, requests, Some(to));
            runtime.expect("a runtime").block_on(served).expect("served");
            drop(folder);
        });
        let since = Instant::now();
        let address = loop {
            let text = std::fs::read(&ready).unwrap_or_default();
            let value: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            if let Some(address) = value["listen"].as_str() {
                break address.parse().expect("an address");
            }
            assert!(since.elapsed() < Duration::from_secs(60), "not ready: {value}");
            std::thread::yield_now();
        };
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.stop.try_send(Request::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends `request` and reads the whole answer, without asking for memory.
fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) {
    stream.write_all(request).expect("sent");
    let mut filled = 0;
    loop {
        filled += match stream.read(&mut buffer[filled..]).expect("read") {
            0 => panic!("closed: {}", String::from_utf8_lossy(&buffer[..filled])),
            more => more,
        };
        let answer = &buffer[..filled];
        let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n").map(|end| end + 4) else { continue };
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
        let is_whole = match memchr::memmem::find(&answer[..end], b"ength: ") {
            Some(at) => {
                let digits = answer[at + 7..].iter().take_while(|byte| byte.is_ascii_digit());
                end + digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')) == filled
            }
            None => answer.ends_with(b"0\r\n\r\n"),
        };
        if is_whole {
            return;
        }
    }
}

/// How often memory is asked for by a request for `model`: chat with a body of 1 KiB.
fn cost(address: SocketAddr, model: &str, stream: bool) -> u64 {
    let text = "All work and no play makes a dull day. ".repeat(24);
    let body = format!(
        "{{\"model\":\"{model}\",\"stream\":{stream},\"max_tokens\":32,\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
    );
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).expect("connected");
    let mut buffer = vec![0; 64 * 1024];
    (0..REQUESTS).for_each(|_| exchange(&mut stream, request.as_bytes(), &mut buffer));
    let round = |_| {
        let before = dhat::HeapStats::get().total_blocks;
        (0..REQUESTS).for_each(|_| exchange(&mut stream, request.as_bytes(), &mut buffer));
        (dhat::HeapStats::get().total_blocks - before) / REQUESTS
    };
    (0..ROUNDS).map(round).min().expect("rounds")
}

#[test]
fn a_request_asks_for_memory_no_more_often_than_before() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let sim = Sim::start(&["--ttft", "0ms", "--gap", "0ms", "--tokens", "32", "--keep-alive", "1h"]);
    let gateway = Inside::start(&format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nmodels: {{ tiny: {{ urls: [\"{}\"], served_name: tiny, \
         health: {{ interval: 1h }} }} }}\naliases: {{ a: {{ model: tiny, defaults: {{ top_p: 0.9 }}, overrides: {{ \
         chat_template_kwargs: {{ enable_thinking: false }} }} }} }}\n",
        sim.url()
    ));
    let found = [("tiny", false, 46), ("a", false, 61), ("tiny", true, 132), ("a", true, 144)]
        .map(|(model, stream, most)| (model, stream, cost(gateway.address, model, stream), most));
    println!("{found:?}");
    for (model, stream, cost, most) in found {
        assert!(cost <= most, "{cost} for `{model}`, stream: {stream}; so far it was {most} at most");
    }
}
