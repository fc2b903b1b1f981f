//! The dashboard in a real browser, over a gateway with simulated engines and a stand-in for NVIDIA's library.
//!
//! It needs Chromium and its driver (Debian: `chromium chromium-driver`), and runs where `ENGINEHOUSE_BROWSER` is set; the
//! command is `.ci/dashboard`. With `ENGINEHOUSE_SCREENSHOTS` it leaves pictures of every view in that folder.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod changing;
mod speed;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::Browser;
use crate::support::machine::{DRIVER, Machine, card};
use crate::support::{BINARY, Gateway, chat, http};

const CONFIGURATION: &str = "
callers: { chatbot: { keys: [k-bot] } }
anonymous: {}
models:
  qwen3-32b: { source: qwen3-32b, command: [enginehouse, sim], gpus: 1, replicas: 2, gpu_memory: 0.5, sleep_mode: true }
  org/embed: { source: org/embed, command: [enginehouse, sim], gpus: 1, gpu_memory: 0.4 }
aliases:
  qwen3-think: { model: qwen3-32b, defaults: { temperature: 0.6 }, capture: { mask: [messages.content] } }
  qwen3-instant: { model: qwen3-32b, overrides: { chat_template_kwargs: { enable_thinking: false } }, fallback: [org/embed] }
";

/// Every view, with something that it shows.
const VIEWS: [(&str, &str); 11] = [
    ("", "Time to first token"),
    ("models", "org/embed"),
    ("aliases", "qwen3-instant"),
    ("requests", "/v1/chat/completions"),
    ("logs", "engine is ready"),
    ("gpus", "NVIDIA H100 80GB"),
    ("callers", "chatbot"),
    ("operations", "Audit log"),
    ("configuration", "chat_template_kwargs"),
    ("playground", "System text"),
    ("engine/qwen3-32b/0", "Last start took"),
];

/// A gateway whose addresses stay the same when it is started again.
struct Stage {
    folder: TempDir,
    machine: Machine,
    gateway: Gateway,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
        let yaml = format!("listen: {}\nadmin: {{ listen: {} }}\non_exit: keep\n{CONFIGURATION}", free(), free());
        std::fs::write(folder.path().join("gateway.yaml"), yaml).expect("written");
        let machine = Machine::new(&format!("{DRIVER}{}{}", card(0), card(1)));
        let gateway = Self::start(&folder, &machine);
        Self { folder, machine, gateway }
    }

    fn start(folder: &TempDir, machine: &Machine) -> Gateway {
        let mut command = Gateway::command(&folder.path().join("gateway.yaml"), folder.path());
        machine.prepare(&mut command);
        Gateway::of(command)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.gateway.admin)
    }

    async fn ask(&self, model: &str) {
        let mut body = chat(model);
        body["stream"] = json!(true);
        let reply = http().post(self.gateway.url("/v1/chat/completions")).bearer_auth("k-bot").json(&body).send().await;
        reply.expect("answered").bytes().await.expect("whole");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Engines outlive their gateway here.
        let file = self.folder.path().join("gateway.yaml");
        let state = self.folder.path().join("state");
        let _ = Command::new(BINARY).arg("shutdown").arg(file).arg("--state-dir").arg(state).output();
    }
}

fn is_wanted() -> bool {
    let wanted = std::env::var_os("ENGINEHOUSE_BROWSER").is_some();
    if !wanted {
        println!("skipped: set ENGINEHOUSE_BROWSER=1 to run it (it needs Debian's chromium and chromium-driver)");
    }
    wanted
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_shows_what_it_is_for_and_complains_about_nothing() {
    if !is_wanted() {
        return;
    }
    let stage = Stage::new();
    stage.gateway.all_ready().await;
    for model in ["qwen3-think", "qwen3-instant", "none"] {
        stage.ask(model).await;
    }
    let browser = Browser::start().await;
    browser.resize(1280, 800).await;
    browser.open(&stage.url("")).await;
    browser.sees("live").await;
    for (view, text) in VIEWS {
        browser.run("location.hash = '#/' + arguments[0]", json!([view])).await;
        browser.sees(text).await;
        looks(&browser, if view.is_empty() { "overview" } else { view.split('/').next().unwrap_or(view) }).await;
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_and_does_things_by_clicking() {
    if !is_wanted() {
        return;
    }
    let mut stage = Stage::new();
    stage.gateway.all_ready().await;
    let browser = Browser::start().await;
    browser.resize(1280, 800).await;
    browser.open(&stage.url("")).await;
    browser.sees("3 of 3").await;
    // Live data.
    browser.open(&stage.url("#/requests")).await;
    stage.ask("qwen3-think").await;
    browser.sees("qwen3-think").await;
    // Its bodies, as text.
    let choose = "document.querySelector('tbody tr.can')?.click(); return document.querySelector('[aria-label=Request]') !== null";
    browser.wait("the request that was chosen", choose, json!([])).await;
    browser.sees("\"content\":\"***\"").await;
    browser.sees("data: [DONE]").await;
    // What one engine does: its quantiles at once, its charts when the first interval is over.
    let engines = stage.gateway.engines().await;
    let busy = engines.iter().find(|engine| engine["rates"].is_object()).expect("one answered");
    let id = busy["engine"].as_str().expect("an id");
    browser.open(&stage.url(&format!("#/engine/{id}"))).await;
    let filled = "const cells = [...document.querySelectorAll('[aria-label=\"Times of the last minute\"] tbody tr:first-child td.num')];\
                  return cells.length === 3 && cells.every((cell) => / m?s$/.test(cell.innerText))";
    browser.wait("quantiles of the engine", filled, json!([])).await;
    let drawn = "const lines = [...document.querySelectorAll('.chart path.first')];\
                 return lines.length === 4 && lines.slice(0, 2).every((line) => line.getAttribute('d')?.length > 5)";
    browser.wait("charts of the engine", drawn, json!([])).await;
    // Sleep and wake.
    browser.open(&stage.url("#/engine/qwen3-32b/0")).await;
    browser.click("Sleep").await;
    browser.sees("Its GPU memory is freed.").await;
    browser.agree().await;
    browser.wait("asleep", "return document.querySelector('.state')?.innerText === 'asleep'", json!([])).await;
    assert_eq!(stage.gateway.engine("qwen3-32b/0").await["state"], "asleep");
    browser.click("Wake").await;
    browser.wait("ready", "return document.querySelector('.state')?.innerText === 'ready'", json!([])).await;
    // A conversation.
    browser.open(&stage.url("#/playground")).await;
    browser.write("#prompt", "Say something.").await;
    browser.click("Send").await;
    browser.sees("· done").await;
    let answer = browser.run("return document.querySelector('.answer:not(.soft)').innerText.length", json!([])).await;
    assert!(answer.as_u64().is_some_and(|length| length > 10), "{answer}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    // The gateway goes, and comes back.
    stage.gateway.stop().await;
    browser.sees("connection lost").await;
    stage.gateway = Stage::start(&stage.folder, &stage.machine);
    browser.wait("live again", "return document.getElementById('link').innerText === 'live'", json!([])).await;
    browser.open(&stage.url("#/")).await;
    browser.sees("3 of 3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_another_origin_neither_reads_nor_changes_anything() {
    if !is_wanted() {
        return;
    }
    let stage = Stage::new();
    stage.gateway.all_ready().await;
    let browser = Browser::start().await;
    // The data port is another origin, and has a page of its own.
    browser.open(&stage.gateway.url("/")).await;
    let tried = "const [url, done] = [arguments[0], []];\
                 const attempt = (path, options) => fetch(url + path, options).then((r) => r.text()).then((t) => 'read ' + t.length, () => 'refused');\
                 return Promise.all([attempt('api/v1/status'), attempt('metrics'), attempt('api/v1/models/qwen3-32b/stop', { method: 'POST' }),\
                 attempt('api/v1/models/qwen3-32b/stop', { method: 'POST', mode: 'no-cors', body: '{}' })])";
    let seen = browser.run(tried, json!([stage.url("")])).await;
    assert_eq!(
        seen.as_array().map(|all| &all[..3]),
        Some(&["refused", "refused", "refused"].map(Value::from)[..]),
        "{seen}"
    );
    // Sent without asking, its answer hidden: nothing was done.
    assert!(stage.gateway.engines().await.iter().all(|engine| engine["state"] == "ready"));
    // Framed by somebody else it shows nothing.
    let framed = "const frame = document.createElement('iframe'); frame.src = arguments[0]; document.body.append(frame);\
                  return new Promise((resolve) => { frame.onload = () => { try { resolve(frame.contentDocument?.body?.innerText ?? 'hidden'); } catch { resolve('hidden'); } }; })";
    assert_eq!(browser.run(framed, json!([stage.url("")])).await, "hidden");
}

/// What is shown now has names for screen readers and contrast, and fits, in both themes and three widths. Leaves pictures.
async fn looks(browser: &Browser, view: &str) {
    let pictures = std::env::var_os("ENGINEHOUSE_SCREENSHOTS").map(PathBuf::from);
    assert_eq!(unnamed(browser).await, json!([]), "{view}: something has no name for a screen reader");
    for theme in ["light", "dark"] {
        let paint =
            "localStorage.setItem('theme', arguments[0]); document.documentElement.dataset.theme = arguments[0]";
        browser.run(paint, json!([theme])).await;
        assert_eq!(pale(browser).await, json!([]), "{view}, {theme}: text that is hard to read");
        for (width, height) in [(390, 844), (1280, 800), (2560, 1440)] {
            browser.resize(width, height).await;
            let wide = "const dialog = document.querySelector('dialog[open]');\
                        return Math.max(document.documentElement.scrollWidth - innerWidth, dialog ? dialog.scrollWidth - dialog.clientWidth : 0)";
            let wide = browser.run(wide, json!([])).await;
            assert!(wide.as_i64().is_some_and(|more| more <= 0), "{view} at {width}: {wide} px too wide");
            if let Some(folder) = &pictures {
                browser.screenshot(&folder.join(format!("{view}-{width}-{theme}.png"))).await;
            }
        }
        browser.resize(1280, 800).await;
    }
}

/// What a person can use and a screen reader cannot name.
async fn unnamed(browser: &Browser) -> Value {
    let script = "const named = (e) => (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || e.title || '').trim() !== '';\
                  return [...document.querySelectorAll('button, a, input, select, textarea, [role=img], [role=region], progress, meter')]\
                    .filter((e) => e.checkVisibility() && !named(e)).map((e) => e.outerHTML.slice(0, 120))";
    browser.run(script, json!([])).await
}

/// Texts with less contrast than people need (WCAG 2.2, 1.4.3: 4.5 to 1).
async fn pale(browser: &Browser) -> Value {
    let script = "const rgb = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return { c: n.slice(0, 3), a: n[3] ?? 1 }; };\
                  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };\
                  const ground = (e) => { for (; e; e = e.parentElement) { const { c, a } = rgb(getComputedStyle(e).backgroundColor); if (a > 0.99) return c; } return [255, 255, 255]; };\
                  const bad = [];\
                  for (const e of document.querySelectorAll('body *')) {\
                    if (!e.checkVisibility() || e.closest('.skip, option, svg') || e.disabled) continue;\
                    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;\
                    const [a, b] = [light(rgb(getComputedStyle(e).color).c), light(ground(e))];\
                    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);\
                    if (ratio < 4.5) bad.push(ratio.toFixed(2) + ' ' + e.outerHTML.slice(0, 100));\
                  }\
                  return bad";
    browser.run(script, json!([])).await
}
