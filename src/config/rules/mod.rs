//! What types cannot say, as a list of named rules; each adds what it finds.

mod aliases;
mod callers;
mod command;
mod engines;
mod flags;
mod names;
mod network;
mod numbers;
mod profiles;
mod settings;
mod variants;

pub(super) use engines::gpu_text;
use serde_json::{Map, Value};

use super::finding::Finding;
use super::path::Path;
use super::raw::{Named, Raw, RawAlias, RawModel};
use super::units::AsWritten;

/// Looks at everything, changes nothing, and tells every breach.
type Rule = fn(&Raw, &mut Vec<Finding>);

/// All rules. The order does not matter: faults are shown in file order.
const RULES: &[Rule] = &[
    names::something_is_served,
    names::names_are_fit,
    names::names_are_used_once,
    network::addresses_parse,
    network::data_and_admin_differ,
    network::admin_off_loopback_has_a_token,
    network::keys_fit_a_header,
    network::urls_are_engines,
    network::health_paths_start_with_a_slash,
    callers::callers_have_names,
    callers::callers_have_keys,
    callers::a_key_is_one_callers,
    callers::strangers_are_told_from_callers,
    engines::source_or_urls,
    engines::texts_are_not_empty,
    engines::gpus_split_evenly,
    engines::gpu_shares_fit,
    engines::variables_are_legal,
    command::placeholders_are_known,
    command::templates_say_everything,
    profiles::profiles_exist,
    profiles::profiles_are_sound,
    flags::flags_are_legal,
    flags::flags_of_ours_are_left_alone,
    flags::secrets_are_no_flags,
    flags::parallel_ranks_have_gpus,
    aliases::aliases_point_somewhere,
    aliases::targets_exist,
    aliases::fallbacks_are_listed_once,
    aliases::ways_end,
    aliases::addresses_are_their_own,
    variants::patterns_have_variants,
    settings::the_model_is_not_a_setting,
    settings::streaming_stays_a_truth_value,
    settings::members_have_names,
    settings::members_fit_into_each_other,
    settings::limits_are_numbers,
    settings::headers_can_be_sent,
    settings::prompts_say_something,
    settings::conditions_ask_something,
    numbers::durations_are_sane,
    numbers::sizes_are_sane,
    numbers::log_levels_exist,
];

/// Every breach of every rule.
pub(super) fn breaches(raw: &Raw) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in RULES {
        rule(raw, &mut findings);
    }
    findings
}

/// Every model with its path.
fn models(raw: &Raw) -> impl Iterator<Item = (Path, &str, &RawModel)> {
    raw.models.iter().map(|(name, model)| (Path::of(["models", name]), name, model))
}

/// Every alias, as written, with its path.
fn aliases(raw: &Raw) -> impl Iterator<Item = (Path, &str, &RawAlias)> {
    raw.aliases.iter().map(|(name, alias)| (Path::of(["aliases", name]), name, alias))
}

/// What a model or a profile writes about its engines: flags and environment.
struct Bundle<'a> {
    /// Where.
    path: Path,
    /// The flags.
    args: Option<&'a Map<String, Value>>,
    /// The environment.
    env: Option<&'a Named<AsWritten>>,
    /// The model; `None`: a profile, for any.
    model: Option<&'a RawModel>,
}

/// Every model and every profile.
fn bundles(raw: &Raw) -> impl Iterator<Item = Bundle<'_>> {
    let profiles = raw.profiles.iter().map(|(name, profile)| Bundle {
        path: Path::of(["profiles", name]),
        args: Some(&profile.args),
        env: Some(&profile.env),
        model: None,
    });
    let models = models(raw).map(|(path, _, model)| Bundle {
        path,
        args: model.args.as_ref(),
        env: model.env.as_ref(),
        model: Some(model),
    });
    profiles.chain(models)
}

/// "a, b and c", quoted as code.
fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
