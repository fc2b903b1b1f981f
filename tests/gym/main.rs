//! Every recorded case of NeMo Gym's model server against our rules in strict mode, without a socket.

#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test binary tells what it saw")]

#[path = "../support/mod.rs"]
mod support;

mod binary;
mod cases;
mod lenient;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cases::{default_reply, events, ours, recorded};
use enginehouse::config::Gym;
use enginehouse::dialects::gym::{Answer, Ask, Step, Turn, route, start, without_rollout};
use enginehouse::dispatch::{Attempt, Decision, History, judge_body};
use enginehouse::outcome::Outcome;
use serde_json::{Map, Value, json};

/// What differs on purpose: the case and why. Gym answers 500 to all of these.
fn deliberate() -> BTreeMap<&'static str, &'static str> {
    const CLIENTS: &str = "the request is at fault: 4xx, not 500";
    const ENGINES: &str = "the engine's own status is kept";
    BTreeMap::from([
        ("hist_list_refusal_part", CLIENTS),
        ("tok_chat_history_partial_bundle", "a bundle that lacks members is the client's fault: 422, and no crash"),
        ("tok_n2", CLIENTS),
        ("resp_tool_mcp", CLIENTS),
        ("resp_fco_image", CLIENTS),
        ("resp_input_audio", CLIENTS),
        ("resp_web_search_call_item", CLIENTS),
        ("resp_custom_tool_call_item", CLIENTS),
        ("audio_two_keys", CLIENTS),
        ("audio_paths_str", CLIENTS),
        ("comp_raw_multi_turn", CLIENTS),
        ("comp_raw_tools", CLIENTS),
        ("comp_developer", CLIENTS),
        ("msgs_tool_choice_named", CLIENTS),
        ("msgs_redacted_thinking", CLIENTS),
        ("err_401", ENGINES),
        ("err_404", ENGINES),
        ("err_422", ENGINES),
        ("err_chat_stream", ENGINES),
        ("resp_top_logprobs_engine_400", ENGINES),
    ])
}

/// A case's configuration over the defaults.
fn gym(config: &Value) -> Gym {
    let mut gym = Gym { strict: true, ..Gym::default() };
    for (field, value) in config.as_object().expect("fields") {
        let flag = || value.as_bool().expect("a truth value");
        let members = || value.as_object().cloned().unwrap_or_default();
        match field.as_str() {
            "return_token_id_information" => gym.return_token_id_information = flag(),
            "request_prompt_and_generation_token_ids" => gym.request_prompt_and_generation_token_ids = flag(),
            "uses_reasoning_parser" => gym.uses_reasoning_parser = flag(),
            "uses_interleaved_reasoning" => gym.uses_interleaved_reasoning = flag(),
            "preserve_reasoning_in_assistant_content" => gym.preserve_reasoning_in_assistant_content = flag(),
            "replace_developer_role_with_system" => gym.replace_developer_role_with_system = flag(),
            "sequential_reasoning_allowed" => gym.sequential_reasoning_allowed = flag(),
            "is_responses_native" => gym.is_responses_native = flag(),
            "use_completions_api" => gym.use_completions_api = flag(),
            "render_chat_template" => gym.render_chat_template = flag(),
            "chat_template_kwargs" => gym.chat_template_kwargs = members(),
            "sampling_overrides" => gym.sampling_overrides = members(),
            "extra_body" => gym.extra_body = members(),
            "audio_root" => gym.audio_root = value.as_str().map(Into::into),
            other => panic!("the test does not know `{other}`"),
        }
    }
    gym
}

/// The engine of a case: its script, and what it was sent.
struct Engine<'a> {
    cases: &'a [Value],
    script: Vec<Value>,
    sent: Vec<Value>,
}

impl Engine<'_> {
    /// The answer to one try; `None`: the connection broke.
    fn reply(&mut self, ask: &Ask) -> Option<(u16, Vec<u8>)> {
        let body: Value = serde_json::from_slice(&ask.body).expect("the engine is sent JSON");
        self.sent.push(json!({ "path": ask.path, "body": body }));
        let scripted = self.script.iter().position(|reply| ask.path.ends_with(reply[0].as_str().expect("a suffix")));
        let (status, body) = match scripted.map(|at| self.script.remove(at)) {
            Some(reply) => (reply[1].as_u64().expect("a status"), reply[2].clone()),
            None => (200, default_reply(ask.path, self.cases)),
        };
        let status = u16::try_from(status).expect("a status");
        (status != 0).then(|| (status, body.to_string().into_bytes()))
    }

    /// Runs a turn to its end, with the tries of each call.
    fn drive(&mut self, mut turn: Turn, mut step: Step) -> Answer {
        loop {
            let ask = match step {
                Step::Answer(answer) => return answer,
                Step::Ask(ask) => ask,
            };
            let mut history = History::default();
            let (status, body) = loop {
                let reply = self.reply(&ask);
                let outcome = match &reply {
                    Some((status, body)) => judge_body(*status, body),
                    None => Outcome::Died { began: false },
                };
                history.begin_round();
                history.note(Attempt { leg: 0, key: 1, outcome, reused: false, alone: false });
                match (one_engine::next(&history), reply) {
                    (Decision::Deliver, Some(reply)) => break reply,
                    (Decision::Wait { .. }, _) => {}
                    (decision, reply) => panic!("{decision:?} after {reply:?}"),
                }
            };
            step = turn.engine_said(status, &body);
        }
    }
}

/// What the gateway decides of a call of the only engine there is, when its client is patient.
mod one_engine {
    use std::time::{Duration, Instant};

    use enginehouse::config::{Balance, Retry};
    use enginehouse::dispatch::{Candidate, Candidates, Decision, History, Rules, View, next as decide};

    /// What is known of it.
    const IDLE: Candidate = Candidate { key: 1, ready: true, ejected: false, in_flight: 0, has_room: true };

    struct OneEngine;

    impl View for OneEngine {
        fn legs(&self) -> usize {
            1
        }

        fn candidates(&self, _: usize) -> impl Candidates {
            &[IDLE][..]
        }

        fn balance(&self, _: usize) -> Balance {
            Balance::default()
        }

        fn turn(&self, _: usize) -> usize {
            0
        }

        fn preferred(&self, _: usize) -> Option<usize> {
            None
        }

        fn context_length(&self, _: usize) -> Option<u64> {
            None
        }

        fn may_be_loaded(&self, _: usize) -> bool {
            false
        }

        fn affords_retry(&self, _: usize) -> bool {
            true
        }
    }

    pub(super) fn next(history: &History) -> Decision {
        let (now, retry) = (Instant::now(), Retry { attempts: 3, budget: 0.2 });
        let rules =
            Rules { retry: &retry, wait_until: Some(now + Duration::from_secs(600)), load_until: None, expires: None };
        decide(&rules, history, &OneEngine, now)
    }
}

/// Numbers are numbers however they are spelt; times of our own are all the same.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(normal).collect(),
        Value::Object(members) => {
            let one = |(name, value): (&String, &Value)| {
                let own = name.starts_with("created") && value.as_f64().is_some_and(|time| time > 1_790_000_000.0);
                (name.clone(), if own { json!("<now>") } else { normal(value) })
            };
            Value::Object(members.iter().map(one).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn comparable(body: &Value, content_type: &str) -> Value {
    match body {
        Value::String(text) if content_type.starts_with("text/event-stream") => normal(&events(text)),
        other => normal(other),
    }
}

/// What is wrong with one request's answer.
fn compare(expected: &Value, answer: &Answer) -> Option<String> {
    compare_answer(expected, answer.status, answer.content_type, &String::from_utf8_lossy(&answer.body))
}

fn compare_answer(expected: &Value, status: u16, content_type: &str, text: &str) -> Option<String> {
    let (status, gyms) = (u64::from(status), expected["status"].as_u64().expect("a status"));
    if status / 100 != gyms / 100 {
        return Some(format!("status {status}, Gym {gyms}: {text}"));
    }
    if status != 200 {
        return None;
    }
    let kind = expected["content_type"].as_str().unwrap_or("");
    if kind != content_type {
        return Some(format!("content type {content_type}"));
    }
    expected.get("body")?;
    let ours = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let (ours, gyms) = (comparable(&ours, kind), comparable(&expected["body"], kind));
    (ours != gyms).then(|| format!("answer\n  ours {ours}\n  gyms {gyms}"))
}

fn run(case: &Value, cases: &[Value], audio: &Path) -> Vec<String> {
    let rewrite = |value: &Value| -> Value {
        let text = value.to_string().replace("AUDIO_DIR", &audio.display().to_string());
        serde_json::from_str(&text).expect("JSON")
    };
    let gym = Arc::new(gym(&rewrite(&case["config"])));
    let mut engine = Engine { cases, script: case["script"].as_array().expect("a script").clone(), sent: Vec::new() };
    let mut wrong = Vec::new();
    for (request, expected) in
        case["requests"].as_array().expect("requests").iter().zip(case["responses"].as_array().expect("responses"))
    {
        let path = without_rollout(request["path"].as_str().expect("a path"));
        let post = request.get("method").is_none_or(|method| method == "POST");
        let Some(route) = route(path).filter(|_| post) else { continue };
        let body = match request.get("raw") {
            Some(raw) => raw.as_str().expect("text").as_bytes().to_vec(),
            None => rewrite(&request["body"]).to_string().into_bytes(),
        };
        let served = "base/model";
        let ids = Box::new(|| "<uuid>".to_owned());
        let (turn, step) = start(&gym, route, served, &body, 1_795_000_000, ids, &|path| std::fs::read(path));
        wrong.extend(compare(&rewrite(expected), &engine.drive(turn, step)));
    }
    let sent: Vec<Value> = engine.sent.iter().map(normal).collect();
    let one = |sent: &Value| normal(&json!({ "path": sent["path"], "body": rewrite(&sent["body"]) }));
    let expected: Vec<Value> = case["upstream"].as_array().expect("upstream").iter().map(one).collect();
    if sent != expected {
        wrong.push(format!("upstream\n  ours {}\n  gyms {}", json!(sent), json!(expected)));
    }
    wrong
}

/// A folder with the file that cases of audio read.
fn audio() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.wav"), "RIFFxxxx").expect("written");
    folder
}

#[test]
fn every_recorded_case() {
    let (cases, audio, deliberate) = (recorded(), audio(), deliberate());
    let (mut same, mut wrong) = (0, Vec::new());
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        let found = run(case, &cases, audio.path());
        match deliberate.get(name) {
            // A difference on purpose is one of status class, with the same calls of the engine.
            Some(_) if clients_fault(&found) => {}
            Some(why) => wrong.push(format!("{name}: no longer differs as it should ({why}): {found:#?}")),
            None if found.is_empty() => same += 1,
            None => wrong.push(format!("{name}: {}", found.join("\n"))),
        }
    }
    let (all, differ) = (cases.len(), deliberate.len());
    assert!(wrong.is_empty(), "{same} of {all} cases as Gym, {differ} on purpose not; wrong:\n{}", wrong.join("\n"));
    assert_eq!(same + differ, all);
}

/// Whether all that differs is a 4xx where Gym says 500.
fn clients_fault(found: &[String]) -> bool {
    matches!(found, [only] if only.starts_with("status 4") && only.contains(", Gym 500"))
}

/// Cases of ours, answered by Gym's own classes. Where it says 500 to what the client did wrong, 4xx is as good.
#[test]
fn every_case_of_ours() {
    let (cases, audio) = (recorded(), audio());
    let more = ours(&cases);
    let (mut refused, mut wrong) = (0, Vec::new());
    for case in &more {
        let found = run(case, &cases, audio.path());
        if clients_fault(&found) {
            refused += 1;
        } else if !found.is_empty() {
            wrong.push(format!("{}: {}", case["name"], found.join("\n")));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} wrong, {refused} refused with 4xx instead of 500:\n{}",
        wrong.len(),
        more.len(),
        wrong.join("\n")
    );
}
