//! How fast the page is there, how large it is, and that it stays smooth where there is much to show.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::is_wanted;
use crate::support::large::{MODELS, SERVERS, large};
use crate::support::load::Load;
use crate::support::{Gateway, Sim, chat};

/// The longest until something is seen, in milliseconds.
const PAINTED_WITHIN: f64 = 150.0;

/// The largest that the page may be with all its files, in bytes.
const MOST_BYTES: u64 = 200_000;

/// The longest that the page may not answer to its user, in milliseconds.
const TASK_WITHIN: f64 = 200.0;

/// How often something is measured that an unrelated program may slow down; the best counts.
const TRIES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_small_and_seen_at_once() {
    if !is_wanted() {
        return;
    }
    let sim = Sim::start(&[]);
    let gateway = Gateway::ready(&format!("models: {{ tiny: {{ urls: [\"{}\"] }} }}", sim.url())).await;
    let browser = Browser::start().await;
    let page = format!("http://{}/", gateway.admin);
    let mut paints = Vec::new();
    for _ in 0..TRIES {
        browser.open("about:blank").await;
        browser.open(&page).await;
        browser.sees("live").await;
        let painted = "return performance.getEntriesByType('paint').find((e) => e.name === 'first-contentful-paint')?.startTime ?? null";
        paints.push(browser.wait("the first paint", painted, json!([])).await.as_f64().expect("a time"));
    }
    // Decoded and without those that the cache has spared: what a browser gets that has nothing of it.
    let sizes = "return performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))\
                   .filter((e) => !e.name.includes('/api/')).map((e) => [new URL(e.name).pathname, e.decodedBodySize])";
    let sizes = browser.run(sizes, json!([])).await;
    let files: Vec<(&str, u64)> = sizes
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| (file[0].as_str().expect("a path"), file[1].as_u64().expect("a size")))
        .collect();
    let bytes: u64 = files.iter().map(|(_, size)| size).sum();
    println!("first contentful paint after {paints:.0?} ms; {} files of {bytes} bytes together", files.len());
    assert!(files.len() > 10 && files.iter().all(|(_, size)| *size > 0), "{files:?}");
    assert!(bytes < MOST_BYTES, "{bytes} bytes: {files:?}");
    let best = paints.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best < PAINTED_WITHIN, "first contentful paint after {paints:.0?} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_engines_and_five_hundred_aliases_stay_smooth() {
    if !is_wanted() {
        return;
    }
    let engines: Vec<Sim> = (0..SERVERS).map(|_| Sim::start(&[])).collect();
    let gateway = Gateway::ready(&large(&engines)).await;
    // All of them have something to tell, every second.
    let loads: Vec<Load> = (0..MODELS)
        .map(|model| {
            let mut body = chat(&format!("alias-{model}"));
            body["max_tokens"] = json!(8);
            Load::of(gateway.address, &body, 2)
        })
        .collect();
    let browser = Browser::start().await;
    browser.resize(1280, 800).await;
    browser.open(&format!("http://{}/", gateway.admin)).await;
    browser.sees("64 of 64").await;
    let watch = "window.tasks = []; new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => e.duration)))\
                   .observe({ type: 'longtask' })";
    browser.run(watch, json!([])).await;
    let filter = "const field = document.querySelector('input[type=search]'); field.value = arguments[0]; field.dispatchEvent(new Event('input'))";
    for (view, text, script) in [
        ("", "model-15", ""),
        ("aliases", "alias-499", filter),
        ("requests", "alias-3", ""),
        (&format!("engine/model-0/{}", engines[0].address), "its log is where it runs", ""),
    ] {
        let mut worst = Vec::new();
        for _ in 0..TRIES {
            browser.run("window.tasks.length = 0; location.hash = '#/'", json!([])).await;
            browser.sees("Models").await;
            browser.run("location.hash = '#/' + arguments[0]", json!([view])).await;
            browser.sees(text).await;
            for words in ["alias-4", "model-7", ""] {
                browser.run(script, json!([words])).await;
            }
            // Three pulses, each with news of every engine.
            live(&browser, 3).await;
            worst.push(longest(&browser).await);
            if worst.last().is_some_and(|time| *time < TASK_WITHIN) {
                break;
            }
        }
        println!("{view:?}: the longest task took {worst:.0?} ms");
        assert!(worst.iter().any(|time| *time < TASK_WITHIN), "{view:?}: the longest task took {worst:.0?} ms");
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    for load in loads {
        load.stop_unharmed().await;
    }
}

/// Waits until the page has been told what is new so many times.
async fn live(browser: &Browser, pulses: usize) {
    for _ in 0..pulses {
        let now = browser.run("return performance.now()", json!([])).await.as_f64().expect("a time");
        let later = "return performance.now() > arguments[0]";
        let until = now + Duration::from_secs(1).as_secs_f64() * 1e3;
        browser.wait("a second later", later, json!([until])).await;
    }
}

/// The longest task since the last time, in milliseconds.
async fn longest(browser: &Browser) -> f64 {
    let tasks = browser.run("return window.tasks.splice(0)", json!([])).await;
    tasks.as_array().expect("a list").iter().filter_map(Value::as_f64).fold(0.0, f64::max)
}
