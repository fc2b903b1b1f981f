//! Bad configurations, and exactly what is reported about them.

use super::support::{assert_found, assert_found_in_model, env, found};
use crate::config::{load, parse};

#[test]
fn what_is_no_configuration_at_all() {
    for text in ["", "\n# nothing\n", "---\n", "- a\n", "just text", "42"] {
        assert_found(text, &[("", "conf/demo.yaml")]);
    }
    assert_found("models: {m: {source: s}\nlisten: x\n", &[("", "column")]);
    assert_found("a: 1\n---\nb: 2\n", &[("", "second YAML document")]);
    assert_found("a:\n\tb: 1\n", &[("", "tabs")]);
    assert_found("a: .inf\n", &[("", "Infinities")]);
    assert_found("a: !secret x\n", &[("", "Remove the tag")]);
    assert_found("models:\n  m: {source: ${KEY}}\n", &[("", "must be quoted")]);
    assert_found("{}", &[("models", "nothing to serve")]);
}

#[test]
fn every_engine_that_runs_here_needs_a_port() {
    let with = |ports: &str, replicas: &str| {
        format!(
            "ports: {ports}\nmodels:\n  m: {{source: s, replicas: {replicas}}}\n  n: {{source: s}}\n  far: {{urls: ['http://h:1']}}\n"
        )
    };
    super::support::good(&with("21000-21019", "19"));
    assert_found(&with("21000-21019", "20"), &[("ports", "21 engines need a port each, and there are 20 ports.")]);
    assert_found(&with("21000-21019", "many"), &[("models.m.replicas", "whole number")]);
}

#[test]
fn a_port_of_a_model_is_nothing_elses() {
    let with = |more: &str, first: &str, second: &str| {
        format!("ports: 21000-21099\n{more}models:\n  m: {{source: s, {first}}}\n  n: {{source: s, {second}}}\n")
    };
    super::support::good(&with("listen: 10.0.0.7:9001\n", "port: 9001, replicas: 3", "port: 9004"));
    for (more, first, second, told) in [
        ("listen: 0.0.0.0:9001\n", "port: 9000, replicas: 2", "", "Ports 9000 to 9001: `listen` has it."),
        ("admin: {listen: '127.0.0.1:9000'}\n", "port: 9000", "", "`admin.listen` has it"),
        ("aliases: {a: {model: m, listen: '127.0.0.1:9000'}}\n", "port: 9000", "", "`aliases.a.listen` has it"),
        ("", "port: 21000", "", "get theirs from 21000-21099"),
        ("", "port: 20999, replicas: 2", "", "get theirs from 21000-21099"),
        ("", "port: 65535, replicas: 2", "", "the last port is 65535"),
    ] {
        assert_found(&with(more, first, second), &[("models.m.port", told)]);
    }
    assert_found(&with("", "port: 9000, replicas: 2", "port: 9001"), &[("models.n.port", "the model `m` has it")]);
    assert_found("models: {m: {urls: ['http://h:1'], port: 1}}", &[("models.m.port", "Remove `port`")]);
    assert_found(&with("", "port: 0", ""), &[("models.m.port", "1")]);
}

#[test]
fn many_at_once_in_file_order_with_lines_and_values() {
    let text = "\
listen: localhost:8000
listne: 5
threads: 0
models:
  qwen:
    source: s
    gpus: [0, two]
    start_timeout: 600
    balance: round
    speed: fast
aliases:
  a: {model: qwn}
limits: {body: 64}
timeouts: {drain: '${NOPE}'}
log: {access: on}
";
    let found = found(text);
    let seen: Vec<_> = found.iter().map(|f| (f.line, f.path.as_str(), f.value.as_deref())).collect();
    assert_eq!(
        seen,
        [
            (1, "listen", Some("\"localhost:8000\"")),
            (2, "listne", None),
            (3, "threads", Some("0")),
            (7, "models.qwen.gpus[1]", Some("\"two\"")),
            (8, "models.qwen.start_timeout", Some("600")),
            (9, "models.qwen.balance", Some("\"round\"")),
            (10, "models.qwen.speed", None),
            (12, "aliases.a.model", Some("\"qwn\"")),
            (13, "limits.body", Some("64")),
            (14, "timeouts.drain", Some("\"${NOPE}\"")),
            (15, "log.access", Some("\"on\"")),
        ]
    );
    for (one, remedy) in found.iter().zip([
        "127.0.0.1:8000",
        "Known keys here",
        "1 or more",
        "nvidia-smi",
        "600 -> 600s",
        "`round_robin`",
        "Known keys",
        "Did you mean `qwen`?",
        "64 -> 64MiB",
        "Set NOPE",
        "true",
    ]) {
        assert!(one.remedy.contains(remedy), "{one}");
    }
}

#[test]
fn unknown_keys_are_told_with_the_nearest_at_every_depth() {
    for (text, path, near) in [
        ("modles: {m: {source: s}}", "modles", "`models`"),
        ("models: {m: {sorce: s}}", "models.m.sorce", "`source`"),
        ("models: {m: {url: ['http://h:1']}}", "models.m.url", "`urls`"),
        ("models: {m: {source: s, gpu-memory: 0.5}}", "models.m.gpu-memory", "`gpu_memory`"),
        ("models: {m: {source: s, health: {pth: /x}}}", "models.m.health.pth", "`path`"),
        ("models: {m: {source: s}}\naliases: {a: {modle: m}}", "aliases.a.modle", "`model`"),
        ("models: {m: {source: s}}\nadmin: {tokn: t}", "admin.tokn", "`token`"),
        ("models: {m: {source: s, lorra: {x: y}}}\naliases: {a: {model: x}}", "models.m.lorra", "`lora`"),
    ] {
        assert_found(text, &[(path, &format!("Did you mean {near}?"))]);
    }
}

#[test]
fn an_old_key_names_its_new_key() {
    assert_found(
        "models:\n  m: {source: s, priority: 3, hang_after: 5m, restart: {first: 2s, most: 1m}}\n\
         aliases:\n  a: {model: m, echo: alias}\n  b: {model: m, echo: engine}\n",
        &[
            ("models.m.hang_after", "Write `stall_timeout: 5m`."),
            ("models.m.priority", "Write `start_order: 3`."),
            ("models.m.restart.first", "Write `initial_backoff: 2s`."),
            ("models.m.restart.most", "Write `max_backoff: 1m`."),
            ("aliases.a.echo", "Write `response_model: requested`."),
            ("aliases.b.echo", "`echo` is now called `response_model`.\n    -> Write `response_model: engine`."),
        ],
    );
    assert_eq!(found("models:\n  m:\n    source: s\n    priority: 1\n")[0].line, 4);
    assert_found("priority: 1\nmodels: {m: {source: s}}", &[("priority", "There is no key")]);
}

#[test]
fn a_mistake_is_told_once_and_not_its_consequences() {
    assert_found("models: [a]", &[("models", "a mapping")]);
    assert_found("models: {m: text}\naliases: {a: {model: m}}", &[("models.m", "a mapping")]);
    assert_found("models: {m: {source: [x]}}", &[("models.m.source", "text")]);
    assert_found(
        "models: {m: {urls: [1, http://h]}}\naliases: {a: 5}",
        &[("models.m.urls[0]", "scheme"), ("aliases.a", "")],
    );
    assert_found(
        "listen: 7\nadmin: {listen: '0.0.0.0:8000', token: t}\nmodels: {m: {source: s}}",
        &[("listen", "0.0.0.0:7")],
    );
    assert_found_in_model("replicas: x, gpus: [0, 0, 0]", &[("models.m.replicas", "whole number")]);
}

#[test]
fn keys_written_twice() {
    let text = "models:\n  m: {source: s}\n  m: {source: t}\n";
    assert_found(text, &[("models.m", "first one is on line 2")]);
    assert_eq!(found(text)[0].line, 3);
}

#[test]
fn names() {
    assert_found("models: {'': {source: s}}", &[("models.\"\"", "empty")]);
    assert_found("models: {\"a\\tb\": {source: s}}", &[("models.\"a\\tb\"", "control")]);
    assert_found("models: {' a': {source: s}}", &[("models.\" a\"", "space")]);
    let long = "x".repeat(257);
    assert_found(&format!("models: {{{long}: {{source: s}}}}"), &[(&format!("models.{long}"), "257 bytes")]);
    assert_found("models: {m: {source: s, lora: {m: p}}}", &[("models.m.lora.m", "taken by the model")]);
    assert_found(
        "models:\n  m: {source: s, lora: {l: p}}\n  n: {source: s, lora: {l: p}}\naliases:\n  m: {model: n}\n  l: {model: n}\n",
        &[
            ("models.n.lora.l", "taken by the LoRA adapter at models.m.lora.l"),
            ("aliases.m", "taken by the model"),
            ("aliases.l", "another name"),
        ],
    );
}

#[test]
fn addresses() {
    let with = |top: &str| format!("{top}\nmodels: {{m: {{source: s}}}}");
    assert_found(&with("admin: {listen: '0.0.0.0:8001'}"), &[("admin.token", "Other machines can reach")]);
    assert_found(
        &with("admin: {listen: '0.0.0.0:8001', token: '${NO:-}'}"),
        &[("admin.token", "Other machines can reach")],
    );
    assert_found(&with("admin: {listen: '127.0.0.1:8000'}"), &[("admin.listen", "share a port")]);
    assert_found(&with("admin: {token: \"a\\n\"}"), &[("admin.token", "***")]);
    assert_found(&with("state_dir: ~/x"), &[("state_dir", "${HOME}/x")]);
    parse(&with("listen: 127.0.0.1:0\nadmin: {listen: '127.0.0.1:0'}"), &env).expect("port 0 is chosen by the system");
    parse(&with("admin: {listen: '[::1]:8001'}"), &env).expect("IPv6 loopback needs no token");
}

#[test]
fn aliases() {
    let with = |alias: &str| {
        format!("models: {{m: {{source: s, lora: {{l: p}}}}}}\naliases: {{a: {{{alias}}}, b: {{model: l}}}}")
    };
    assert_found(&with(""), &[("aliases.a.model", "does not say")]);
    assert_found(&with("model: a"), &[("aliases.a.model", "points at itself")]);
    assert_found(&with("model: c"), &[("aliases.a.model", "Models, adapters and aliases here: `m`, `l`, `b`.")]);
    assert_found(
        &with("model: m, remove: [model, x..y, z, z, ''], defaults: {model: q, stream: 1}"),
        &[
            ("aliases.a.defaults.model", "Remove it"),
            ("aliases.a.defaults.stream", "true or false"),
            ("aliases.a.remove[0]", "needs a model"),
            ("aliases.a.remove[1]", "between the dots"),
            ("aliases.a.remove[3]", "twice"),
            ("aliases.a.remove[4]", "empty"),
        ],
    );
    assert_found(
        &with("model: m, limits: {n: big, o: {p: [1]}, max_tokens: 5}"),
        &[("aliases.a.limits.n", "n: 8192"), ("aliases.a.limits.o.p", "largest number")],
    );
}

#[test]
fn numbers() {
    let with = |top: &str| format!("models: {{m: {{source: s}}}}\n{top}");
    assert_found(
        &with("retry: {attempts: 0, budget: 11}"),
        &[("retry.attempts", "1 or more"), ("retry.budget", "10 or less")],
    );
    assert_found(
        &with("timeouts: {read: 0s, write: 366d}"),
        &[("timeouts.read", "too short"), ("timeouts.write", "365d")],
    );
    assert_found(&with("limits: {body: 2GiB}"), &[("limits.body_memory", "would not fit")]);
    assert_found(&with("limits: {head: 1B, connections: 0}"), &[("limits.connections", ""), ("limits.head", "1KiB")]);
    assert_found(&with("limits: {connections: '10'}"), &[("limits.connections", "without quotes: 10")]);
    assert_found(&with("log: {level: verbose}"), &[("log.level", "There is no log level")]);
    assert_found(&with("log: {level: 'info,enginehouse=debgu'}"), &[("log.level", "`debug`")]);
    assert_found(&with("log: {level: 'enginehouse='}"), &[("log.level", "missing after \"enginehouse=\"")]);
    assert_found(&with("log: {level: ''}"), &[("log.level", "A log level is missing.")]);
    parse(&with("log: {level: 'info,enginehouse::proxy=debug'}"), &env).expect("a filter");
    assert_found_in_model(
        "health: {path: x, interval: 0s, failures: 0}",
        &[("models.m.health.failures", ""), ("models.m.health.interval", ""), ("models.m.health.path", "Write /x")],
    );
    assert_found_in_model("health: on", &[("models.m.health", "`off` or a mapping")]);
}

#[test]
fn a_key_that_is_null_is_all_that_is_told_of_its_mapping() {
    assert_found("models:\n  null: { source: a }\n", &[("models", "a key without a name (null)")]);
    let text = "models:\n  ~: { source: a }\n  m: { sauce: b }\n";
    assert_found(text, &[("models", "(~)"), ("models.m.sauce", "`source`")]);
}

#[test]
fn hints_say_what_to_write() {
    let with = |top: &str| format!("models: {{m: {{source: s}}}}\n{top}");
    assert_found(&with("ports: 8000"), &[("ports", "Write it like 21000-21999.")]);
    assert_found_in_model("sleep_mode: yes", &[("models.m.sleep_mode", "Write true; `yes` is a text in YAML 1.2.")]);
    assert_found_in_model("sleep_mode: 'false'", &[("models.m.sleep_mode", "Write false (without quotes).")]);
    // An alias with the name of its model: what is wrong is said once, and nothing is meant by "Did you mean `m`?".
    assert_found(&with("aliases: {m: {model: m}}"), &[("aliases.m", "is taken by the model")]);
}

#[test]
fn secrets_are_not_in_diagnostics() {
    let text = "\
admin: {tokn: leak1, token: \"leak2 \"}
models:
  m:
    source: s
    api_key: \"${KEY} \"
    apikey: leak3
    args: {api-key: leak4}
    env: {HF_TOKEN: [leak5], VLLM_API_KEY: leak6}
  n: leak7
  o: {urls: ['http://u:leak8@h'], api_key: '${NO:-leak9 }'}
";
    let found = found(text);
    let shown = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(found.len() >= 9, "{shown}");
    assert!(!shown.contains("leak") && !shown.contains("sk-from-env"), "{shown}");
}

#[test]
fn gym_blocks() {
    let with = |gym: &str| format!("models: {{m: {{source: s}}}}\naliases: {{a: {{model: m, gym: {{{gym}}}}}}}");
    assert_found(
        &with("base_url: sk-leak, port: 1, use_reasoning_parser: true, audio_root: data, retry_for: 0s"),
        &[
            ("aliases.a.gym.audio_root", "absolute"),
            ("aliases.a.gym.base_url", "aliases.a.gym.base_url, line 2\n"),
            ("aliases.a.gym.port", "`listen: host:port`"),
            ("aliases.a.gym.use_reasoning_parser", "Did you mean `uses_reasoning_parser`?"),
        ],
    );
    assert_found(
        &with("default_headers: {a b: x, authorization: replaced, X-A: \"a\\nb\", X-B: fine}"),
        &[
            ("aliases.a.gym.default_headers.\"a b\"", "name of a header"),
            ("aliases.a.gym.default_headers.X-A", "cannot be sent"),
        ],
    );
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |name: &str| load(&folder.path().join(name), &env).expect_err("unreadable").to_string();
    assert!(of("nothing.yaml").contains("cannot be read"));
    assert!(of("").contains("cannot be read"), "a folder");
    std::fs::write(folder.path().join("latin.yaml"), b"a: 1\nb: \xe9\n").expect("a file");
    assert!(of("latin.yaml").contains("not UTF-8 text (line 2)"));
    std::fs::write(folder.path().join("bom.yaml"), "\u{feff}models: {m: {source: s}}").expect("a file");
    load(&folder.path().join("bom.yaml"), &env).expect("a byte order mark does not matter");
}
