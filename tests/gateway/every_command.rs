//! Every command that there is: what it says when no gateway runs, and its JSON. The commands are those that the command line
//! itself has: one that is new and in none of these lists fails the tests.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::deployment::{Deployment, model};
use crate::support::{BINARY, Gateway, eventually};

/// Commands that ask a running gateway, with words that make them complete.
const ASK_A_GATEWAY: &[&[&str]] = &[
    &["status"],
    &["top"],
    &["top", "--once"],
    &["top", "--json"],
    &["engines"],
    &["engines", "m"],
    &["aliases"],
    &["callers"],
    &["requests"],
    &["requests", "-f"],
    &["logs"],
    &["logs", "-f"],
    &["operations"],
    &["audit"],
    &["cancel", "1"],
    &["log-level"],
    &["start", "m"],
    &["stop", "m"],
    &["restart", "m"],
    &["drain", "m"],
    &["undrain", "m"],
    &["sleep", "m"],
    &["wake", "m"],
    &["roll", "m"],
    &["scale", "m", "2"],
    &["lora", "add", "m", "a", "/a"],
    &["lora", "remove", "m", "a"],
    &["add", "alias", "a", "model=m"],
    &["remove", "alias", "a"],
    &["reload"],
    &["plan", "{file}"],
    &["chat", "m", "hello"],
    &["bench", "m"],
];

/// Commands that need no running gateway.
const NEED_NONE: &[&str] = &[
    "new",
    "serve",
    "run",
    // Without one it says that there was nothing to stop.
    "shutdown",
    "check",
    "config list",
    "config show",
    "config edit",
    "config path",
    "config export",
    "config import",
    "config delete",
    "explain",
    "import gym",
    "import vllm-cli",
    "import llama-swap",
    "import litellm",
    "schema",
    "profiles",
    "profiles list",
    "profiles show",
    "profiles set",
    "profiles edit",
    "profiles delete",
    "profiles export",
    "profiles import",
    "profiles reset",
    "shortcuts list",
    "shortcuts show",
    "shortcuts set",
    "shortcuts edit",
    "shortcuts delete",
    "shortcuts export",
    "shortcuts import",
    "gpus",
    "models",
    "doctor",
    "sim",
    "completions",
    "man",
];

/// Commands with JSON: how each is run, in this order; `{file}`, `{request}` and `{operation}` are replaced.
const WITH_JSON: &[&[&str]] = &[
    &["check", "{file}"],
    &["config", "list"],
    &["config", "show", "kept"],
    &["config", "path", "kept"],
    &["explain", "{file}", "--alias", "quick"],
    &["profiles"],
    &["profiles", "low_memory"],
    &["profiles", "list"],
    &["profiles", "show", "mine"],
    &["shortcuts", "list"],
    &["shortcuts", "show", "daily"],
    &["gpus"],
    &["models"],
    &["doctor"],
    &["status"],
    &["top"],
    &["top", "--once"],
    &["engines"],
    &["engines", "two"],
    &["engines", "two/0"],
    &["aliases"],
    &["aliases", "quick"],
    &["callers"],
    &["chat", "quick", "hello"],
    &["bench", "quick", "--requests", "2", "--warmup", "0"],
    &["requests"],
    &["requests", "{request}"],
    &["logs", "gateway"],
    &["stop", "two/1"],
    &["start", "two/1"],
    &["restart", "two/1"],
    &["drain", "two/0"],
    &["undrain", "two/0"],
    &["sleep", "org/one"],
    &["wake", "org/one"],
    &["scale", "two", "3"],
    &["roll", "two"],
    &["lora", "add", "org/one", "sql", "/adapters/sql"],
    &["lora", "remove", "org/one", "sql"],
    &["add", "alias", "terse", "model=two"],
    &["remove", "alias", "terse"],
    &["plan", "{file}"],
    &["reload"],
    &["log-level"],
    &["operations"],
    &["cancel", "{operation}"],
    &["audit"],
];

/// Commands without JSON: they write files, start something, print what is JSON or a file already, or are for people alone.
const WITHOUT_JSON: &[&str] = &[
    "new",
    "serve",
    "run",
    "shutdown",
    "config edit",
    "config export",
    "config import",
    "config delete",
    "import gym",
    "import vllm-cli",
    "import llama-swap",
    "import litellm",
    "schema",
    "profiles set",
    "profiles edit",
    "profiles delete",
    "profiles export",
    "profiles import",
    "profiles reset",
    "shortcuts set",
    "shortcuts edit",
    "shortcuts delete",
    "shortcuts export",
    "shortcuts import",
    "sim",
    "completions",
    "man",
];

/// The paths of all commands that can be run, and whether each has `--json`.
fn commands() -> Vec<(String, bool)> {
    fn below(command: &clap::Command, path: &str, found: &mut Vec<(String, bool)>) {
        for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            let path = format!("{path} {}", one.get_name()).trim().to_owned();
            below(one, &path, found);
            if !one.is_subcommand_required_set() {
                let has_json = one.get_arguments().any(|argument| argument.get_id() == "json");
                found.push((path, has_json));
            }
        }
    }
    let mut found = Vec::new();
    below(&enginehouse::cli::command_line(), "", &mut found);
    found
}

/// The command of these words, among all.
fn path_of(words: &[&str], all: &[(String, bool)]) -> String {
    let is_it = |path: &&String| words.iter().copied().take(path.split(' ').count()).eq(path.split(' '));
    let found = all.iter().map(|(path, _)| path).filter(is_it).max_by_key(|path| path.len());
    found.unwrap_or_else(|| panic!("no command: {words:?}")).clone()
}

/// A user, whose configurations and gateways are in a folder of their own.
struct User(tempfile::TempDir);

/// How a command ended, and what it wrote.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl User {
    fn new() -> Self {
        let user = Self(tempfile::tempdir().expect("a folder"));
        let write = |name: &str, text: &str| {
            let file = user.0.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, text).expect("written");
        };
        write("config/enginehouse/kept.yaml", "models: { m: { source: m } }\n");
        write("config/enginehouse/profiles/mine.yaml", "args: { seed: 1 }\n");
        write("config/enginehouse/shortcuts/daily.yaml", "source: org/daily\n");
        write(
            "other.yaml",
            "name: other\nlisten: 127.0.0.1:1\nadmin: { listen: 127.0.0.1:1 }\nmodels: { m: { source: m } }\n",
        );
        user
    }

    fn run(&self, words: &[String], input: &str) -> Said {
        let mut command = Command::new(BINARY);
        command.args(words).current_dir(self.0.path());
        for (name, folder) in
            [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config"), ("HOME", "."), ("HF_HOME", "hub")]
        {
            command.env(name, self.0.path().join(folder));
        }
        for name in
            ["RUST_LOG", "ENGINEHOUSE_ADMIN", "ENGINEHOUSE_ADMIN_TOKEN", "ENGINEHOUSE_URL", "ENGINEHOUSE_API_KEY"]
        {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        // Nobody reads it where it is not wanted.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn every_command_is_known_to_these_tests() {
    let all = commands();
    let paths: BTreeSet<String> = all.iter().map(|(path, _)| path.clone()).collect();
    let asking: BTreeSet<String> = ASK_A_GATEWAY.iter().map(|words| path_of(words, &all)).collect();
    let others: BTreeSet<String> = NEED_NONE.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(asking.intersection(&others).count(), 0);
    assert_eq!(&asking | &others, paths, "each asks a gateway, or needs none");
    let with_json: BTreeSet<String> = WITH_JSON.iter().map(|words| path_of(words, &all)).collect();
    let has_json: BTreeSet<String> = all.iter().filter(|(_, has)| *has).map(|(path, _)| path.clone()).collect();
    assert_eq!(with_json, has_json, "each with `--json` is run with it");
    let without: BTreeSet<String> = WITHOUT_JSON.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(&without | &has_json, paths, "what shows something has `--json`");
}

#[test]
fn without_a_gateway_every_command_that_asks_one_says_so() {
    let user = User::new();
    let empty = user.0.path().join("empty").display().to_string();
    for words in ASK_A_GATEWAY {
        let run = |more: &[&str]| {
            let words = words.iter().chain(more).map(|word| word.replace("{file}", "other.yaml"));
            user.run(&words.collect::<Vec<_>>(), "")
        };
        for (more, told) in [
            (["--state-dir", empty.as_str()], "No gateway runs on "),
            (["--name", "a-name-that-no-gateway-has"], "a-name-that-no-gateway-has"),
            (["--admin", "http://127.0.0.1:1"], "127.0.0.1:1"),
        ] {
            let Said { code, out, err } = run(&more);
            assert!(
                code == Some(3) && err.contains(told) && out.is_empty(),
                "{words:?} {more:?}: {code:?} {out} {err}"
            );
            assert!(err.contains("enginehouse serve"), "it says what to do: {words:?} {more:?}: {err}");
        }
    }
    let said = user.run(&["shutdown".to_owned(), "--all".to_owned()], "");
    assert!(said.code == Some(0) && said.out.contains("There was nothing to stop"), "{} {}", said.out, said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_with_json_prints_json_and_nothing_else() {
    let models = model("org/one", "sleep_mode: true, lora: {}") + &model("two", "replicas: 2");
    let rest = "aliases: { quick: { model: two, defaults: { temperature: 0.5 } } }\n";
    let (deployment, gateway): (Deployment, Gateway) =
        Deployment::open(&format!("name: json\nmodels:\n{models}{rest}"));
    gateway.all_ready().await;
    assert_eq!(gateway.ask("quick").await.0, 200);
    let user = User::new();
    let state = deployment.state().display().to_string();
    let all = commands();
    let run = |words: &[&str], more: &[&str]| {
        let words: Vec<String> = words.iter().chain(more).map(|word| (*word).to_owned()).collect();
        user.run(&words, r#"{"messages": []}"#)
    };
    let asks = |words: &[&str]| {
        let path = path_of(words, &all);
        ASK_A_GATEWAY.iter().any(|known| path_of(known, &all) == path)
    };
    let json = |words: &[&str]| {
        let gateway: &[&str] = if asks(words) { &["--state-dir", &state] } else { &[] };
        let Said { code, out, err } = run(words, &[&["--json"], gateway].concat());
        // Nothing on this machine may be as a doctor wants it, and an operation may be over before it is cancelled.
        let may_fail = matches!(words[0], "doctor" | "cancel");
        assert!(code == Some(0) || may_fail, "{words:?}: {code:?} {out} {err}");
        let is_understood = match words[0] {
            "logs" => out.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
            "cancel" if code != Some(0) => out.is_empty(),
            _ => serde_json::from_str::<Value>(&out).is_ok(),
        };
        assert!(is_understood, "{words:?}: {out} {err}");
        serde_json::from_str::<Value>(&out).unwrap_or_default()
    };
    let request = eventually("the request to be listed", async || {
        json(&["requests"])["requests"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let file = deployment.path().join("gateway.yaml").display().to_string();
    for words in WITH_JSON {
        let operations = || json(&["operations"])["operations"][0]["id"].as_str().unwrap_or_default().to_owned();
        let operation = if words.contains(&"{operation}") { operations() } else { String::new() };
        let words: Vec<&str> = words
            .iter()
            .map(|word| match *word {
                "{file}" => file.as_str(),
                "{request}" => request.as_str(),
                "{operation}" => operation.as_str(),
                word => word,
            })
            .collect();
        json(&words);
    }
    says_what_it_should(&json, &file);
}

/// Some of what the JSON says.
fn says_what_it_should(json: &dyn Fn(&[&str]) -> Value, file: &str) {
    assert_eq!(json(&["profiles", "show", "mine"])["profiles"]["mine"]["args"]["seed"], 1);
    assert_eq!(json(&["shortcuts", "show", "daily"])["models"]["daily"]["source"], "org/daily");
    assert_eq!(json(&["config", "show", "kept"])["configuration"]["models"]["m"]["source"], "m");
    assert!(json(&["config", "path", "kept"])["file"].as_str().is_some_and(|file| file.ends_with("/kept.yaml")));
    assert_eq!(json(&["engines", "two/0"])["engines"][0]["engine"], "two/0", "a list, also of one");
    let picture = json(&["top"]);
    assert_eq!((&picture["status"]["name"], picture["log"].is_array()), (&"json".into(), true), "{picture:#}");
    let explained = json(&["explain", file, "--alias", "quick"]);
    assert_eq!(explained["places"][0]["changes"][0]["new"], 0.5, "{explained:#}");
}

#[test]
fn a_check_that_fails_tells_in_json_what_is_wrong() {
    let said = User::new().run(&["check", "no-such-name", "--json"].map(str::to_owned), "");
    let told: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((said.code, &told["valid"], said.err.as_str()), (Some(1), &false.into(), ""));
    assert!(told["errors"][0]["message"].as_str().is_some_and(|why| why.contains("no-such-name")), "{told:#}");
}

#[test]
fn an_alias_that_there_is_not_has_its_exit_code() {
    let words = ["explain", "kept", "--alias", "none"].map(str::to_owned);
    let said = User::new().run(&words, r#"{"messages": []}"#);
    assert!(said.code == Some(4) && said.err.contains("`none`"), "{:?} {}", said.code, said.err);
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let user = User::new();
    for (words, told) in [
        (&["shutdown"][..], "Say what to stop"),
        (&["config", "import", "-"], "config import - NAME"),
        (&["explain", "kept", "--endpoint", "cats"], "There is no endpoint `cats`"),
        (&["logs", "--since", "yesterday"], "how long ago it was"),
        (&["explode"], "explode"),
        (&["--"], "Usage: enginehouse [COMMAND]"),
        (&[], "Usage: enginehouse [COMMAND]"),
    ] {
        let said = user.run(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), "");
        assert!(said.code == Some(2) && said.err.contains(told), "{words:?}: {:?} {}", said.code, said.err);
    }
}
