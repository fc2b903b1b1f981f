//! Callers that never rest, and what became of their requests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{chat, eventually, http, time_passes};

/// What became of all requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers in whole, plain and streams.
    pub whole: AtomicUsize,
    /// Streams that began and ended with an error event.
    pub cut: AtomicUsize,
    /// Requests that came to nothing because nobody listened.
    pub unheard: AtomicUsize,
    /// Everything else, in words.
    failures: Mutex<Vec<String>>,
}

/// Callers at work.
pub struct Load {
    pub tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Has `count` callers ask for `model`, every other one streaming, until [`Load::stop`].
    pub fn start(address: SocketAddr, model: &str, count: usize) -> Self {
        Self::of(address, &chat(model), count)
    }

    /// The same, with a chat request of the test's own.
    pub fn of(address: SocketAddr, body: &Value, count: usize) -> Self {
        Self::of_all(address, &[("/v1/chat/completions", body.clone())], count)
    }

    /// The same, with requests of several APIs in turn: their paths and bodies.
    pub fn of_all(address: SocketAddr, requests: &[(&'static str, Value)], count: usize) -> Self {
        let (tally, stop) = (Arc::<Tally>::default(), Arc::new(AtomicBool::new(false)));
        let since = Instant::now();
        let workers = (0..count).map(|number| {
            let (path, mut body) = requests[number / 2 % requests.len()].clone();
            let (tally, stop) = (tally.clone(), stop.clone());
            let stream = number % 2 == 0;
            body["stream"] = json!(stream);
            tokio::spawn(async move {
                let client = http();
                while !stop.load(Ordering::Relaxed) {
                    if let Err(why) = ask(&client, (address, path), &body, stream, &tally).await {
                        let at = since.elapsed();
                        tally
                            .failures
                            .lock()
                            .expect("kept")
                            .push(format!("after {at:?}, {path}, stream {stream}: {why}"));
                    }
                }
            })
        });
        Self { workers: workers.collect(), tally, stop }
    }

    /// Waits for so many further answers.
    pub async fn answered(&self, more: usize) {
        let least = self.tally.whole.load(Ordering::Relaxed) + more;
        eventually("requests to be answered", async || {
            (self.tally.whole.load(Ordering::Relaxed) >= least).then_some(())
        })
        .await;
    }

    /// Lets the callers finish; what went wrong.
    pub async fn stop(mut self) -> (Arc<Tally>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in std::mem::take(&mut self.workers) {
            worker.await.expect("a caller");
        }
        let failures = std::mem::take(&mut *self.tally.failures.lock().expect("kept"));
        (self.tally.clone(), failures)
    }

    /// Lets the callers finish; fails when anything went wrong, but for streams cut with an error event.
    pub async fn stop_unharmed(self) -> Arc<Tally> {
        let (tally, failures) = self.stop().await;
        assert!(failures.is_empty(), "{} failed; {tally:?}:\n{}", failures.len(), failures.join("\n"));
        assert_eq!(tally.unheard.load(Ordering::Relaxed), 0, "the gateway was not there");
        tally
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- load: {:?} ---", self.tally);
        }
    }
}

async fn ask(
    client: &reqwest::Client,
    (address, path): (SocketAddr, &str),
    body: &Value,
    stream: bool,
    tally: &Tally,
) -> Result<(), String> {
    let sent = client.post(format!("http://{address}{path}")).json(body).send().await;
    let reply = match sent {
        Ok(reply) => reply,
        Err(error) if error.is_connect() => {
            tally.unheard.fetch_add(1, Ordering::Relaxed);
            time_passes(Duration::from_millis(1)).await;
            return Ok(());
        }
        Err(error) => return Err(format!("no answer: {error:?}")),
    };
    let status = reply.status().as_u16();
    let text = reply.text().await.map_err(|error| format!("{status} and a torn answer: {error:?}"))?;
    if status != 200 {
        return Err(format!("{status}: {text}"));
    }
    if stream {
        let is_whole = match path {
            "/v1/messages" => text.contains("event: message_stop\n"),
            "/v1/responses" => {
                text.contains("event: response.completed\n") || text.contains("event: response.incomplete\n")
            }
            _ => text.ends_with("data: [DONE]\n\n"),
        };
        // A stream that had begun may be cut, but must say so: the gateway does, or the engine before it dies.
        if ends_with_error(&text) && (text.contains("\"delta\"") || text.contains("\"text\"")) {
            tally.cut.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if !is_whole {
            return Err(format!("a stream without an end: {text}"));
        }
    } else if !serde_json::from_str::<Value>(&text)
        .is_ok_and(|body| ["choices", "content", "output"].iter().any(|member| body[*member].is_array()))
    {
        return Err(format!("no answer: {text}"));
    }
    tally.whole.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Whether the last event but `[DONE]` is an error, in any of the APIs.
fn ends_with_error(text: &str) -> bool {
    let mut events = text.lines().rev().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let last = events.next().and_then(|data| serde_json::from_str::<Value>(data).ok()).unwrap_or_default();
    last["error"].is_object() || last["response"]["error"].is_object() || last["type"] == "error"
}
