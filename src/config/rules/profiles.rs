//! Profiles: those that are named exist, and their values are valid.

use super::engines::share;
use super::entries::models;
use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::profiles::builtin_profiles;
use crate::config::raw::Raw;
use crate::config::suggest;

pub(super) fn profiles_exist(raw: &Raw, out: &mut Vec<Draft>) {
    let builtin = builtin_profiles();
    let mut known: Vec<&str> = raw.profiles.iter().map(|(name, _)| name).collect();
    known.extend(builtin.iter().map(|profile| profile.name.as_str()));
    for (path, _, model) in models(raw) {
        let Some(name) = model.profile.as_deref().filter(|name| !known.contains(name)) else { continue };
        let (remedy, _) = suggest::remedy(name, &known, "Profiles here");
        out.push(Draft::new(path.key("profile"), format!("There is no profile `{name}`."), remedy));
    }
}

pub(super) fn profiles_are_sound(raw: &Raw, out: &mut Vec<Draft>) {
    for (name, profile) in raw.profiles.iter() {
        let path = Path::of(&["profiles", name]);
        if name.trim().is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            let reason = "This cannot be the name of a profile.";
            out.push(Draft::new(path.clone(), reason, "Use a short visible name, such as long_context.").hidden());
        }
        out.extend(profile.gpu_memory.and_then(share).map(|draft| draft.at(path.key("gpu_memory"))));
    }
}
