//! Aliases: chains of aliases, variants, splits; and what is reported about those that point nowhere.

use serde_json::json;

use super::support::{assert_found, env, good};
use crate::config::*;

fn alias<'a>(config: &'a Config, name: &str) -> &'a Alias {
    config.aliases.iter().find(|alias| &*alias.name == name).unwrap_or_else(|| panic!("no alias {name}"))
}

/// The overrides of each block of settings, in order.
fn overrides(alias: &Alias) -> serde_json::Value {
    alias.settings.iter().map(|settings| settings.overrides.clone()).collect()
}

#[test]
fn an_alias_may_point_at_an_adapter_that_comes_later() {
    let config =
        good("models: {m: {source: s, lora: {l: p, later: off}}}\naliases: {a: {model: later, fallback: [l]}}");
    let Engines::Spawn(spawn) = &config.models[0].engines else { panic!("it is started") };
    assert_eq!(spawn.lora.keys().map(|name| &**name).collect::<Vec<_>>(), ["l"]);
    assert_eq!((spawn.takes_lora, spawn.lora_later.contains("later")), (true, true));
    assert_eq!(&*alias(&config, "a").model, "later");
}

#[test]
fn an_alias_of_an_alias_has_its_settings_after_those_of_the_other() {
    let config = good(
        "models: {m: {source: s, overrides: {n: 0}, lora: {l: p}, dialect: {messages: chat, late_system: first}}}\naliases:\n  \
         c: {model: b, overrides: {n: 3}, hidden: true}\n  b: {model: a, fallback: [l]}\n  \
         a: {model: m, overrides: {n: 1}, dialect: {responses: chat}, response_model: engine}\n  of-adapter: {model: l}\n",
    );
    let c = alias(&config, "c");
    assert_eq!((&*c.model, overrides(c)), ("m", json!([{ "n": 1 }, { "n": 3 }])));
    assert!(c.hidden);
    assert_eq!(c.fallback, ["l".into()], "as where it points");
    let dialects = |responses| Dialects { responses, messages: Via::Chat, late_system: LateSystem::First };
    assert_eq!(c.dialect, dialects(Via::Chat));
    assert_eq!(alias(&config, "of-adapter").dialect, dialects(Via::Engine));
    assert_eq!(json!(config.models[0].settings.overrides), json!({ "n": 0 }));
}

#[test]
fn the_name_in_answers_is_what_the_nearest_says() {
    let config = good(
        "models: {m: {source: s}, e: {source: s, response_model: engine, lora: {l: p}}}\naliases:\n  a: {model: m}\n  \
         b: {model: e}\n  c: {model: l}\n  d: {model: b}\n  f: {model: b, response_model: requested}\n  g: {model: f}\n  \
         h: {split: {e: 1}}\n  i: {model: h}\n",
    );
    let said = |name: &str| alias(&config, name).response_model;
    for name in ["a", "f", "g"] {
        assert_eq!(said(name), ResponseModel::Requested, "{name}");
    }
    for name in ["b", "c", "d", "h", "i"] {
        assert_eq!(said(name), ResponseModel::Engine, "{name}");
    }
    let models: Vec<_> = config.models.iter().map(|model| model.response_model).collect();
    assert_eq!(models, [ResponseModel::Requested, ResponseModel::Engine]);
}

#[test]
fn everything_an_alias_can_have() {
    let config = good(
        "models: {m: {source: s}, n: {source: s}}\naliases:\n  a:\n    split: {m: 9, n: 1}\n    sticky: X-Chat\n    \
         listen: 127.0.0.1:8010\n    fallback: [n]\n    mirror: {to: n, percent: 0.5}\n  b: {model: a}\n",
    );
    for name in ["a", "b"] {
        let alias = alias(&config, name);
        assert_eq!(alias.split, [("m".into(), 9), ("n".into(), 1)]);
        assert_eq!((&*alias.model, alias.sticky.as_str()), ("m", "x-chat"));
        assert_eq!(alias.mirror, Some(Mirror { to: "n".into(), percent: 0.5 }));
        assert_eq!(alias.listen.is_some(), name == "a");
    }
}

#[test]
fn settings_are_taken_apart() {
    let config = good(
        "models: {m: {source: s}}\naliases:\n  a:\n    model: m\n    remove: [a.b]\n    map: {x.y: {1: 2, true: no, medium: {o: 1}}}\n    \
         defaults: {k.think: true, k: {a: {b: 1}}, k.a.c: 2}\n    headers: {X-Key: '${KEY}', n: 1.10}\n    \
         prompt: {text: hi}\n    when:\n      - if: {body: {a.b: {any: [1, null]}, c: true, d: {present: false}}, header: {t: 1.10}, endpoint: [chat]}\n        \
         limits: {n: 5}\n",
    );
    let settings = &alias(&config, "a").settings[0];
    assert_eq!(settings.remove, [["a", "b"]]);
    assert_eq!(settings.map[0].0, ["x", "y"]);
    assert_eq!(json!(settings.map[0].1), json!({ "1": 2, "true": "no", "medium": { "o": 1 } }));
    assert_eq!(json!(settings.defaults), json!({ "k": { "think": true, "a": { "b": 1, "c": 2 } } }));
    assert_eq!(settings.headers[0].1, "sk-from-env");
    assert_eq!(settings.headers[1].1, "1.10");
    assert!(!format!("{config:?}{}", overview(&config)).contains("sk-from-env"));
    assert_eq!(settings.prompt, Some(Prompt { text: "hi".into(), place: Place::Missing }));
    let when = &settings.when[0];
    assert_eq!(when.condition.body[0], (vec!["a".into(), "b".into()], Test::Any(vec![json!(1), json!(null)])));
    assert_eq!(when.condition.body[1].1, Test::Any(vec![json!(true)]));
    assert_eq!(when.condition.body[2].1, Test::Present(false));
    assert_eq!(when.condition.header[0].1, Test::Any(vec![json!("1.10")]));
    assert_eq!(when.condition.endpoint, [EndpointGroup::Chat]);
    assert_eq!(json!(when.settings.limits), json!({ "n": 5 }));
}

#[test]
fn variants_are_spelled_out() {
    let config = good(
        "models: {m: {source: s}}\naliases:\n  \"q:*\":\n    model: base\n    overrides: {n: 1}\n    variants:\n      \
         - {think: {overrides: {t: 1}}, fast: {}}\n      - {hot: {overrides: {h: 1}}, cold: {}}\n  base: {model: m, overrides: {n: 0}}\n  \
         best: {model: \"q:think:hot\", overrides: {n: 2}}\n  \"p:*\": {model: m, hidden: true, variants: {x: {}}}\n",
    );
    let names: Vec<&str> = config.aliases.iter().map(|alias| &*alias.name).collect();
    assert_eq!(names, ["q:think:hot", "q:think:cold", "q:fast:hot", "q:fast:cold", "base", "best", "p:x"]);
    assert_eq!(overrides(alias(&config, "q:think:hot")), json!([{ "n": 0 }, { "n": 1 }, { "t": 1 }, { "h": 1 }]));
    assert_eq!(overrides(alias(&config, "q:fast:cold")), json!([{ "n": 0 }, { "n": 1 }]));
    assert_eq!(overrides(alias(&config, "best")), json!([{ "n": 0 }, { "n": 1 }, { "t": 1 }, { "h": 1 }, { "n": 2 }]));
    assert!(alias(&config, "p:x").hidden);
}

/// Two models and an adapter, and these aliases.
fn with(aliases: &str) -> String {
    format!("models: {{m: {{source: s, lora: {{l: p}}}}, n: {{source: s}}}}\naliases:\n{aliases}")
}

#[test]
fn names_lead_somewhere() {
    assert_found(&with("  a: {model: b}\n  b: {model: c}\n  c: {model: b}\n"), &[("aliases.b.model", "b -> c -> b")]);
    assert_found(
        &with("  a: {model: m, fallback: [nn, a, m, n, n], mirror: {to: x}}\n"),
        &[
            ("aliases.a.fallback[0]", "Did you mean `n`?"),
            ("aliases.a.fallback[1]", "points at itself"),
            ("aliases.a.fallback[2]", "tried first"),
            ("aliases.a.fallback[4]", "twice"),
            ("aliases.a.mirror.percent", "percent: 5"),
            ("aliases.a.mirror.to", "no model or alias `x`"),
        ],
    );
    assert_found(
        &with(
            "  a: {split: {m: 0, b: 0}, model: m}\n  b: {split: {m: 1, x: 1}, sticky: t}\n  c: {model: m, sticky: t}\n",
        ),
        &[
            ("aliases.a.split", "both `model` and `split`"),
            ("aliases.a.split", "weight 0"),
            ("aliases.a.split.b", "split itself"),
            ("aliases.b.split.x", "no model or alias"),
            ("aliases.c.sticky", "no `split` here"),
        ],
    );
    assert_found(&with("  a: {split: {b: 1}}\n  b: {model: a}\n"), &[("aliases.a.split.b", "split itself")]);
    let chain: String = (0..20)
        .map(|n| format!("  a{n}: {{model: {}}}\n", if n == 0 { "m".into() } else { format!("a{}", n - 1) }))
        .collect();
    assert_found(
        &with(&chain),
        &[16, 17, 18, 19].map(|n| {
            (
                ["aliases.a16.model", "aliases.a17.model", "aliases.a18.model", "aliases.a19.model"][n - 16],
                "aliases away",
            )
        }),
    );
}

#[test]
fn names_of_variants_are_names() {
    assert_found(
        &with("  \"q:*\": {model: m, variants: {x: {}}}\n  q:x: {model: m}\n"),
        &[("aliases.q:x", "taken by the alias")],
    );
    assert_found(
        &with(
            "  \"q:*\": {model: \"q:x\", listen: \"127.0.0.1:1\", variants: {x: {}, 'a:b': {}}}\n  r: {model: m, variants: [{}]}\n  \"s:*\": {model: m}\n",
        ),
        &[
            ("aliases.\"q:*\".listen", "several"),
            ("aliases.\"q:*\".model", "points at itself"),
            ("aliases.\"q:*\".variants.a:b", "neither"),
            ("aliases.r.variants", "\"r:*\""),
            ("aliases.r.variants[0]", "at least one"),
            ("aliases.\"s:*\".variants", "there are none"),
        ],
    );
    let ten = (0..10).map(|n| format!("v{n}: {{}}")).collect::<Vec<_>>().join(", ");
    assert_found(
        &with(&format!("  \"q:*\": {{model: m, variants: [{{{ten}}}, {{{ten}}}, {{{ten}}}, {{a: {{}}, b: {{}}}}]}}\n")),
        &[("aliases.\"q:*\".variants", "2000 names")],
    );
    assert_found(
        &with("  \"q:*\": {model: m, variants: {x: {overides: {}, remove: [model], sticky: s}}}\n"),
        &[
            ("aliases.\"q:*\".variants.x.overides", "Did you mean `overrides`?"),
            ("aliases.\"q:*\".variants.x.remove[0]", "needs a model"),
            ("aliases.\"q:*\".variants.x.sticky", "no key"),
        ],
    );
}

#[test]
fn addresses_of_aliases_are_their_own() {
    assert_found(
        &with(
            "  a: {model: m, listen: '127.0.0.1:8000'}\n  b: {model: m, listen: '127.0.0.1:9'}\n  c: {model: m, listen: '0.0.0.0:9'}\n  \
             d: {model: m, listen: localhost}\n  e: {model: m, listen: '127.0.0.1:8001'}\n  f: {model: m, listen: '127.0.0.1:0'}\n  g: {model: m, listen: '127.0.0.1:0'}\n",
        ),
        &[
            ("aliases.a.listen", "for the API"),
            ("aliases.c.listen", "for the alias `b`"),
            ("aliases.d.listen", "127.0.0.1:8000"),
            ("aliases.e.listen", "for the operators' API"),
        ],
    );
    let circle = "models: {u: {urls: ['http://127.0.0.1:9']}}\naliases: {a: {model: u, listen: '0.0.0.0:9'}}";
    assert_found(circle, &[("models.u.urls[0]", "to itself again")]);
}

#[test]
fn settings_are_sound_wherever_they_stand() {
    assert_found(
        "models: {m: {source: s, overrides: {model: x}, headers: {Host: h, 'a b': c, authorization: leak, ok: \"a\\nb\"}}}",
        &[
            ("models.m.headers.\"a b\"", "name of a header"),
            ("models.m.headers.Host", "sets this header itself"),
            ("models.m.headers.authorization", "`api_key`"),
            ("models.m.headers.ok", "line break"),
            ("models.m.overrides.model", "points"),
        ],
    );
    assert_found(
        &with(
            "  a:\n    model: m\n    prompt: {place: front}\n    overrides: {k: 1, k.a: 2, '.': 1}\n    when:\n      - {overrides: {x: 1}}\n      \
             - if: {body: {x: {presnt: true}, y: {}, z: {present: true, any: [1]}}, header: {'a b': c, d: {any: [[1]]}}, endpoint: [chatt]}\n        limits: {n: x}\n        \
             when: [{if: {endpoint: []}, remove: ['']}]\n",
        ),
        &[
            ("aliases.a.prompt.place", ""),
            ("aliases.a.prompt.text", "empty"),
            ("aliases.a.overrides.\".\"", "name is missing"),
            ("aliases.a.overrides.\"k.a\"", "Keep one"),
            ("aliases.a.when[0].if", "is empty: it is true"),
            ("aliases.a.when[1].if.body.x.presnt", "`present`"),
            ("aliases.a.when[1].if.body.y", "one of the two"),
            ("aliases.a.when[1].if.body.z", "one of the two"),
            ("aliases.a.when[1].if.endpoint[0]", "`chat`"),
            ("aliases.a.when[1].if.header.\"a b\"", "name of a header"),
            ("aliases.a.when[1].if.header.d.any[0]", "found a list"),
            ("aliases.a.when[1].limits.n", "n: 8192"),
            ("aliases.a.when[1].when[0].if.endpoint", "empty"),
            ("aliases.a.when[1].when[0].remove[0]", "empty"),
        ],
    );
}

#[test]
fn callers_are_told_apart() {
    assert_found(
        "models: {m: {source: s}}\ncallers:\n  anonymous: {keys: [a]}\n  ' x': {keys: []}\n  none: {}\n  a: {key: s, keys: ['', 'a b', sha256:12, twice]}\n  b: \
         {keys: [twice, 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', abc]}\n",
        &[
            ("callers.anonymous", "means callers without a key"),
            ("callers.\" x\"", "begins or ends with a space"),
            ("callers.\" x\".keys", "empty"),
            ("callers.none", "no key"),
            ("callers.a.key", "`keys`"),
            ("callers.a.keys[0]", "empty"),
            ("callers.a.keys[1]", "cannot be sent"),
            ("callers.a.keys[2]", "64 hexadecimal"),
            ("callers.b.keys[0]", "callers.a.keys[3]"),
            ("callers.b.keys[2]", "callers.b.keys[1]"),
        ],
    );
    assert_found("models: {m: {source: s}}\nanonymous: false\n", &[("anonymous", "Add `callers`")]);
    assert_found(
        "models: {m: {source: s}}\ncallers: {a: {keys: [dummy]}}\nanonymous: {keys: ['', 'a b', dummy, none]}\n",
        &[
            ("anonymous.keys[0]", "cannot be sent"),
            ("anonymous.keys[1]", "cannot be sent"),
            ("anonymous.keys[2]", "callers.a.keys[0]"),
        ],
    );
    let when = |callers: &str, names: &str| {
        with(&format!("  f: {{model: m, when: [{{if: {{caller: {names}}}, overrides: {{n: 1}}}}]}}\n")) + callers
    };
    let path = "aliases.f.when[0].if.caller";
    assert_found(&when("", "[]"), &[(path, "empty")]);
    assert_found(&when("", "[bot]"), &[(&format!("{path}[0]"), "no such caller")]);
    let callers = "callers: {chatbot: {keys: [k]}}\n";
    assert_found(&when(callers, "[chatbto]"), &[(&format!("{path}[0]"), "Did you mean `chatbot`")]);
    assert_found(&when(callers, "[chatbot, anonymous]"), &[(&format!("{path}[1]"), "never true")]);
    let config = parse(&when(&format!("{callers}anonymous: true\n"), "[chatbot, anonymous]"), &env).expect("sound");
    let settings = &config.aliases.iter().find(|alias| &*alias.name == "f").expect("the alias").settings;
    assert_eq!(settings[0].when[0].condition.caller, [Some("chatbot".into()), None]);
    assert!(config.anonymous.is_some() && config.callers.len() == 1);
    let closed = parse(&when(callers, "[chatbot]"), &env).expect("sound");
    assert!(closed.anonymous.is_none() && !format!("{closed:?}").contains("keys: [k"));
    assert!(overview(&closed).contains("(with a key: chatbot)"), "{}", overview(&closed));
}

#[test]
fn stars_stand_for_the_end_of_names() {
    let config = good(&with(
        "  'claude-*': {model: m, defaults: {n: 1}}\n  '*': {model: m}\n  'v:*': {model: m, variants: {a: {}}}\n",
    ));
    let wildcards: Vec<_> = config.aliases.iter().map(|alias| (&*alias.name, alias.wildcard())).collect();
    assert!(
        wildcards.contains(&("claude-*", Some("claude-"))) && wildcards.contains(&("*", Some(""))),
        "{wildcards:?}"
    );
    assert!(wildcards.contains(&("v:a", None)), "{wildcards:?}");
    let text = overview(&config);
    assert!(
        text.contains("answers to names that begin with claude-") && text.contains("all names that mean nothing else"),
        "{text}"
    );
    assert_found(
        &with(
            "  'a*b': {model: m}\n  '**': {model: m}\n  'x-*': {model: m, listen: '127.0.0.1:9', gym: {}}\n  \
             p: {model: 'x-*'}\n  q: {split: {'x-*': 1, m: 1}}\n  r: {model: m, fallback: ['x-*'], mirror: {to: 'x-*', percent: 1}}\n",
        ),
        &[
            ("aliases.\"a*b\"", "must be last"),
            ("aliases.\"**\"", "must be last"),
            ("aliases.\"x-*\".gym", "stands for many"),
            ("aliases.\"x-*\".listen", "stands for many"),
            ("aliases.p.model", "stands for many names"),
            ("aliases.q.split.\"x-*\"", "stands for many names"),
            ("aliases.r.fallback[0]", "stands for many names"),
            ("aliases.r.mirror.to", "stands for many names"),
        ],
    );
}

#[test]
fn bodies_are_captured_as_an_alias_or_the_next_of_its_chain_says() {
    let config = good(
        "models: {m: {source: s}}\naliases:\n  plain: {model: m}\n  seen: {model: m, capture: {requests: 3, mask: [a.b]}}\n  \
         inner: {model: seen}\n  own: {model: seen, capture: {bytes: 1KiB}}\n  none: {model: seen, capture: {requests: 0}}\n  \
         \"q:*\": {model: seen, variants: {x: {}}}\n",
    );
    let capture = |name: &str| alias(&config, name).capture.as_deref().cloned();
    let seen = Capture { requests: 3, bytes: 64 << 10, mask: vec![vec!["a".into(), "b".into()]] };
    for name in ["seen", "inner", "q:x"] {
        assert_eq!(capture(name).as_ref(), Some(&seen), "{name}");
    }
    assert_eq!(capture("own"), Some(Capture { requests: 20, bytes: 1 << 10, mask: vec![] }), "nothing of the other");
    assert_eq!((capture("plain"), capture("none")), (None, None));
}

#[test]
fn captures_are_bounded_each_and_all_together() {
    assert_found(
        &with(
            "  a: {model: m, capture: {requests: 1001, bytes: 1023B}}\n  b: {model: m, capture: {bytes: 2MiB}}\n  \
             c: {model: m, capture: {mask: [a..b, '', messages.*.content, x.0]}}\n",
        ),
        &[
            ("aliases.a.capture.bytes", "1KiB or more"),
            ("aliases.a.capture.requests", "1000 or less"),
            ("aliases.b.capture.bytes", "1MiB or less"),
            ("aliases.c.capture.mask[0]", "name is missing"),
            ("aliases.c.capture.mask[1]", "name is missing"),
            ("aliases.c.capture.mask[2]", "in each of them"),
            ("aliases.c.capture.mask[3]", "in each of them"),
        ],
    );
    let most = "  a: {model: m, capture: {requests: 64, bytes: 1MiB}}\n  b: {model: a}\n";
    good(&with(most));
    assert_found(
        &with(&format!("{most}  c: {{model: m, capture: {{requests: 1, bytes: 1KiB}}}}\n  d: {{model: a}}\n")),
        &[("aliases.c.capture", "257 MiB")],
    );
}
