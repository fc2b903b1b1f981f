//! Bad configurations and exactly what is said about them.

use super::super::{Fault, load, parse};
use super::env;

/// The faults of a text.
fn faults(text: &str) -> Vec<Fault> {
    match parse(text, &env) {
        Ok(config) => panic!("nothing wrong with\n{text}\n{config:?}"),
        Err(faults) => faults.0,
    }
}

/// `text` has exactly these faults: each a path and a part of what is said.
#[track_caller]
pub(super) fn assert_faults(text: &str, expected: &[(&str, &str)]) {
    let found = faults(text);
    let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    let wanted: Vec<&str> = expected.iter().map(|(path, _)| *path).collect();
    assert_eq!(paths, wanted, "\n{text}\n{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    for (fault, (_, part)) in found.iter().zip(expected) {
        assert!(fault.to_string().contains(part), "{part:?} is not in:\n{fault}");
    }
}

/// The same for members of one started model.
#[track_caller]
fn assert_model_faults(members: &str, expected: &[(&str, &str)]) {
    assert_faults(&format!("models: {{m: {{source: s, {members}}}}}"), expected);
}

#[test]
fn what_is_no_configuration_at_all() {
    for text in ["", "\n# nothing\n", "---\n", "- a\n", "just text", "42"] {
        assert_faults(text, &[("", "conf/demo.yaml")]);
    }
    assert_faults("models: {m: {source: s}\nlisten: x\n", &[("", "column")]);
    assert_faults("a: 1\n---\nb: 2\n", &[("", "second document")]);
    assert_faults("a:\n\tb: 1\n", &[("", "tabs")]);
    assert_faults("a: .inf\n", &[("", "Infinities")]);
    assert_faults("a: !secret x\n", &[("", "Take the tag")]);
    assert_faults("models:\n  m: {source: ${KEY}}\n", &[("", "must be quoted")]);
    assert_faults("{}", &[("models", "nothing to serve")]);
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
    let found = faults(text);
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
    for (fault, remedy) in found.iter().zip([
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
        assert!(fault.remedy.contains(remedy), "{fault}");
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
        assert_faults(text, &[(path, &format!("Did you mean {near}?"))]);
    }
}

#[test]
fn an_old_key_names_its_new_key() {
    assert_faults(
        "models:\n  m: {source: s, priority: 3, hang_after: 5m, restart: {first: 2s, most: 1m}}\n\
         aliases:\n  a: {model: m, echo: alias}\n  b: {model: m, echo: engine}\n",
        &[
            ("models.m.hang_after", "Write `stall_timeout: 5m`."),
            ("models.m.priority", "Write `start_order: 3`."),
            ("models.m.restart.first", "Write `initial_backoff: 2s`."),
            ("models.m.restart.most", "Write `max_backoff: 1m`."),
            ("aliases.a.echo", "Write `response_model: requested`."),
            ("aliases.b.echo", "`echo` is called `response_model` now.\n    -> Write `response_model: engine`."),
        ],
    );
    assert_eq!(faults("models:\n  m:\n    source: s\n    priority: 1\n")[0].line, 4);
    assert_faults("priority: 1\nmodels: {m: {source: s}}", &[("priority", "There is no key")]);
}

#[test]
fn a_mistake_is_told_once_and_not_its_consequences() {
    assert_faults("models: [a]", &[("models", "a mapping")]);
    assert_faults("models: {m: text}\naliases: {a: {model: m}}", &[("models.m", "a mapping")]);
    assert_faults("models: {m: {source: [x]}}", &[("models.m.source", "text")]);
    assert_faults(
        "models: {m: {urls: [1, http://h]}}\naliases: {a: 5}",
        &[("models.m.urls[0]", "scheme"), ("aliases.a", "")],
    );
    assert_faults(
        "listen: 7\nadmin: {listen: '0.0.0.0:8000', token: t}\nmodels: {m: {source: s}}",
        &[("listen", "0.0.0.0:7")],
    );
    assert_model_faults("replicas: x, gpus: [0, 0, 0]", &[("models.m.replicas", "whole number")]);
}

#[test]
fn keys_written_twice() {
    let text = "models:\n  m: {source: s}\n  m: {source: t}\n";
    assert_faults(text, &[("models.m", "first one is on line 2")]);
    assert_eq!(faults(text)[0].line, 3);
}

#[test]
fn names() {
    assert_faults("models: {'': {source: s}}", &[("models.\"\"", "empty")]);
    assert_faults("models: {\"a\\tb\": {source: s}}", &[("models.\"a\\tb\"", "control")]);
    assert_faults("models: {' a': {source: s}}", &[("models.\" a\"", "blank")]);
    let long = "x".repeat(257);
    assert_faults(&format!("models: {{{long}: {{source: s}}}}"), &[(&format!("models.{long}"), "257 bytes")]);
    assert_faults("models: {m: {source: s, lora: {m: p}}}", &[("models.m.lora.m", "taken by the model")]);
    assert_faults(
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
    assert_faults(&with("admin: {listen: '0.0.0.0:8001'}"), &[("admin.token", "Others can reach")]);
    assert_faults(&with("admin: {listen: '0.0.0.0:8001', token: '${NO:-}'}"), &[("admin.token", "Others can reach")]);
    assert_faults(&with("admin: {listen: '127.0.0.1:8000'}"), &[("admin.listen", "share a port")]);
    assert_faults(&with("admin: {token: \"a\\n\"}"), &[("admin.token", "***")]);
    assert_faults(&with("state_dir: ~/x"), &[("state_dir", "${HOME}/x")]);
    parse(&with("listen: 127.0.0.1:0\nadmin: {listen: '127.0.0.1:0'}"), &env).expect("port 0 is chosen by the system");
    parse(&with("admin: {listen: '[::1]:8001'}"), &env).expect("IPv6 loopback needs no token");
}

#[test]
fn where_engines_come_from() {
    assert_faults("models: {m: {}}", &[("models.m", "neither `source` nor `urls`")]);
    assert_model_faults("urls: ['http://h:1']", &[("models.m.urls", "both")]);
    assert_faults(
        "models: {m: {urls: ['http://h:1'], gpus: [0], env: {A: b}}}",
        &[("models.m.env", "run already"), ("models.m.gpus", "run already")],
    );
    assert_faults(
        "models: {m: {urls: ['http://h:1/v1', 'http://h:2', 'h:3', 'http://h:2', 'http://localhost:8000']}}",
        &[
            ("models.m.urls[0]", "Write http://h:1 ("),
            ("models.m.urls[2]", "Write http://h:3"),
            ("models.m.urls[3]", "urls[1]"),
            ("models.m.urls[4]", "circles"),
        ],
    );
    assert_faults("models: {m: {urls: []}}", &[("models.m.urls", "empty")]);
    assert_model_faults("command: []", &[("models.m.command", "empty")]);
    assert_model_faults("command: vllm serve", &[("models.m.command", "[vllm, serve]")]);
    assert_model_faults("command: [vllm, '']", &[("models.m.command[1]", "empty")]);
    assert_faults("models: {m: {source: ' '}}", &[("models.m.source", "empty")]);
    assert_faults("models: {m: {source: }}", &[("models.m.source", "Nothing is written")]);
}

#[test]
fn gpus() {
    assert_model_faults("gpus: two", &[("models.m.gpus", "")]);
    assert_model_faults("gpus: 0", &[("models.m.gpus", "")]);
    assert_model_faults(
        "gpus: [cuda:0, 01, -1]",
        &[("models.m.gpus[0]", ""), ("models.m.gpus[1]", ""), ("models.m.gpus[2]", "")],
    );
    assert_model_faults("gpus: [0, 1, 2], replicas: 2", &[("models.m.gpus", "split evenly")]);
    assert_model_faults("gpus: [1, 1]", &[("models.m.gpus", "twice")]);
    assert_model_faults("gpus: [0, 1], args: {tensor_parallel_size: 4}", &[("models.m.gpus", "need 4")]);
    assert_model_faults("gpus: [0, 1], args: {tp: 2, pp: 2}", &[("models.m.gpus", "need 4")]);
    assert_model_faults("gpu_memory: 90", &[("models.m.gpu_memory", "such as 0.9")]);
    assert_model_faults("gpu_memory: 0", &[("models.m.gpu_memory", "more than 0")]);
    assert_model_faults("gpus: [0], env: {CUDA_VISIBLE_DEVICES: 1}", &[("models.m.env.CUDA_VISIBLE_DEVICES", "gpus")]);
    assert_faults(
        "models:\n  a: {source: s, gpus: [0, 1], gpu_memory: 0.6}\n  b: {source: s, gpus: [1, 0], gpu_memory: 0.5}\n",
        &[("models.b.gpu_memory", "GPUs 0, 1: 1.10 of the memory is promised (a 0.6, b 0.5)")],
    );
}

#[test]
fn flags_and_variables() {
    assert_model_faults(
        "args: {port: 1, served_model_name: x, no-headless: true}",
        &[
            ("models.m.args.no-headless", ""),
            ("models.m.args.port", "free port"),
            ("models.m.args.served_model_name", "`served_name`"),
        ],
    );
    assert_model_faults("args: {--seed: 1}", &[("models.m.args.--seed", "Write `seed`")]);
    assert_model_faults("args: {a-b: 1, a_b: 2}", &[("models.m.args.a_b", "same flag as `a-b`")]);
    assert_model_faults(
        "args: {a: , b: [], c: [null]}",
        &[("models.m.args.a", "Nothing"), ("models.m.args.b", "empty"), ("models.m.args.c", "")],
    );
    assert_model_faults("env: {1A: x, B: [y]}", &[("models.m.env.1A", "name"), ("models.m.env.B", "found a list")]);
}

#[test]
fn aliases() {
    let with = |alias: &str| {
        format!("models: {{m: {{source: s, lora: {{l: p}}}}}}\naliases: {{a: {{{alias}}}, b: {{model: l}}}}")
    };
    assert_faults(&with(""), &[("aliases.a.model", "does not say")]);
    assert_faults(&with("model: a"), &[("aliases.a.model", "points at itself")]);
    assert_faults(&with("model: c"), &[("aliases.a.model", "Models, adapters and aliases here: `m`, `l`, `a`, `b`")]);
    assert_faults(
        &with("model: m, remove: [model, x..y, z, z, ''], defaults: {model: q, stream: 1}"),
        &[
            ("aliases.a.defaults.model", "Take it out"),
            ("aliases.a.defaults.stream", "true or false"),
            ("aliases.a.remove[0]", "needs a model"),
            ("aliases.a.remove[1]", "between the dots"),
            ("aliases.a.remove[3]", "twice"),
            ("aliases.a.remove[4]", "empty"),
        ],
    );
    assert_faults(
        &with("model: m, limits: {n: big, o: {p: [1]}, max_tokens: 5}"),
        &[("aliases.a.limits.n", "n: 8192"), ("aliases.a.limits.o.p", "largest number")],
    );
}

#[test]
fn numbers() {
    let with = |top: &str| format!("models: {{m: {{source: s}}}}\n{top}");
    assert_faults(
        &with("retry: {attempts: 0, budget: 11}"),
        &[("retry.attempts", "1 or more"), ("retry.budget", "10 or less")],
    );
    assert_faults(
        &with("timeouts: {read: 0s, write: 366d}"),
        &[("timeouts.read", "over before"), ("timeouts.write", "365d")],
    );
    assert_faults(&with("limits: {body: 2GiB}"), &[("limits.body_memory", "would not fit")]);
    assert_faults(&with("limits: {head: 1B, connections: 0}"), &[("limits.connections", ""), ("limits.head", "1KiB")]);
    assert_faults(&with("limits: {connections: '10'}"), &[("limits.connections", "without quotes: 10")]);
    assert_faults(&with("log: {level: verbose}"), &[("log.level", "There is no log level")]);
    assert_faults(&with("log: {level: 'info,enginehouse=debgu'}"), &[("log.level", "`debug`")]);
    parse(&with("log: {level: 'info,enginehouse::proxy=debug'}"), &env).expect("a filter");
    assert_model_faults(
        "health: {path: x, interval: 0s, failures: 0}",
        &[("models.m.health.failures", ""), ("models.m.health.interval", ""), ("models.m.health.path", "Write /x")],
    );
    assert_model_faults("health: on", &[("models.m.health", "`off` or a mapping")]);
}

#[test]
fn secrets_are_not_in_faults() {
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
    let found = faults(text);
    let shown = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(found.len() >= 9, "{shown}");
    assert!(!shown.contains("leak") && !shown.contains("sk-from-env"), "{shown}");
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

#[test]
fn profiles_exist_and_hold_what_any_model_can_use() {
    assert_model_faults("profile: low_memry", &[("models.m.profile", "Did you mean `low_memory`?")]);
    assert_faults(
        "profiles: {fast: {}}\nmodels: {m: {source: s, profile: fats}}",
        &[("models.m.profile", "Did you mean `fast`? Profiles here: `fast`, `standard`")],
    );
    assert_faults(
        "profiles:\n  p:\n    gpu_memory: 95\n    args: {--seed: 1, port: 1, dtype: , gpu_memory_utilization: 0.5}\n    \
         env: {1A: x, CUDA_VISIBLE_DEVICES: 0, VLLM_API_KEY: k}\nmodels: {m: {source: s, profile: p}}",
        &[
            ("profiles.p.gpu_memory", "such as 0.95"),
            ("profiles.p.args.--seed", "Write `seed`"),
            ("profiles.p.args.dtype", "Nothing is written"),
            ("profiles.p.args.gpu_memory_utilization", "as `gpu_memory`"),
            ("profiles.p.args.port", "chooses a free port"),
            ("profiles.p.env.1A", "environment variable"),
            ("profiles.p.env.CUDA_VISIBLE_DEVICES", "`gpus` at each model"),
            ("profiles.p.env.VLLM_API_KEY", "of each model"),
        ],
    );
}

#[test]
fn rules_see_what_a_model_and_its_profile_come_to() {
    assert_faults(
        "profiles: {p: {args: {tp: 4}}}\nmodels: {m: {source: s, profile: p, gpus: [0, 1]}}",
        &[("models.m.gpus", "need 4")],
    );
    assert_faults(
        "models:\n  a: {source: s, gpus: [0], profile: high_throughput}\n  b: {source: s, gpus: [0], gpu_memory: 0.2}",
        &[("models.b.gpu_memory", "a 0.95, b 0.2")],
    );
}

#[test]
fn null_takes_a_flag_of_the_profile_out_and_nothing_else() {
    assert_model_faults("args: {seed: }", &[("models.m.args.seed", "Nothing is written here.")]);
    assert_model_faults(
        "profile: low_memory, args: {quantization: , seed: }",
        &[("models.m.args.seed", "`low_memory` does not set this one")],
    );
}

#[test]
fn what_has_a_key_of_its_own_is_no_flag() {
    assert_model_faults(
        "args: {enable-lora: true, enable_sleep_mode: true, hf-token: hf_leak}",
        &[
            ("models.m.args.enable-lora", "Write `lora`"),
            ("models.m.args.enable_sleep_mode", "`sleep_mode: true`"),
            ("models.m.args.hf-token", "process list"),
        ],
    );
    let found =
        faults("models: {m: {source: s, command: [x, --api-key, leak1, --token=leak2], args: {hf-token: leak3}}}");
    assert_eq!(found.len(), 3);
    assert!(!found.iter().any(|fault| fault.to_string().contains("leak")), "{found:?}");
}

#[test]
fn commands_with_placeholders_say_everything() {
    assert_model_faults("command: [x, '{prot}']", &[("models.m.command[1]", "Did you mean `{port}`?")]);
    assert_model_faults(
        "command: [x, '{port}', '{gpus} {other}', '{gpu_memory}']",
        &[
            ("models.m.command", "has no value"),
            ("models.m.command", "has no value"),
            ("models.m.command[2]", "no placeholder `{other}`"),
        ],
    );
    assert_model_faults(
        "command: [x, '{source}'], lora: {}, sleep_mode: true",
        &[
            ("models.m.command", "on which port"),
            ("models.m.lora", "placeholders"),
            ("models.m.sleep_mode", "placeholders"),
        ],
    );
}
