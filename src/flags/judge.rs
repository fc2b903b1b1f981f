//! Holds what a configuration gives an engine against the flags that its vLLM has.

use serde_json::Value;

use super::help::{Flag, Help, Takes};
use crate::config::{Spawn, flag_name, leaves_out};
use crate::similar::similar;

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

/// A flag that vLLM would refuse.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FlagError {
    /// The flag, as it is written in `args`.
    pub(super) written: String,
    /// What is wrong.
    pub(super) reason: String,
    /// What to do.
    pub(super) remedy: String,
}

/// Everything in the model's flags that its vLLM would refuse.
pub(super) fn judge(spawn: &Spawn, help: &Help) -> Vec<FlagError> {
    let error = |(written, value): (&String, &Value)| {
        let (reason, remedy) = judge_flag(written, value, help)?;
        Some(FlagError { written: written.clone(), reason, remedy })
    };
    let given = spawn.args.iter().filter(|(written, value)| !leaves_out(&flag_name(written), value));
    given.filter_map(error).collect()
}

/// What is wrong, and what to do.
type ReasonAndRemedy = (String, String);

fn judge_flag(written: &str, value: &Value, help: &Help) -> Option<ReasonAndRemedy> {
    let name = flag_name(written);
    // `compilation-config.use_x`: a member of a JSON value.
    let (base, member) = name.split_once('.').map_or((name.as_str(), None), |(base, member)| (base, Some(member)));
    let Some(flag) = help.find(base.trim_end_matches('+')) else { return Some(unknown(base, help)) };
    let whole = flag.name();
    match (flag.takes, value) {
        (Takes::Nothing, _) if member.is_some() => {
            Some((format!("`--{whole}` is a switch and has no members."), format!("Write `{whole}: true`.")))
        }
        (_, _) if member.is_some() => None,
        (Takes::Nothing, Value::Bool(true)) => None,
        (Takes::Nothing, Value::Bool(false)) if flag.has_opposite() && !base.starts_with("no-") => None,
        (Takes::Nothing, Value::Bool(false)) => {
            Some((format!("vLLM has no flag `--no-{base}`, which `false` stands for."), "Remove it.".into()))
        }
        (Takes::Nothing, _) => {
            let words = if flag.has_opposite() { "`true` or `false`" } else { "`true`" };
            Some((format!("`--{whole}` takes no value."), format!("Write {words}.")))
        }
        (Takes::Maybe | Takes::Any, Value::Bool(true)) => None,
        (_, Value::Bool(_)) => Some((format!("`--{whole}` needs a value."), choices(flag))),
        (Takes::One | Takes::Maybe, Value::Array(values)) if values.len() > 1 => {
            Some((format!("`--{whole}` takes one value, and {} are given.", values.len()), "Give one.".into()))
        }
        (_, Value::Array(values)) => values.iter().find_map(|value| no_choice(value, flag)),
        (_, value) => no_choice(value, flag),
    }
}

fn no_choice(value: &Value, flag: &Flag) -> Option<ReasonAndRemedy> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if flag.choices.is_empty() || flag.choices.contains(&text) {
        return None;
    }
    let guess = similar(&text, flag.choices.iter().map(String::as_str), 1);
    let guess = guess.first().map(|guess| format!("Did you mean `{guess}`? ")).unwrap_or_default();
    Some((format!("`--{}` cannot be `{}`.", flag.name(), shorten(&text)), format!("{guess}{}", choices(flag))))
}

/// What to write, as far as it is short enough to read.
fn choices(flag: &Flag) -> String {
    const MOST: usize = 12;
    if flag.choices.is_empty() {
        return "Give one.".into();
    }
    let more = if flag.choices.len() > MOST { ", …" } else { "" };
    let list = flag.choices.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("Write one of {list}{more}.")
}

fn unknown(base: &str, help: &Help) -> ReasonAndRemedy {
    let positive = base.strip_prefix("no-").unwrap_or(base);
    if let Some((_, instead)) = DROPPED.iter().find(|(dropped, _)| *dropped == positive) {
        return (format!("vLLM dropped the flag `--{positive}`."), (*instead).into());
    }
    if let Some(flag) = help.short(base) {
        return (format!("vLLM knows `{base}` with one dash only."), format!("Write `{}`.", flag.name()));
    }
    if help.exact(positive).is_some() {
        return (format!("vLLM has no flag `--{base}`; `--{positive}` has no opposite."), "Remove it.".into());
    }
    let names = help.flags().iter().flat_map(|flag| &flag.long).map(String::as_str);
    let near = similar(positive, names.filter(|name| !name.starts_with("no-")), NEAR);
    let near = near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let remedy = if near.is_empty() { "Remove it.".to_owned() } else { format!("Did you mean {near}?") };
    (format!("vLLM has no flag `--{base}`."), remedy)
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
        judge_flag(flag, value, &help()).map(|(reason, remedy)| format!("{reason} {remedy}")).unwrap_or_default()
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
            ("max-modle-len", json!(1), "vLLM has no flag `--max-modle-len`. Did you mean `max-model-len`?"),
            ("model-len", json!(1), "`max-model-len`"),
            ("zzz", json!(1), "vLLM has no flag `--zzz`. Remove it."),
            ("swap_space", json!(4), "vLLM dropped the flag `--swap-space`. Remove it"),
            ("dtype", json!("bf16"), "`--dtype` cannot be `bf16`. Write one of auto, bfloat16, "),
            ("dtype", json!(true), "needs a value. Write one of"),
            ("max-model-len", json!(true), "`--max-model-len` needs a value. Give one."),
            ("max-model-len", json!([1, 2]), "takes one value, and 2 are given. Give one."),
            ("enforce-eager", json!("yes"), "takes no value. Write `true` or `false`."),
            ("enforce-eager.x", json!(1), "has no members"),
            (
                "disable-log-stats",
                json!(false),
                "no flag `--no-disable-log-stats`, which `false` stands for. Remove it.",
            ),
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
            assert_eq!(judge(spawn_of(&config), &help()), [], "{}", profile.name);
        }
    }
}
