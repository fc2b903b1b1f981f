//! What is worth knowing about a valid configuration: nothing of it is wrong.

use super::{Config, Diagnostic, Engines, Severity};
use crate::settings::Settings;

/// The names of the longest answer, by route.
const OUTPUT_LENGTH: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// Notes about `config`.
#[must_use]
pub fn notes(config: &Config) -> Vec<Diagnostic> {
    user_profiles(config).chain(overruled(config)).chain(unlimited(config)).collect()
}

/// Profiles that are not in the configuration's own files.
fn user_profiles(config: &Config) -> impl Iterator<Item = Diagnostic> {
    config.models.iter().filter_map(|model| {
        let Engines::Spawn(spawn) = &model.engines else { return None };
        let profile = spawn.profile.as_deref()?;
        let file = config.source_map.profile_file(profile)?;
        let reason =
            format!("The profile `{profile}` of `{}` is the one in {file}; other users may have another.", model.name);
        let remedy = format!(
            "To have it in this file, put what `enginehouse profiles export {profile}` prints under `profiles`."
        );
        let settings: [&[&str]; 2] = [&["models", &model.name, "profile"], &["models", &model.name]];
        Some(config.source_map.diagnostic(Severity::Note, &settings, reason, remedy))
    })
}

/// GPUs that a model names win over the parallel sizes of its profile.
fn overruled(config: &Config) -> impl Iterator<Item = Diagnostic> {
    config.models.iter().filter_map(|model| {
        let Engines::Spawn(spawn) = &model.engines else { return None };
        let profile = spawn.profile.as_deref().filter(|_| !spawn.overruled.is_empty())?;
        let sizes = spawn.overruled.iter().map(|(flag, value)| format!("{flag} {value}")).collect::<Vec<_>>().join(", ");
        let reason = format!(
            "The profile `{profile}` says {sizes}, which does not fit the GPUs of `{}`: the GPUs count, and each engine uses all \
             that it is given.",
            model.name
        );
        let remedy = "Write parallel sizes under `args` of the model to have others.";
        let settings: [&[&str]; 2] = [&["models", &model.name, "gpus"], &["models", &model.name]];
        Some(config.source_map.diagnostic(Severity::Note, &settings, reason, remedy))
    })
}

/// A limit of the output length says nothing of a request that asks for none.
fn unlimited(config: &Config) -> Option<Diagnostic> {
    let bare = |all: &[&Settings]| {
        let limited = all.iter().any(|one| one.limits.contains_key(OUTPUT_LENGTH[0]));
        let said = |one: &&Settings| OUTPUT_LENGTH.iter().any(|name| says(one, name));
        limited && !all.iter().any(said)
    };
    let models = config.models.iter().filter(|model| bare(&[&model.settings])).map(|model| ("models", &model.name));
    let aliases = config.aliases.iter().filter(|alias| {
        let own = config.models.iter().find(|model| model.name == alias.model).map(|model| &model.settings);
        let limits_itself = alias.settings.iter().any(|one| one.limits.contains_key(OUTPUT_LENGTH[0]));
        limits_itself && bare(&own.into_iter().chain(&alias.settings).collect::<Vec<_>>())
    });
    let mut places = models.chain(aliases.map(|alias| ("aliases", &alias.name)));
    let (kind, first) = places.next()?;
    let others = places.count();
    let more = if others > 0 { format!(" (and at {others} more)") } else { String::new() };
    let reason = format!(
        "`limits.max_tokens` of `{first}`{more} bounds what clients ask for. A client that asks for nothing gets as much as fits \
         into the context."
    );
    let remedy = "Add `defaults: { max_tokens: … }` to bound these requests, too.";
    let settings: [&[&str]; 2] = [&[kind, first, "limits", OUTPUT_LENGTH[0]], &[kind, first]];
    Some(config.source_map.diagnostic(Severity::Note, &settings, reason, remedy))
}

fn says(settings: &Settings, name: &str) -> bool {
    settings.defaults.contains_key(name) || settings.overrides.contains_key(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse;

    fn told(settings: &str, alias: &str) -> Vec<String> {
        let text = format!(
            "models: {{ m: {{ urls: [\"http://127.0.0.1:9\"], {settings} }} }}\naliases: {{ a: {{ model: m, {alias} }} }}"
        );
        let config = parse(&text, &|_| None).expect("a valid configuration");
        notes(&config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_limit_without_a_default_is_noted_once_and_where_it_is() {
        let [note] = &told("", "limits: { max_tokens: 5 }")[..] else { panic!("one note") };
        assert!(note.contains("`a`") && note.contains("line 2") && note.contains("defaults: { max_tokens"), "{note}");
        let [note] = &told("limits: { max_tokens: 5 }", "limits: { max_tokens: 4 }")[..] else { panic!("one note") };
        assert!(note.contains("`m` (and at 1 more)"), "{note}");
        for (settings, alias) in [
            ("", ""),
            ("limits: { temperature: 1 }", ""),
            ("", "limits: { max_tokens: 5 }, defaults: { max_tokens: 5 }"),
            ("defaults: { max_tokens: 3 }", "limits: { max_tokens: 5 }"),
            ("", "limits: { max_tokens: 5 }, overrides: { max_completion_tokens: 5 }"),
        ] {
            assert_eq!(told(settings, alias), Vec::<String>::new(), "{settings} {alias}");
        }
    }
}
