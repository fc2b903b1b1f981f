//! Good configurations, and what they become.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::support::{env, good, spawn};
use crate::config::*;

#[test]
fn one_model_is_enough_and_the_rest_has_defaults() {
    let config = good("models: {m: {source: org/m}}");
    assert_eq!(config.listen.to_string(), "0.0.0.0:8000");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8001");
    assert!(config.admin.token.is_none() && config.state_dir.is_none() && config.threads.is_none());
    assert_eq!((config.limits.body, config.limits.body_memory, config.limits.head), (64 << 20, 1 << 30, 64 << 10));
    assert_eq!((config.timeouts.connect, config.timeouts.read), (Duration::from_secs(2), Duration::from_secs(600)));
    let model = &config.models[0];
    assert_eq!((&*model.name, model.balance, model.health.is_some()), ("m", Balance::LeastOutstanding, true));
    let spawn = spawn(&config);
    assert_eq!((spawn.source.as_str(), spawn.replicas), ("org/m", 1));
    assert_eq!(spawn.command, ["vllm", "serve"]);
    assert_eq!((spawn.start_timeout, spawn.stop_timeout), (Duration::from_secs(600), Duration::from_secs(30)));
}

#[test]
fn models_and_aliases_keep_their_order() {
    let config = good(
        "models: {z: {source: s}, a: {urls: ['http://h:1']}}\naliases: {y: {model: a}, b: {model: z, hidden: true}}",
    );
    let names: Vec<&str> =
        config.models.iter().map(|m| &*m.name).chain(config.aliases.iter().map(|a| &*a.name)).collect();
    assert_eq!(names, ["z", "a", "y", "b"]);
    assert!(config.aliases[1].hidden);
}

#[test]
fn variables_become_what_their_setting_wants() {
    let config = good(
        "threads: ${THREADS}\nlog:\n  access: ${NO:-false}\nmodels:\n  m:\n    source: ${KEY}-$${x}\n    gpus: ['${THREADS}']\n    \
         args:\n      flag: ${YES}\n      text: \"${YES}\"\n    env:\n      N: ${THREADS}\n    start_timeout: ${THREADS}s\n    api_key: ${NO:-}\n\
         aliases:\n  a:\n    model: m\n    defaults:\n      temperature: ${TEMP}\n      user: x${TEMP}\n",
    );
    let spawn = spawn(&config);
    assert_eq!((config.threads, config.log.access), (Some(3), false));
    assert_eq!(spawn.source, "sk-from-env-${x}");
    assert_eq!(spawn.gpus, Gpus::Listed(vec!["3".into()]));
    assert_eq!(json!(spawn.args), json!({ "flag": true, "text": "true" }));
    assert_eq!(spawn.env["N"], "3");
    assert_eq!(spawn.start_timeout, Duration::from_secs(3));
    assert!(config.models[0].api_key.is_none(), "an empty key is none");
    assert_eq!(json!(config.aliases[0].settings[0].defaults), json!({ "temperature": 0.5, "user": "x0.5" }));
}

#[test]
fn texts_stay_as_written_even_if_they_look_like_numbers() {
    let config = good(
        "models: {1.10: {source: 007, served_name: 1e3, env: {A: 1.10, B: off, C: true, D: 0x10, E: '1'}, lora: {2: 3}}}",
    );
    let spawn = spawn(&config);
    assert_eq!((&*config.models[0].name, spawn.source.as_str()), ("1.10", "007"));
    assert_eq!(config.models[0].served_name.as_deref(), Some("1e3"));
    let values: Vec<&str> = spawn.env.values().map(String::as_str).collect();
    assert_eq!(values, ["1.10", "off", "true", "0x10", "1"]);
    assert_eq!(spawn.lora["2"], "3");
}

#[test]
fn health_is_switched_off_by_word_or_by_false() {
    for off in ["off", "'off'", "false", "${NO:-off}", "${NO:-false}"] {
        let config = good(&format!("models:\n  m:\n    source: s\n    health: {off}\n"));
        assert!(config.models[0].health.is_none(), "{off}");
    }
    let config = good("models: {m: {source: s, health: {interval: 5s, failures: 3.0}}}");
    let health = config.models[0].health.as_ref().expect("checks");
    assert_eq!((health.interval, health.path.as_str(), health.failures), (Duration::from_secs(5), "/health", 3));
}

#[test]
fn headings_with_nothing_below_are_empty() {
    let config = good("models:\n  m:\n    source: s\n    args:\n    env: # later\nadmin:\naliases:\n");
    assert!(config.aliases.is_empty() && spawn(&config).args.is_empty());
}

#[test]
fn gpus_are_shared_and_split() {
    let config = good(
        "models:\n  a: {source: s, gpus: [0, 1], replicas: 2, gpu_memory: 0.5}\n  b: {source: s, gpus: [1], gpu_memory: 0.45}\n  \
         c: {source: s, gpus: [2, 2], replicas: 2, gpu_memory: 0.4}\n",
    );
    assert_eq!(spawn(&config).gpus, Gpus::Listed(vec!["0".into(), "1".into()]));
}

#[test]
fn equal_texts_are_equal_configurations_and_a_changed_value_is_not() {
    let text = "admin: {token: t}\nmodels:\n  m: {source: s, api_key: '${KEY}', args: {a: [1, {b: c}]}, env: {E: 1}}\n\
                aliases: {a: {model: m, gym: {default_headers: {x: y}}, mirror: {to: m, percent: 1}}}\n\
                callers: {c: {keys: [k]}}\n";
    assert_eq!(good(text), good(text));
    for (old, new) in [
        ("token: t", "token: u"),
        ("${KEY}", "other"),
        ("b: c", "b: d"),
        ("E: 1", "E: 2"),
        ("x: y", "x: z"),
        ("percent: 1", "percent: 2"),
        ("[k]", "[l]"),
        ("source: s", "source: s, start_order: 1"),
        ("model: m", "model: m, hidden: true"),
    ] {
        assert_ne!(good(&text.replacen(old, new, 1)), good(text), "{new}");
    }
}

#[test]
fn debug_shows_no_secrets() {
    let config =
        good("admin: {token: sk-admin}\nmodels: {m: {source: s, api_key: '${KEY}', env: {HF_TOKEN: hf-secret}}}");
    let shown = format!("{config:?} {}", overview(&config));
    for secret in ["sk-admin", "sk-from-env", "hf-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("HF_TOKEN"));
    assert_eq!(config.models[0].api_key.as_ref().map(|key| key.expose()), Some("sk-from-env"));
}

#[test]
fn the_overview_tells_what_runs_where() {
    let config = good(
        "listen: 127.0.0.1:80\nmodels:\n  big: {source: org/big, gpus: [0, 1], replicas: 2, gpu_memory: 0.9, \
         args: {a: 1, b: true, c: false, d: [x, y], e: {k: 'v w'}}}\n  far: {urls: ['http://h:1', 'https://h']}\n\
         aliases: {fast: {model: big, remove: [x], limits: {n: 1}, hidden: true}}",
    );
    let expected = "\
callers    http://127.0.0.1:80/v1
operators  http://127.0.0.1:8001

MODEL  ENGINES    GPUS          WHAT RUNS
big    2 started  0 | 1 at 0.9  vllm serve org/big --a 1 --b --no-c --d x y --e '{\"k\":\"v w\"}'
far    2 running  -             http://h:1
                                https://h:443

ALIAS  MODEL  CHANGES
fast   big    remove x; limit n<=1; hidden
";
    assert_eq!(overview(&config), expected);
}

#[test]
fn the_overview_tells_which_models_are_loaded_on_demand() {
    let config = good(
        "models: {a: {source: a, gpus: [0], load: on_demand, sleep_mode: true, idle: {sleep_after: 10m, stop_after: 2h}}, \
         b: {source: b, gpus: [0], load: on_demand}}",
    );
    let shown = overview(&config);
    let turns = "loaded when a request needs it, in turns with others on its GPUs";
    assert!(
        shown.contains(&format!("{turns}; asleep after 10m without a request; ended after 2h without a request\n")),
        "{shown}"
    );
    assert!(
        shown.contains("b      1 on demand  0     vllm serve b") && shown.contains(&format!("{turns}\n")),
        "{shown}"
    );
}

#[test]
fn the_overview_tells_all_that_an_alias_does() {
    let shown = |alias: &str| {
        let config = good(&format!(
            "models: {{big: {{source: s}}, far: {{urls: ['http://h:1']}}}}\naliases:\n  quick: {{model: big, remove: [x]}}\n  a: {alias}\n"
        ));
        let text = overview(&config);
        text.lines().find_map(|line| line.strip_prefix("a ")).expect(&text).trim().to_owned()
    };
    for (alias, expected) in [
        ("{model: big}", "big    nothing but the name"),
        ("{model: big, fallback: [far, quick]}", "big    fall back to far, then quick"),
        ("{split: {big: 90, far: 10}}", "big    split: big 90, far 10"),
        ("{split: {big: 1, far: 0}, sticky: x-user}", "big    split by x-user: big 1, far 0"),
        ("{model: big, mirror: {to: far, percent: 2.5}}", "big    copy 2.5 % to far"),
        ("{model: big, capture: {}}", "big    keep bodies (20 newest, unmasked)"),
        ("{model: big, capture: {requests: 1, mask: [x]}}", "big    keep bodies (1 newest, masked)"),
        ("{model: big, listen: '127.0.0.1:8100'}", "big    listen on 127.0.0.1:8100"),
        ("{model: big, gym: {}}", "big    NeMo Gym's rules"),
        ("{model: big, dialect: {responses: chat, messages: chat}}", "big    translate responses and messages to chat"),
        (
            "{model: quick, dialect: {messages: chat, late_system: first}, response_model: engine}",
            "big    remove x; translate messages to chat, late system messages first; answer with the engine's model name",
        ),
    ] {
        assert_eq!(shown(alias), expected, "{alias}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_a_refusal_has_reasons(
        text in prop_oneof![
            any::<String>(),
            "((models|listen|aliases|limits|admin|gpus|args|urls|health|x): |- |[ \n{},\\[\\]&*!|>'\"]|\\$\\{A\\}|[a-z0-9.:/]){0,40}",
        ]
    ) {
        if let Err(found) = parse(&text, &env) {
            prop_assert!(!found.0.is_empty());
            prop_assert!(found.0.iter().all(|one| !one.reason.is_empty() && !one.remedy.is_empty()));
        }
    }

    #[test]
    fn any_value_anywhere_is_taken_or_refused_by_name(
        key in prop::sample::select(vec!["source", "command", "gpus", "gpu_memory", "replicas", "args", "env", "lora", "urls",
            "api_key", "served_name", "health", "balance", "start_timeout", "nonsense"]),
        value in prop::sample::select(vec!["", "0", "-1", "1.5", "true", "text", "[]", "[1]", "[a, {}]", "{}", "{a: b}",
            "{a: [1]}", "{a: null}", "~", "99999999999999999999", "''", "10s", "http://h:1"]),
    ) {
        let text = format!("models:\n  m:\n    {key}: {value}\n  n: {{source: s}}\n");
        if let Err(found) = parse(&text, &env) {
            prop_assert!(found.0.iter().all(|one| one.path.starts_with("models.m")), "{found}");
        }
    }
}
