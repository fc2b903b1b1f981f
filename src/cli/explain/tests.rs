//! What `explain` prints for the requests of a small configuration.

use super::*;

fn explained(yaml: &str, words: &[&str], body: &str) -> Result<String, String> {
    let config = crate::config::parse(yaml, &|_| None).map_err(|found| found.to_string())?;
    let config_args = ConfigArgs::of_file("gateway.yaml");
    let mut ask = Ask {
        config: config_args,
        alias: None,
        part: None,
        endpoint: "chat".into(),
        headers: vec![],
        caller: None,
        json: false,
    };
    ask.alias = Some(words[0].to_owned()).filter(|name| !name.is_empty());
    for word in &words[1..] {
        match word.strip_prefix('/') {
            Some(part) => ask.part = Some(part.into()),
            None if word.contains(':') => ask.headers.push((*word).into()),
            None => ask.endpoint = (*word).into(),
        }
    }
    let told = super::explained(&ask, &config, body.as_bytes());
    told.map_err(|failure| failure.text).map(|told| {
        let json = serde_json::to_value(&told).expect("JSON");
        assert_eq!(json["places"].as_array().map(Vec::len), Some(told.places.len()), "{json}");
        String::from_utf8(text::text(&told)).expect("text")
    })
}

const CONFIG: &str = "models:\n  big: {source: s, limits: {max_tokens: 100}}\n  far: {urls: ['http://h:1']}\naliases:\n  \
    quick:\n    model: big\n    remove: [logit_bias]\n    defaults: {temperature: 0.5}\n    headers: {x-secret: hidden}\n    \
    when: [{if: {header: {x-tier: gold}}, overrides: {k.think: false}}]\n  parts: {split: {far: 1, quick: 2}, fallback: [big]}\n  \
    spare: {model: quick, overrides: {n: 1}, fallback: [far]}\n";

#[test]
fn every_change_is_told_with_what_made_it() {
    let body = r#"{"model":"quick","logit_bias":{},"max_tokens":500,"k":{"think":true}}"#;
    let text = explained(CONFIG, &["quick", "X-Tier: gold"], body).expect("explained");
    let expected = "\
quick -> big, POST /v1/chat/completions

--- before
{\"model\":\"quick\",\"logit_bias\":{},\"max_tokens\":500,\"k\":{\"think\":true}}

--- changes
max_tokens: 500 -> 100
    limits of model big
logit_bias: {} -> (nothing)
    remove of alias quick
temperature: (nothing) -> 0.5
    defaults of alias quick
k.think: true -> false
    overrides of alias quick, when #1
model: \"quick\" -> \"big\"
    name of the engines

--- headers
x-secret (values are not shown)

--- after
{\"model\":\"big\",\"max_tokens\":100,\"k\":{\"think\":false},\"temperature\":0.5}
";
    assert_eq!(text, expected);
}

#[test]
fn the_name_is_that_of_the_body_where_no_other_is_given() {
    let text = explained(CONFIG, &[""], r#"{"model":"quick"}"#).expect("explained");
    assert!(text.starts_with("quick -> big"), "{text}");
    for body in ["{}", "", "no JSON"] {
        assert!(explained(CONFIG, &[""], body).is_err_and(|why| why.contains("--alias")), "{body}");
    }
}

#[test]
fn every_part_and_fallback_is_shown() {
    let text = explained(CONFIG, &["parts"], "{}").expect("explained");
    let expected = "\
parts -> far or big, POST /v1/chat/completions

--- before
{}

=== part far, 33.3 % of the requests -> far

--- changes
model: becomes the name that the engine uses
    the gateway reads that name from the engine's /v1/models

--- after
{}

=== part quick, 66.7 % of the requests -> big

--- changes
temperature: (nothing) -> 0.5
    defaults of alias quick
model: (nothing) -> \"big\"
    name of the engines

--- headers
x-secret (values are not shown)

--- after
{\"temperature\":0.5,\"model\":\"big\"}

=== fallback 1, big -> big

--- changes
model: (nothing) -> \"big\"
    name of the engines

--- after
{\"model\":\"big\"}
";
    assert_eq!(text, expected);
    let spare = explained(CONFIG, &["spare"], "{}").expect("explained");
    assert!(spare.contains("=== usually -> big\n") && spare.contains("=== fallback 1, far -> far\n"), "{spare}");
    assert_eq!(spare.matches("overrides of alias spare").count(), 2, "{spare}");
    let one = explained(CONFIG, &["parts", "/quick"], "{}").expect("explained");
    assert!(one.contains("66.7 %") && !one.contains("far") && !one.contains("fallback"), "{one}");
}

#[test]
fn copies_and_an_address_of_its_own_are_shown() {
    let yaml = "models: {big: {source: s}, next: {source: s, overrides: {n: 1}}}\naliases:\n  watched: {model: big, \
                mirror: {to: next, percent: 5}, listen: '127.0.0.1:8100'}\n  plain: {model: watched}\n";
    let text = explained(yaml, &["watched"], "{}").expect("explained");
    let begin = "watched -> big, POST /v1/chat/completions\n(also at http://127.0.0.1:8100/v1, where requests need not name a model)\n";
    assert!(text.starts_with(begin), "{text}");
    let (meant, copy) = text.split_once("=== copy of 5 % of the requests, next -> next\n").expect(&text);
    assert!(meant.contains("=== usually -> big\n") && !meant.contains("overrides of model next"), "{text}");
    assert!(copy.ends_with("--- after\n{\"n\":1,\"model\":\"next\"}\n"), "{text}");
    let one = explained(yaml, &["watched", "/next"], "{}").expect("explained");
    assert!(one.starts_with("watched -> next, POST") && !one.contains("usually"), "{one}");
    assert!(!explained(yaml, &["big"], "{}").expect("explained").contains("also at"));
}

#[test]
fn what_goes_by_gyms_rules_is_shown_as_they_ask_it_of_the_engine() {
    let yaml = "models: {big: {source: s, overrides: {seed: 7}}, far: {source: t, served_name: lab/far}}\naliases:\n  \
                gym: {model: big, fallback: [far], mirror: {to: far, percent: 5}, gym: {extra_body: {top_k: 3}, \
                default_headers: {x-key: hidden}, return_token_id_information: true}}\n";
    let body = r#"{"model":"gym","input":"hi"}"#;
    let text = explained(yaml, &["gym", "responses"], body).expect("explained");
    assert!(text.starts_with("gym -> big or far, POST /v1/responses\n"), "{text}");
    assert_eq!(
        text.matches("(by NeMo Gym's rules, which first ask an engine for POST /v1/chat/completions)").count(),
        2
    );
    let (meant, fallback) = text.split_once("=== fallback 1, far -> far\n").expect(&text);
    let after = |text: &str| text.split_once("--- after\n").expect(text).1.lines().next().expect(text).to_owned();
    let sent: serde_json::Value = serde_json::from_str(&after(meant)).expect(meant);
    assert_eq!((&sent["model"], &sent["top_k"], &sent["seed"]), (&"big".into(), &3.into(), &7.into()), "{meant}");
    assert_eq!(sent["messages"][0]["content"][0]["text"], "hi", "{meant}");
    assert!(
        meant.contains("seed: (nothing) -> 7\n    overrides of model big") && meant.contains("\nx-key (values"),
        "{meant}"
    );
    let sent: serde_json::Value = serde_json::from_str(&after(fallback)).expect(fallback);
    assert_eq!((&sent["model"], &sent["seed"]), (&"lab/far".into(), &serde_json::Value::Null), "{fallback}");
    assert!(!text.contains("copy of") && !text.contains("hidden"), "Gym's turns are not copied: {text}");
    // Other routes go on as they are.
    let plain = explained(yaml, &["gym", "completions"], r#"{"model":"gym","prompt":"hi"}"#).expect("explained");
    assert!(!plain.contains("Gym") && plain.contains("=== copy of 5 %"), "{plain}");
    let refused = explained(yaml, &["gym"], r#"{"model":"gym","messages":7}"#).expect("explained");
    assert!(refused.contains("no engine is asked: status 422)\n\n--- answer\n{"), "{refused}");
}

#[test]
fn unknown_names_and_mistakes() {
    let far = explained(CONFIG, &["far"], "{}").expect("explained");
    assert!(far.contains("the name that the engine uses") && far.ends_with("--- after\n{}\n"), "{far}");
    for (words, body, part) in [
        (&["quikc"][..], "{}", "Did you mean `quick`"),
        (&["quick", "chatt"], "{}", "There are: chat,"),
        (&["parts", "/spare"], "{}", "never go to `spare`. They go to: far, quick, big."),
        (&["quick", "/big"], "{}", "They go to: quick."),
        (&["quick"], "{", "Callers would get this error: invalid JSON"),
        (&["quick", "no name: x"], "{}", "NAME:VALUE"),
    ] {
        let why = explained(CONFIG, words, body).expect_err(body);
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn forms_are_explained_too() {
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nquick\r\n--b--\r\n";
    let text = explained(CONFIG, &["quick", "transcriptions"], form).expect("explained");
    assert!(text.contains("temperature: (nothing) -> 0.5"), "{text}");
    assert!(text.contains("name=\"temperature\"\r\n\r\n0.5"), "{text}");
}

#[test]
fn a_translated_request_is_shown_as_the_engine_gets_it_also_a_count_of_tokens() {
    let yaml = "models: {m: {source: s}}\naliases: {t: {model: m, dialect: {messages: chat}, defaults: {seed: 7}}}\n";
    let body = r#"{"model":"t","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    let chat = explained(yaml, &["t", "messages"], body).expect("explained");
    assert!(chat.contains("(translated for POST /v1/chat/completions before all other changes)"), "{chat}");
    assert!(chat.contains("seed: (nothing) -> 7"), "{chat}");
    let count = explained(yaml, &["t", "count_tokens"], body).expect("explained");
    assert!(count.contains("(translated for POST /tokenize before all other changes)"), "{count}");
}

#[test]
fn a_name_that_only_a_wildcard_answers_to_is_explained_as_that() {
    let yaml = "models: {big: {source: s}}\naliases:\n  'claude-*': {model: big, overrides: {n: 1}}\n  claude-3: {model: big}\n";
    let text = explained(yaml, &["claude-4"], r#"{"model":"claude-4"}"#).expect("explained");
    assert!(text.starts_with("claude-4 (by the alias claude-*) -> big, POST"), "{text}");
    assert!(text.contains("overrides of alias claude-*") && text.contains(r#""model":"big""#), "{text}");
    let exact = explained(yaml, &["claude-3"], r#"{"model":"claude-3"}"#).expect("explained");
    assert!(exact.starts_with("claude-3 -> big, POST"), "{exact}");
    assert!(explained(yaml, &["gpt-4"], r#"{"model":"gpt-4"}"#).is_err());
}
