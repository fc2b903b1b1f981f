//! Clients: a whole one, and one that writes what it likes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client without a proxy, as ours are all on loopback.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("client")
}

/// A chat request for `model`.
pub fn chat(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "How are you?" }] })
}

/// A connection that is written to and read from byte by byte.
pub struct Wire(pub TcpStream);

/// An answer, taken apart.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Wire {
    /// Connects.
    pub async fn to(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("connected"))
    }

    /// Writes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("written");
    }

    /// Writes a POST with a JSON body and a length.
    pub async fn post(&mut self, path: &str, body: &[u8]) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.send(head).await;
        self.send(body).await;
    }

    /// Reads until `mark` was seen; everything read.
    pub async fn read_until(&mut self, mark: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let reading = async {
            while memchr::memmem::find(&all, mark).is_none() {
                if self.0.read_buf(&mut all).await.expect("read") == 0 {
                    panic!("closed before {:?}: {:?}", String::from_utf8_lossy(mark), String::from_utf8_lossy(&all));
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("in time");
        all
    }

    /// Reads one answer with a length, chunks, or an end of connection.
    pub async fn reply(&mut self) -> Reply {
        tokio::time::timeout(Duration::from_secs(30), self.read_reply()).await.expect("an answer in time")
    }

    async fn read_reply(&mut self) -> Reply {
        let mut all = Vec::new();
        let end = loop {
            if let Some(at) = memchr::memmem::find(&all, b"\r\n\r\n") {
                break at + 4;
            }
            let read = self.0.read_buf(&mut all).await.expect("read");
            assert!(read > 0, "closed within a head: {:?}", String::from_utf8_lossy(&all));
        };
        let head = String::from_utf8(all[..end].to_vec()).expect("UTF-8");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("status");
        let mut reply = Reply { status, head, body: all.split_off(end) };
        if let Some(length) = reply.header("content-length").map(|length| length.parse::<usize>().expect("length")) {
            while reply.body.len() < length {
                assert!(self.0.read_buf(&mut reply.body).await.expect("read") > 0, "short body: {reply:?}");
            }
        } else if reply.header("transfer-encoding").is_some() {
            while !reply.body.ends_with(b"0\r\n\r\n") {
                assert!(self.0.read_buf(&mut reply.body).await.expect("read") > 0, "torn chunks: {reply:?}");
            }
        } else {
            while self.0.read_buf(&mut reply.body).await.expect("read") > 0 {}
        }
        reply
    }
}
