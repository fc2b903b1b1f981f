//! How fast bodies are looked into and changed, and how fast streams are followed: the work done per request and per token.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use enginehouse::config;
use enginehouse::openai::{Endpoint, Request, ResponseScanner, Rules, peek, peek_form, rewrite, rewrite_form};
use enginehouse::routing::Routes;
use enginehouse::settings::Settings;
use http::HeaderMap;
use serde_json::{Map, Value, json};

const SIZES: [(&str, usize); 3] = [("1KiB", 1 << 10), ("100KiB", 100 << 10), ("4MiB", 4 << 20)];

/// A chat of about `size` bytes: turns of some 500 bytes with line breaks, quotes and a little that is not ASCII.
fn chat(size: usize) -> Vec<u8> {
    let turn = "Rust's ownership rules say \"one owner\".\nA caf\u{e9} has many; see chapter 4, or ask.\n\n".repeat(6);
    let turns = (size / (turn.len() + 60)).max(1);
    let messages: Vec<Value> =
        (0..turns).map(|n| json!({ "role": if n % 2 == 0 { "user" } else { "assistant" }, "content": turn })).collect();
    let body = json!({
        "model": "qwen3-instant", "messages": messages, "temperature": 0.7, "max_tokens": 16384, "stream": true,
        "stream_options": { "include_usage": true },
    });
    body.to_string().into_bytes()
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn rules() -> Rules {
    let model = Settings { limits: map(json!({ "max_tokens": 16384 })), ..Settings::default() };
    let alias = Settings {
        remove: vec![vec!["logit_bias".into()]],
        defaults: map(json!({ "top_p": 0.95 })),
        limits: map(json!({ "max_tokens": 8192 })),
        overrides: map(json!({ "chat_template_kwargs": { "enable_thinking": false } })),
        ..Settings::default()
    };
    Rules::new(&[model, alias])
}

fn bodies(criterion: &mut Criterion) {
    let (rules, headers) = (rules(), HeaderMap::new());
    let asked = Endpoint::ChatCompletions;
    let request = Request { asked, endpoint: asked, headers: &headers, caller: None, ask_usage: false };
    let mut group = criterion.benchmark_group("body");
    for (name, size) in SIZES {
        let body = chat(size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("peek", name), &body, |bencher, body| {
            bencher.iter(|| peek(black_box(body)).map(|peek| peek.start()));
        });
        // With room at the end, as bodies are read: the copy is made outside of what is measured.
        let fresh = || {
            let mut copy = BytesMut::with_capacity(body.len() + 1024);
            copy.extend_from_slice(&body);
            copy
        };
        group.bench_function(BenchmarkId::new("peek+splice", name), |bencher| {
            bencher.iter_batched_ref(
                fresh,
                |body| {
                    peek(body).map(|peek| rewrite(body, &peek, &rules, &request, Some("Qwen/Qwen3-32B-Instruct"), None))
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_with_input(BenchmarkId::new("serde_json tree, for comparison", name), &body, |bencher, body| {
            bencher.iter(|| serde_json::from_slice::<Value>(black_box(body)).map(|tree| tree.to_string().len()));
        });
    }
    group.finish();
}

fn forms(criterion: &mut Criterion) {
    let (rules, headers) = (rules(), HeaderMap::new());
    let asked = Endpoint::Transcriptions;
    let request = Request { asked, endpoint: asked, headers: &headers, caller: None, ask_usage: false };
    let mut form = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".to_vec();
    form.extend((0..4u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    form.extend_from_slice(b"\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--b--\r\n");
    let mut group = criterion.benchmark_group("form");
    group.throughput(Throughput::Bytes(form.len() as u64));
    group.bench_function("peek+splice/4MiB", |bencher| {
        bencher.iter_batched_ref(
            || {
                let mut copy = BytesMut::with_capacity(form.len() + 1024);
                copy.extend_from_slice(&form);
                copy
            },
            |body| {
                peek_form(body, "b")
                    .map(|form| rewrite_form(body, &form, &rules, &request, Some("openai/whisper-large-v3"), None))
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// The chunks of a stream of 1,000 tokens as vLLM writes it, one event each; `usage`: each says how many there were.
fn stream(usage: bool) -> Vec<Bytes> {
    let counts = |n: u32| json!({ "prompt_tokens": 22, "total_tokens": 22 + n, "completion_tokens": n });
    let mut chunks: Vec<String> = (0..1000)
        .map(|n| {
            let mut event = json!({
                "id": "chatcmpl-8fee25f3ffc46d93", "object": "chat.completion.chunk", "created": 1_795_295_643, "model": "tiny",
                "choices": [{ "index": 0, "delta": { "content": format!(" {n}") }, "logprobs": null, "finish_reason": null }],
            });
            if usage {
                event["usage"] = counts(n);
            }
            format!("data: {event}\n\n")
        })
        .collect();
    let last = json!({ "choices": [], "usage": counts(1000) });
    chunks.push(format!("data: {last}\n\ndata: [DONE]\n\n"));
    chunks.into_iter().map(Bytes::from).collect()
}

/// The same bytes as they come when the reader is slower than the engine.
fn at_once(chunks: &[Bytes]) -> Vec<Bytes> {
    Bytes::from(chunks.concat()).chunks(16 << 10).map(Bytes::copy_from_slice).collect()
}

/// Answers of 100 KiB in chunks of 16 KiB: a long text, and embeddings.
fn answers() -> [(&'static str, Vec<Bytes>); 2] {
    let usage = json!({ "prompt_tokens": 22, "total_tokens": 1022, "completion_tokens": 1000 });
    let text =
        "Rust's ownership rules say \"one owner\".\nA caf\u{e9} has many; see chapter 4, or ask.\n\n".repeat(1200);
    let chat = json!({
        "id": "chatcmpl-8fee25f3ffc46d93", "object": "chat.completion", "created": 1_795_295_643, "model": "tiny",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }], "usage": usage,
    });
    let vector: Vec<f64> = (0..4800).map(|n| f64::from(n * 7919 % 10007) / 10007.0 - 0.5).collect();
    let embeddings = json!({
        "id": "embd-8fee25f3ffc46d93", "object": "list", "created": 1_795_295_643, "model": "tiny",
        "data": [{ "index": 0, "object": "embedding", "embedding": vector }], "usage": usage,
    });
    [("text", chat), ("embeddings", embeddings)]
        .map(|(name, answer)| (name, at_once(&[Bytes::from(answer.to_string().into_bytes())])))
}

fn answer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer");
    let (plain, counted) = (stream(false), stream(true));
    let mut streams = vec![("tokens at once", at_once(&plain)), ("tokens at once, usage in each", at_once(&counted))];
    streams.extend([("1000 tokens", plain), ("1000 tokens, usage in each", counted)]);
    let streams = streams.into_iter().map(|(name, chunks)| (format!("stream, {name}"), true, chunks));
    let whole = answers().into_iter().map(|(name, chunks)| (format!("100KiB {name}"), false, chunks));
    for (name, events, chunks) in streams.chain(whole) {
        for rename in [false, true] {
            let id = BenchmarkId::new(if rename { "renamed" } else { "as it is" }, &name);
            group.bench_function(id, |bencher| {
                bencher.iter_batched(|| chunks.clone(), |chunks| follow(chunks, events, rename), BatchSize::LargeInput);
            });
        }
    }
    group.finish();
}

/// What is done to an answer on its way.
fn follow(chunks: Vec<Bytes>, events: bool, rename: bool) -> impl Sized {
    let scanner = if events { ResponseScanner::events() } else { ResponseScanner::json() };
    let mut scanner = if rename { scanner.renaming("qwen3-instant") } else { scanner };
    let (mut events, mut bytes) = (0, 0);
    for chunk in chunks {
        let seen = scanner.feed(chunk);
        events += seen.events;
        bytes += seen.bytes.len();
    }
    (events, bytes, scanner.done(), scanner.usage())
}

fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [3, 1000] {
        let mut yaml = String::from("models:\n  base: { urls: [http://127.0.0.1:1] }\naliases:\n");
        for n in 0..count {
            yaml += &format!("  alias-{n}: {{ model: base }}\n");
        }
        let snapshot = Routes::of(&config::parse(&yaml, &|_| None).expect("a configuration"), |_| []);
        let last = format!("alias-{}", count - 1);
        group.bench_function(BenchmarkId::new("lookup", count), |bencher| {
            bencher.iter(|| snapshot.resolve(black_box(&last)).map(|(at, _)| at));
        });
        group.bench_function(BenchmarkId::new("unknown, with near names", count), |bencher| {
            bencher.iter(|| (snapshot.resolve(black_box("alias-x")).is_none(), snapshot.near("alias-x").len()));
        });
    }
    group.finish();
}

criterion_group!(benches, bodies, forms, answer, routes);
criterion_main!(benches);
