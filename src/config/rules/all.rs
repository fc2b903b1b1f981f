//! The list of all rules.

use super::{
    aliases, callers, capture, command, engines, flags, gym, load, names, network, numbers, ports, profiles, settings,
    variants, wildcards,
};
use crate::config::diagnostic::Draft;
use crate::config::raw::Raw;

/// Looks at everything, changes nothing, and reports whatever breaks it.
type Rule = fn(&Raw, &mut Vec<Draft>);

/// All rules. The order does not matter: diagnostics are shown in file order.
const RULES: &[Rule] = &[
    names::something_is_served,
    names::names_are_fit,
    names::names_are_used_once,
    network::addresses_parse,
    network::engines_have_ports,
    network::listen_and_admin_differ,
    network::admin_off_loopback_has_a_token,
    network::keys_fit_a_header,
    network::urls_are_engines,
    network::origins_are_origins,
    network::hosts_are_hosts,
    names::required_models_exist,
    network::health_paths_start_with_a_slash,
    callers::callers_have_names,
    callers::callers_have_keys,
    callers::a_key_is_one_callers,
    callers::anonymous_needs_callers,
    callers::placeholders_can_be_sent,
    engines::source_or_urls,
    engines::texts_are_not_empty,
    engines::gpus_split_evenly,
    engines::gpu_shares_add_up,
    load::idle_is_for_models_on_demand,
    load::idle_times_make_sense,
    engines::variables_are_legal,
    ports::ports_of_models_are_free,
    command::placeholders_are_known,
    command::templates_say_everything,
    profiles::profiles_exist,
    profiles::profiles_are_sound,
    flags::flags_are_legal,
    flags::flags_with_a_key_are_not_args,
    flags::secrets_are_no_flags,
    flags::parallel_ranks_have_gpus,
    aliases::aliases_point_somewhere,
    aliases::targets_exist,
    aliases::fallbacks_are_listed_once,
    aliases::chains_end,
    aliases::addresses_are_not_shared,
    variants::patterns_have_variants,
    wildcards::stars_are_last,
    wildcards::wildcards_are_no_targets,
    wildcards::wildcards_have_no_address,
    capture::captures_are_bounded,
    capture::captures_fit_together,
    capture::masks_name_members,
    gym::headers_can_be_sent,
    gym::folders_are_absolute,
    settings::the_model_is_not_a_setting,
    settings::streaming_stays_a_truth_value,
    settings::members_have_names,
    settings::members_fit_into_each_other,
    settings::limits_are_numbers,
    settings::headers_can_be_sent,
    settings::prompts_say_something,
    settings::conditions_ask_something,
    numbers::sizes_are_sane,
    numbers::log_levels_exist,
];

/// Everything that breaks a rule.
pub(in crate::config) fn check(raw: &Raw) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for rule in RULES {
        rule(raw, &mut drafts);
    }
    drafts
}
