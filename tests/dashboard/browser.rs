//! A real browser: Chromium, headless, driven over WebDriver (W3C) by `chromedriver`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

use crate::support::http;

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The member that names an element (WebDriver, 12.2.4).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window; ends when dropped.
pub struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    /// Starts `chromedriver`, and with it a browser.
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (Debian: chromium-driver)");
        let output = BufReader::new(driver.stdout.take().expect("stdout"));
        let port = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok());
        let root = format!("http://127.0.0.1:{}", port.expect("its port"));
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                "--no-proxy-server", "--force-color-profile=srgb",
            ] },
        } } });
        let reply = http().post(format!("{root}/session")).json(&capabilities).send().await.expect("a driver");
        let answer: Value = reply.json().await.expect("JSON");
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {answer}")).to_owned();
        Self { driver, session: format!("{root}/session/{id}") }
    }

    /// Has it do something; the value of the answer.
    async fn command(&self, method: reqwest::Method, path: &str, body: Value) -> Result<Value, Value> {
        let request = http().request(method.clone(), format!("{}/{path}", self.session));
        let request = if method == reqwest::Method::POST { request.json(&body) } else { request };
        let answer: Value = request.send().await.expect("the driver answers").json().await.expect("JSON");
        if answer["value"]["error"].is_string() { Err(answer["value"].clone()) } else { Ok(answer["value"].clone()) }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.command(reqwest::Method::POST, path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.post("url", json!({ "url": url })).await;
    }

    /// The size of the page, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let args = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        } });
        self.post("goog/cdp/execute", args).await;
    }

    /// What a script returns.
    pub async fn run(&self, script: &str, args: Value) -> Value {
        self.post("execute/sync", json!({ "script": script, "args": args })).await
    }

    /// Waits until a script returns something that is not `null` or `false`.
    pub async fn wait(&self, what: &str, script: &str, args: Value) -> Value {
        let since = Instant::now();
        loop {
            let found = self.run(script, args.clone()).await;
            if !found.is_null() && found != false {
                return found;
            }
            if since.elapsed() > PATIENCE {
                let text = self.run("return document.body.innerText", json!([])).await;
                panic!("{what} was not seen; the page says:\n{}", text.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the page shows `text` somewhere.
    pub async fn sees(&self, text: &str) {
        self.wait(text, "return document.body.innerText.includes(arguments[0])", json!([text])).await;
    }

    /// Clicks what a person would: the first visible button, link or option of that name.
    pub async fn click(&self, name: &str) {
        let find = "const all = [...(document.querySelector('dialog[open]') ?? document).querySelectorAll('button, a, summary, input[type=checkbox]')];\
                    const label = (e) => (e.getAttribute('aria-label') ?? (e.id && document.querySelector(`label[for='${e.id}']`)?.innerText) ?? e.innerText ?? '').trim();\
                    const found = all.find((e) => e.checkVisibility() && !e.disabled && (label(e) === arguments[0] || e.innerText?.trim() === arguments[0]));\
                    found?.scrollIntoView({ block: 'nearest' }); return found ?? null";
        let element = self.wait(&format!("something to click called {name}"), find, json!([name])).await;
        let id = element[ELEMENT].as_str().expect("an element").to_owned();
        self.post(&format!("element/{id}/click"), json!({})).await;
    }

    /// Agrees to what the page asks.
    pub async fn agree(&self) {
        let script =
            "const yes = document.querySelector('#confirm[open] #confirm-yes'); yes?.click(); return yes !== null";
        self.wait("a question", script, json!([])).await;
    }

    /// Chooses the option of `value` in the list that `selector` finds.
    pub async fn choose(&self, selector: &str, value: &str) {
        let script = "const list = document.querySelector(arguments[0]);\
                      if (!list || ![...list.options].some((option) => option.value === arguments[1])) return false;\
                      list.value = arguments[1]; list.dispatchEvent(new Event('change')); return true";
        self.wait(&format!("{value} in {selector}"), script, json!([selector, value])).await;
    }

    /// Types into what `selector` finds, in place of what was there.
    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.wait(selector, "return document.querySelector(arguments[0])", json!([selector])).await;
        let id = element[ELEMENT].as_str().expect("an element").to_owned();
        self.post(&format!("element/{id}/clear"), json!({})).await;
        self.post(&format!("element/{id}/value"), json!({ "text": text })).await;
    }

    /// What the page complained about since the last time: errors of scripts, and what its policy forbids.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.post("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().expect("a list").iter();
        entries.filter(|entry| entry["level"] != "DEBUG").map(|entry| entry["message"].to_string()).collect()
    }

    /// Draws the page into a file.
    pub async fn screenshot(&self, file: &Path) {
        let picture = self.command(reqwest::Method::GET, "screenshot", Value::Null).await.expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("text")).expect("base64");
        std::fs::write(file, bytes).expect("written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its browser ends with it: that is told to end first, without the runtime that may be gone.
        if let Some(rest) = self.session.strip_prefix("http://") {
            let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
            if let Ok(mut stream) = std::net::TcpStream::connect(address) {
                use std::io::{Read, Write};
                let _ = write!(stream, "DELETE /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = stream.read(&mut [0; 512]);
            }
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
