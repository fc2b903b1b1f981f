//! Configurations as people handle them: saved under a name, made of several files and single settings, served in the
//! background.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::{BINARY, Gateway, eventually, http, processes};

/// A user: configurations and state directories in a folder of their own. All that is started ends with it.
pub struct Home(pub Deployment);

/// What a command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new() -> Self {
        let home = Self(Deployment::new());
        std::fs::create_dir_all(home.configs()).expect("made");
        home
    }

    /// Where saved configurations are.
    pub fn configs(&self) -> PathBuf {
        self.0.path().join("config/enginehouse")
    }

    pub fn save(&self, name: &str, text: &str) -> PathBuf {
        let file = self.configs().join(format!("{name}.yaml"));
        std::fs::write(&file, text).expect("written");
        file
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        self.0.prepare(&mut command);
        command.args(args).stdout(Stdio::piped()).current_dir(self.0.path());
        command.env("XDG_CONFIG_HOME", self.0.path().join("config"));
        command.env("XDG_STATE_HOME", self.0.path().join("states"));
        command
    }

    pub async fn run(&self, args: &[&str]) -> Said {
        let mut command = self.command(args);
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("joined").expect("run");
        let Output { status, stdout, stderr } = output;
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }
}

/// One simulated model on free ports.
pub const BASE: &str =
    "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\nmodels:\n  m: { source: s, command: [enginehouse, sim] }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_a_saved_configuration_and_an_unknown_one_is_told() {
    let home = Home::new();
    let said = home.run(&["check", "prod"]).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("no saved configuration `prod`") && said.err.contains("Nothing is saved"),
        "{}",
        said.err
    );
    home.save("prod", BASE);
    let said = home.run(&["check", "prod"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out.contains("enginehouse sim s") && said.out.contains("states/enginehouse/prod-"), "{}", said.out);
    let said = home.run(&["serve", "prd"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("Did you mean `prod`?"), "{}", said.err);
    for command in ["shutdown", "reload", "plan", "explain"] {
        let said = home.run(&[command, "prd"]).await;
        assert_eq!(said.code, Some(1), "{command}");
        assert!(said.err.contains("no saved configuration `prd`"), "{command}: {}", said.err);
    }
    std::fs::write(home.0.path().join("plain"), BASE).expect("written");
    let said = home.run(&["check", "plain"]).await;
    assert!(said.err.contains("write ./plain"), "{}", said.err);
    assert_eq!(home.run(&["check", "./plain"]).await.code, Some(0));
    assert_eq!(home.run(&["check", "a b"]).await.code, Some(2), "no name");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_and_settings_are_checked_as_one_and_errors_name_their_file() {
    let home = Home::new();
    home.save("base", BASE);
    let top = home.save("top", "models:\n  m: { replicas: 2 }\n  n: { source: t, command: [enginehouse, sim] }\n");
    let said =
        home.run(&["check", "base", "top", "--set", "models.n.source=u", "--set", "models.n.args={seed: 7}"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out.contains("2 started") && said.out.contains("enginehouse sim u --seed 7"), "{}", said.out);
    home.save("top", "# two\nmodels:\n  m: { replcas: 2 }\n");
    let said = home.run(&["check", "base", "top", "--set", "threads=0"]).await;
    assert_eq!(said.code, Some(1));
    let place = format!("models.m.replcas, line 3 of {}", top.display());
    assert!(said.err.contains(&place) && said.err.contains("threads, --set: 0"), "{}", said.err);
    assert!(said.err.contains("base.yaml + ") && said.err.contains(": 2 errors"), "{}", said.err);
    let said = home.run(&["check", "base", "--set", "models.m.gpus[0]=1"]).await;
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("models.m.gpus=[A, B]"), "{}", said.err);
}

async fn call(gateway: &Gateway, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = http().request(method, format!("http://{}/api/v1/{path}", gateway.admin));
    let reply = request.body(body.to_string()).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_of_several_files_reloads_watches_and_writes_them() {
    let home = Home::new();
    let base = home.save("base", &format!("{BASE}watch: true\naliases:\n  low: {{ model: m }}\n"));
    let top = home.save("top", "# Ours\naliases:\n  mine: { model: m } # first\n");
    let mut command = home.command(&["serve", "base", "top", "--set", "aliases.fixed={model: m}"]);
    command.arg("--state-dir").arg(home.0.state());
    let mut gateway = Gateway::of(command);
    gateway.all_ready().await;
    for alias in ["low", "mine", "fixed"] {
        assert_eq!(gateway.ask(alias).await.0, 200, "{alias}");
    }
    let admin = gateway.admin.to_string();
    let said = home.run(&["plan", "base", "top", "--set", "aliases.new={model: m}", "--admin", &admin]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "A reload would change:\n  alias new: added\n"),
        "{}",
        said.err
    );

    // The second file is watched, too; what `--set` says stays.
    std::fs::write(
        &top,
        "# Ours\naliases:\n  mine: { model: m } # first\n  fixed: null\n  low: null\n  late: { model: m }\n",
    )
    .expect("written");
    eventually("the changed file to be served", async || (gateway.ask("late").await.0 == 200).then_some(())).await;
    assert_eq!((gateway.ask("low").await.0, gateway.ask("fixed").await.0), (404, 200));
    let said = home.run(&["reload", "base", "top", "--admin", &admin]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "Nothing changed.\n"), "{}", said.err);
    let said = home.run(&["reload", "base", "--admin", &admin]).await;
    assert!(said.code == Some(1) && said.err.contains("nothing was changed"), "the whole list counts: {}", said.err);
    std::fs::write(&top, "aliases:\n  mine: { modle: m }\n").expect("written");
    let said = home.run(&["reload", "base", "top", "--admin", &admin]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("top.yaml: aliases.mine") && said.err.contains("line 2"), "{}", said.err);
    std::fs::write(&top, "# Ours\naliases:\n  mine: { model: m } # first\n").expect("written");
    assert_eq!(home.run(&["reload", "base", "top", "--admin", &admin]).await.code, Some(0));

    // What is to last goes to the file that has it, and what is new to the last one.
    let seed = json!({ "model": "m", "defaults": { "seed": 1 } });
    let (status, told) = call(&gateway, Method::PUT, "aliases/low?persist=file", &seed).await;
    assert_eq!(status, 200, "{told}");
    assert!(std::fs::read_to_string(&base).expect("read").contains("seed: 1"));
    let (status, told) = call(&gateway, Method::PUT, "aliases/brand?persist=file", &seed).await;
    assert_eq!(status, 201, "{told}");
    let written = std::fs::read_to_string(&top).expect("read");
    assert!(written.starts_with("# Ours\n") && written.contains("# first") && written.contains("brand:"), "{written}");
    let (status, told) = call(&gateway, Method::PUT, "aliases/fixed?persist=file", &seed).await;
    assert_eq!(status, 409, "{told}");
    assert!(told.to_string().contains("--set"), "{told}");
    gateway.stop().await;
    home.0.assert_empty();
}

/// The number behind `(pid `.
fn pid(text: &str) -> u32 {
    let number = text.split("(pid ").nth(1).and_then(|rest| rest.split(')').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no pid in {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_in_the_background_outlives_its_command_and_is_stopped_by_name() {
    let home = Home::new();
    home.save("prod", BASE);
    let said = home.run(&["serve", "prod", "--detach"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.ends_with("  stop it    enginehouse shutdown prod\n"), "{}", said.out);
    let pid = pid(&said.out);
    assert!(processes::lives(pid));
    let raw = i32::try_from(pid).expect("a pid");
    assert_eq!(
        rustix::process::getsid(rustix::process::Pid::from_raw(raw)).expect("a session").as_raw_nonzero().get(),
        raw
    );
    let url = said.out.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    let reply = http().get(format!("http://{url}/models")).send().await.expect("answered");
    assert_eq!(reply.status().as_u16(), 200);
    let log = said.out.lines().find_map(|line| line.trim().strip_prefix("log")).expect("a log").trim().to_owned();
    let text = eventually("the log to say where it serves", async || {
        let text = std::fs::read_to_string(&log).expect("read");
        text.contains("serving http://").then_some(text)
    })
    .await;
    assert!(text.starts_with("=== "), "{text}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&log).expect("there"));
    assert_eq!(mode & 0o777, 0o600);

    // A second one is refused, with the reason.
    let second = home.run(&["serve", "prod", "--detach"]).await;
    assert_eq!(second.code, Some(1), "{}", second.out);
    assert!(
        second.err.contains("ended before it accepted requests") && second.err.contains("a gateway already runs"),
        "{}",
        second.err
    );
    assert!(!second.err.contains("serving http://"), "only what it wrote itself: {}", second.err);

    let stopped = home.run(&["shutdown", "prod"]).await;
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    assert!(stopped.out.contains(&format!("the gateway (pid {pid}) has ended")), "{}", stopped.out);
    home.0.assert_empty();
    home.save("bad", "models: { m: { sorce: s } }\n");
    let said = home.run(&["serve", "bad", "--detach"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("models.m.sorce, line 1"), "{}", said.err);
}

/// A port of 127.0.0.1 that is free now, below those that the system gives.
fn free_port() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let start = 22_000 + u16::try_from(std::process::id() % 100).expect("small") * 9;
    (start..start + 9).find(is_free).expect("a free port")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_has_the_port_that_its_model_names_or_says_who_has_it() {
    let home = Home::new();
    let port = free_port();
    home.save("fixed", &BASE.replace("sim] }", &format!("sim], port: {port} }}")));
    let said = home.run(&["check", "fixed"]).await;
    assert!(said.out.contains(&format!("on port {port}")), "{}{}", said.out, said.err);
    let mut command = home.command(&["serve", "fixed"]);
    command.arg("--state-dir").arg(home.0.state());
    let mut gateway = Gateway::of(command);
    gateway.all_ready().await;
    assert_eq!(crate::support::port_of(&gateway.engine("m/0").await), port);

    let (other, state) = (home.run(&["serve", "fixed", "--state-dir", "other"]).await, home.0.path().join("other"));
    assert_eq!(other.code, Some(1), "{} {}", other.out, state.display());
    let told = format!("another process has port {port} of 127.0.0.1 (`port` of the model)");
    assert!(other.err.contains(&told), "{}", other.err);
    gateway.stop().await;
    home.0.assert_empty();
}
