//! Recordings of exchanges, exchanges of our own, and the shapes by which they are compared.

use std::collections::BTreeMap;
use std::path::Path;

use enginehouse::sim::Running;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A recorded exchange.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) port: String,
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Reads a recording.
pub(crate) fn load(path: &Path) -> Recording {
    let text = std::fs::read_to_string(path).unwrap();
    let (request, rest) = text.strip_prefix("### REQUEST\n").unwrap().split_once("\n\n### RESPONSE HEAD\n").unwrap();
    let (answer, rest) = rest.split_once("\n\n### RESPONSE BODY").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    let body = rest.rsplit_once("\n\n### CAPTURE").unwrap().0;
    let (lines, content) = request.split_once("\n\n").unwrap();
    let chunked = lines.contains("Transfer-Encoding: chunked");
    let content = if chunked { content.replace('\n', "\r\n") + "\r\n" } else { content.trim_end_matches('\n').into() };
    // Paths in the recordings were shortened afterwards.
    let length = |line: &str| match line.starts_with("Content-Length: ") {
        true => format!("Content-Length: {}", content.len()),
        false => line.to_owned(),
    };
    let head: Vec<String> = lines.lines().map(length).collect();
    let port = lines.split("127.0.0.1:").nth(1).unwrap()[..4].to_owned();
    Recording {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        port,
        request: format!("{}\r\n\r\n{content}", head.join("\r\n")).into_bytes(),
        answer: Answer { body: body.to_owned(), ..parse_head(answer) },
    }
}

fn parse_head(head: &str) -> Answer {
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Answer { status, headers, body: String::new() }
}

/// Sends raw bytes, reads to the end of the connection.
pub(crate) async fn exchange(engine: &Running, request: &[u8]) -> Answer {
    exchange_torn(engine, request).await.0
}

/// The same; also whether the connection ended before the body did.
pub(crate) async fn exchange_torn(engine: &Running, request: &[u8]) -> (Answer, bool) {
    let mut tcp = TcpStream::connect(engine.addr()).await.unwrap();
    tcp.write_all(request).await.unwrap();
    let mut raw = Vec::new();
    let end = tcp.read_to_end(&mut raw).await;
    let raw = String::from_utf8(raw).unwrap();
    let is_torn = end.is_err() || raw.contains("chunked") && !raw.ends_with("0\r\n\r\n");
    (parse(&raw), is_torn)
}

/// An answer as it comes over the wire.
pub(crate) fn parse(raw: &str) -> Answer {
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    let answer = parse_head(&head.replace("\r\n", "\n"));
    let chunked = answer.headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
    let body = if chunked { dechunk(body) } else { body.to_owned() };
    Answer { body, ..answer }
}

pub(crate) fn dechunk(mut rest: &str) -> String {
    let mut out = String::new();
    loop {
        // A connection that was cut has no last chunk.
        let Some((size, after)) = rest.split_once("\r\n") else { return out };
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return out;
        }
        out.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
}

/// Member names in order, JSON types, first elements of arrays.
pub(crate) fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) => if number.is_f64() { "float" } else { "int" }.into(),
        Value::String(_) => "text".into(),
        Value::Array(all) => {
            // The first element of a list of log probabilities is null: two tell more.
            let first: Vec<String> = all.iter().take(2).map(shape).collect();
            let first = if first.len() == 2 && first[0] == first[1] { first[0].clone() } else { first.join("|") };
            format!("[{first}]")
        }
        // Token ids or tokens as member names: one is as good as the other.
        Value::Object(all) if all.values().any(|value| value.get("decoded_token").is_some()) => {
            format!("{{TOKEN:{}}}", all.values().next().map(shape).unwrap_or_default())
        }
        Value::Object(all) => {
            let members: Vec<String> = all
                .iter()
                .map(|(name, value)| match (name.as_str(), value) {
                    ("top_logprobs", Value::Array(tops)) if tops.iter().any(|top| !top.is_array()) => {
                        format!("{name}:tops[{}]", tops.iter().any(Value::is_null))
                    }
                    ("token_ids" | "tokens" | "data" | "embedding", Value::Array(all))
                        if all.iter().all(Value::is_number) =>
                    {
                        format!("{name}:[number]")
                    }
                    _ => format!("{name}:{}", shape(value)),
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// The shapes of a stream's events, each once, in order of first appearance.
pub(crate) fn events(body: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for event in body.split("\n\n").filter(|event| !event.trim().is_empty()) {
        let lines: Vec<String> = event
            .trim_start_matches('\n')
            .lines()
            .map(|line| match line.strip_prefix("data: ") {
                Some("[DONE]") | None => line.to_owned(),
                Some(data) => shape(&serde_json::from_str(data).unwrap_or_else(|why| panic!("{why}: {data}"))),
            })
            .collect();
        let line = lines.join(" ");
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    seen
}
