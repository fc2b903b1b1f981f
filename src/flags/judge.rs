//! Holds what a configuration gives an engine against the flags that its vLLM has.

use serde_json::Value;

use super::help::{Flag, Help, Takes};
use crate::config::{Spawn, flag_name};

/// Flags that vLLM had once, and what to do instead.
const DROPPED: &[(&str, &str)] = &[
    ("calculate-kv-scales", "Remove it; scales come from the checkpoint."),
    ("cpu-offload-space", "Write `cpu-offload-gb`."),
    ("disable-async-output-proc", "Remove it, or write `async-scheduling: false`."),
    ("disable-frontend-multiprocessing", "Remove it."),
    ("generation-config-override", "Write `override-generation-config`."),
    ("guided-decoding-backend", "Write `structured-outputs-config: { backend: … }`."),
    ("max-num-partial-prefills", "Remove it."),
    ("num-lookahead-slots", "Remove it; `speculative-config` says what it needs."),
    ("rope-scaling", "Write `hf-overrides: { rope_parameters: { … } }`."),
    ("rope-theta", "Write `hf-overrides: { rope_parameters: { … } }`."),
    ("speculative-model", "Write `speculative-config: { model: … }`."),
    ("swap-space", "Remove it; requests that lose their memory are computed again."),
    ("task", "Write `runner: pooling`, and `convert: embed` (or `classify`) for a generative model."),
];

/// So many near names are offered.
const NEAR: usize = 3;

/// Everything in the model's flags that its vLLM would refuse, each as what is wrong and what to do.
pub(super) fn judge(spawn: &Spawn, help: &Help) -> Vec<String> {
    spawn.args.iter().filter_map(|(written, value)| flaw(written, value, help)).collect()
}

fn flaw(written: &str, value: &Value, help: &Help) -> Option<String> {
    let name = flag_name(written);
    // `compilation-config.use_x`: a member of a JSON value.
    let (base, member) = name.split_once('.').map_or((name.as_str(), None), |(base, member)| (base, Some(member)));
    let Some(flag) = help.find(base.trim_end_matches('+')) else { return Some(unknown(written, base, help)) };
    let whole = flag.name();
    match (flag.takes, value) {
        (Takes::Nothing, _) if member.is_some() => {
            Some(format!("`{written}`: `--{whole}` is a switch and has no members."))
        }
        (_, _) if member.is_some() => None,
        (Takes::Nothing, Value::Bool(true)) => None,
        (Takes::Nothing, Value::Bool(false)) if flag.has_opposite() && !base.starts_with("no-") => None,
        (Takes::Nothing, Value::Bool(false)) => {
            Some(format!("`{written}: false`: there is no `--no-{base}`. Remove it."))
        }
        (Takes::Nothing, _) => {
            let words = if flag.has_opposite() { "`true` or `false`" } else { "`true`" };
            Some(format!("`{written}` takes no value. Write {words}."))
        }
        (Takes::Maybe | Takes::Any, Value::Bool(true)) => None,
        (_, Value::Bool(_)) => Some(format!("`{written}` needs a value{}.", one_of(flag))),
        (Takes::One | Takes::Maybe, Value::Array(values)) if values.len() > 1 => {
            Some(format!("`{written}` takes one value, and {} are given.", values.len()))
        }
        (_, Value::Array(values)) => values.iter().find_map(|value| no_choice(written, value, flag)),
        (_, value) => no_choice(written, value, flag),
    }
}

fn no_choice(written: &str, value: &Value, flag: &Flag) -> Option<String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if flag.choices.is_empty() || flag.choices.contains(&text) {
        return None;
    }
    let guess = near(&text, flag.choices.iter().map(String::as_str), 1);
    let guess = guess.first().map(|guess| format!(" Did you mean `{guess}`?")).unwrap_or_default();
    Some(format!("`{written}` cannot be `{}`{}.{guess}", shorten(&text), one_of(flag)))
}

/// ": one of a, b, c", as far as it is short enough to read.
fn one_of(flag: &Flag) -> String {
    const MOST: usize = 12;
    if flag.choices.is_empty() {
        return String::new();
    }
    let more = if flag.choices.len() > MOST { ", …" } else { "" };
    let list = flag.choices.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    format!(": it is one of {list}{more}")
}

fn unknown(written: &str, base: &str, help: &Help) -> String {
    let positive = base.strip_prefix("no-").unwrap_or(base);
    if let Some((_, instead)) = DROPPED.iter().find(|(dropped, _)| *dropped == positive) {
        return format!("`{written}`: vLLM dropped this flag. {instead}");
    }
    if let Some(flag) = help.short(base) {
        return format!("`{written}` is known with one dash only. Write `{}`.", flag.name());
    }
    if help.exact(positive).is_some() {
        return format!("`{written}`: there is no `--{base}`; `--{positive}` has no opposite. Remove it.");
    }
    let names = help.flags().iter().flat_map(|flag| &flag.long).map(String::as_str);
    let near = near(positive, names.filter(|name| !name.starts_with("no-")), NEAR);
    let near = near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let remedy = if near.is_empty() { "Remove it.".to_owned() } else { format!("Did you mean {near}?") };
    format!("`{written}`: there is no such flag. {remedy}")
}

/// The words most like `word`, best first.
fn near<'a>(word: &str, known: impl Iterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut near: Vec<(f64, &str)> = known
        .map(|known| {
            // Words in another order (`len-max-model`) and parts (`model-len`) count too.
            let parts = |text: &str| text.split(['-', '_']).map(str::to_owned).collect::<Vec<_>>();
            let (ours, theirs) = (parts(&word), parts(known));
            let shared = ours.iter().filter(|part| theirs.contains(part)).count() as f64;
            let overlap = 2.0 * shared / (ours.len() + theirs.len()) as f64;
            let part_of = ours.len() > 1 && shared as usize == ours.len();
            let likeness = strsim::jaro_winkler(&word, &known.to_lowercase()).max(overlap);
            (if part_of { likeness.max(0.97) } else { likeness }, known)
        })
        .filter(|(likeness, _)| *likeness >= 0.8)
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let best = near.first().map_or(0.0, |(likeness, _)| *likeness);
    near.into_iter().take_while(|(likeness, _)| *likeness >= best - 0.05).take(most).map(|(_, known)| known).collect()
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HELP, config, spawn_of};
    use super::*;
    use crate::config::builtin_profiles;

    fn help() -> Help {
        Help::parse(HELP).expect("the help of vLLM 0.32")
    }

    fn said(flag: &str, value: &Value) -> String {
        flaw(flag, value, &help()).unwrap_or_default()
    }

    #[test]
    fn what_vllm_takes_is_left_alone() {
        for (flag, value) in [
            ("max_model_len", json!("32k")),
            ("enable-prefix-caching", json!(false)),
            ("no-enable-prefix-caching", json!(true)),
            ("tp", json!(2)),
            ("tensor-parallel", json!(2)),
            ("hf-token", json!(true)),
            ("dtype", json!("half")),
            ("config-format", json!("own")),
            ("speculative-config", json!({ "method": "ngram" })),
            ("compilation_config.cudagraph_mode", json!("NONE")),
            ("allowed-media-domains", json!(["a", "b"])),
            ("middleware", json!(["a"])),
            ("optimization-level", json!(2)),
            ("trust-remote-code", json!(true)),
        ] {
            assert_eq!(said(flag, &value), "", "{flag}");
        }
    }

    #[test]
    fn what_it_does_not_take_is_told() {
        for (flag, value, part) in [
            ("max-modle-len", json!(1), "no such flag. Did you mean `max-model-len`?"),
            ("model-len", json!(1), "`max-model-len`"),
            ("zzz", json!(1), "no such flag. Remove it."),
            ("swap_space", json!(4), "vLLM dropped this flag."),
            ("dtype", json!("bf16"), "cannot be `bf16`: it is one of auto, bfloat16, "),
            ("dtype", json!(true), "needs a value: it is one of"),
            ("max-model-len", json!(true), "`max-model-len` needs a value."),
            ("max-model-len", json!([1, 2]), "takes one value, and 2"),
            ("enforce-eager", json!("yes"), "takes no value. Write `true` or `false`."),
            ("enforce-eager.x", json!(1), "has no members"),
            ("disable-log-stats", json!(false), "there is no `--no-disable-log-stats`"),
            ("no-disable-log-stats", json!(true), "`--disable-log-stats` has no opposite"),
            ("q", json!("fp8"), "Write `quantization`"),
        ] {
            let said = said(flag, &value);
            assert!(said.contains(part), "{flag}: {said:?}");
        }
    }

    #[test]
    fn dropped_flags_are_gone_and_their_heirs_are_there() {
        let help = help();
        for (dropped, instead) in DROPPED {
            assert!(help.exact(dropped).is_none(), "--{dropped} is there");
            for named in instead.split('`').skip(1).step_by(2) {
                let flag = named.split(':').next().unwrap_or_default();
                let known = help.exact(flag).is_some() || ["embed", "classify"].contains(&flag);
                assert!(known, "--{flag}, instead of --{dropped}, is not there");
            }
        }
    }

    #[test]
    fn the_builtin_profiles_hold_only_flags_of_today() {
        for profile in builtin_profiles() {
            let config = config(&format!("models: {{m: {{source: s, profile: {}}}}}", profile.name));
            assert_eq!(judge(spawn_of(&config), &help()), Vec::<String>::new(), "{}", profile.name);
        }
    }
}
