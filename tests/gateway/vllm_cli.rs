//! `conf/vllm-cli.md`: every command and request that the page names is run, in its order.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{BINARY, http};

/// The configuration that the page calls `pair`.
const PAIR: &str = "name: pair
listen: 127.0.0.1:0
admin: { listen: 127.0.0.1:0 }
models:
  chat: { source: org/chat, command: [enginehouse, sim], sleep_mode: true, lora: {} }
  code: { source: org/code, command: [enginehouse, sim] }
";

/// What vllm-cli saves of a proxy.
const PROXY: &str = "host: 0.0.0.0
port: 8000
enable_cors: true
enable_metrics: true
log_requests: false
models:
  - name: chat
    model_path: org/chat
    gpu_ids: [0]
    port: 8001
    profile: standard
    config_overrides: {}
    enabled: true
";

/// A home of its own, whose gateways are ended when it is dropped.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a folder"));
        let write = |name: &str, text: &str| std::fs::write(home.0.path().join(name), text).expect("written");
        write("pair.yaml", PAIR);
        write("proxy.yaml", PROXY);
        write("profile.yaml", "args: { max-num-seqs: 8 }\n");
        write("shortcut.yaml", "source: org/daily\nprofile: standard\n");
        std::fs::create_dir(home.0.path().join("bin")).expect("a folder");
        std::os::unix::fs::symlink(BINARY, home.0.path().join("bin/enginehouse")).expect("a link");
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs a line of a shell: its exit code and all that it wrote.
    fn shell(&self, line: &str) -> (Option<i32>, String) {
        let paths = format!("{}:{}", self.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).current_dir(self.path()).env("PATH", paths).env("HOME", self.path());
        for (name, folder) in [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache")]
        {
            command.env(name, self.path().join(folder));
        }
        for name in ["RUST_LOG", "ENGINEHOUSE_ADMIN", "ENGINEHOUSE_ADMIN_TOKEN", "HF_HOME", "HF_HUB_CACHE", "VISUAL"] {
            command.env_remove(name);
        }
        let output = command.stdin(std::process::Stdio::null()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// The addresses of callers and operators of the gateway that runs.
    fn addresses(&self) -> [String; 2] {
        let (code, text) = self.shell("enginehouse status --json");
        assert_eq!(code, Some(0), "{text}");
        let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let file = std::fs::read(self.path().join("state/enginehouse/pair/gateway.json")).expect("read");
        let file: serde_json::Value = serde_json::from_slice(&file).expect("JSON");
        [&status["status"]["listen"], &file["admin"]].map(|address| address.as_str().expect("an address").to_owned())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.shell("enginehouse shutdown --all");
    }
}

fn page() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(folder.join("conf/vllm-cli.md")).expect("the page")
}

/// The rows of all tables, as their cells.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| vllm-cli |")).map(cells).collect()
}

/// What stands between backticks.
fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// What needs a terminal, or a model that no test has.
fn is_elsewhere(command: &str) -> bool {
    matches!(command, "enginehouse new" | "enginehouse top" | "enginehouse run --model ID")
        || command.starts_with("enginehouse COMMAND")
        || command == "enginehouse --help"
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_does_what_it_says() {
    let home = Home::new();
    let page = page();
    let (mut commands, mut requests, mut problems) = (0, 0, Vec::new());
    let all = rows(&page);
    let mut last = Vec::new();
    for row in all.iter().filter(|row| row.len() == 2) {
        for span in spans(&row[1]) {
            if span.starts_with("GET /") {
                last.push((span.to_owned(), row[1].contains("address of operators")));
            }
            // Requests need the gateway that the commands end.
            if span.starts_with("enginehouse shutdown") {
                continue;
            }
            let is_command = span.starts_with("enginehouse ") || span.starts_with("EDITOR=");
            if is_command && !is_elsewhere(span) {
                commands += 1;
                let (code, text) = home.shell(span);
                // Of this machine no test knows whether something is wrong with it.
                let is_good = code == Some(0) || (span == "enginehouse doctor" && code == Some(1));
                if !is_good {
                    problems.push(format!("`{span}`: {code:?}\n{text}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let [callers, operators] = home.addresses();
    for (span, is_operators) in last {
        let path = span.strip_prefix("GET ").expect("a path");
        let address = if is_operators { &operators } else { &callers };
        let reply = http().get(format!("http://{address}{path}")).send().await.expect("answered");
        assert_eq!(reply.status().as_u16(), 200, "{span}");
        requests += 1;
    }
    for command in ["enginehouse shutdown pair", "enginehouse shutdown --all"] {
        assert!(page.contains(command));
        let (code, text) = home.shell(command);
        assert_eq!(code, Some(0), "{text}");
    }
    let (code, _) = home.shell("enginehouse status --name pair");
    assert_eq!(code, Some(3));
    assert!(commands > 45 && requests > 4, "{commands} commands, {requests} requests");
}

#[test]
fn the_menus_of_the_page_are_tested_in_a_terminal() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terminal");
    let sources: String = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("text"))
        .collect();
    let page = page();
    let all = rows(&page);
    let tested: Vec<&str> = all.iter().filter(|row| row.len() == 3).flat_map(|row| spans(&row[2])).collect();
    assert!(tested.len() > 3, "{tested:?}");
    for test in tested {
        assert!(sources.contains(&format!("fn {test}(")), "no test {test} in tests/terminal");
    }
}
