//! Profiles: those that are named exist, and hold nothing that belongs to one model only.

use super::super::finding::Finding;
use super::super::path::Path;
use super::super::profiles::builtin_profiles;
use super::super::raw::Raw;
use super::super::suggest;
use super::engines::{LARGEST_SHARE, share_guess};
use super::models;

pub(super) fn profiles_exist(raw: &Raw, out: &mut Vec<Finding>) {
    let builtin = builtin_profiles();
    let mut known: Vec<&str> = raw.profiles.iter().map(|(name, _)| name).collect();
    known.extend(builtin.iter().map(|profile| profile.name.as_str()));
    for (path, _, model) in models(raw) {
        let Some(name) = model.profile.as_deref().filter(|name| !known.contains(name)) else { continue };
        let (remedy, _) = suggest::remedy(name, &known, "Profiles here");
        out.push(Finding::new(path.key("profile"), format!("There is no profile `{name}`."), remedy));
    }
}

pub(super) fn profiles_are_sound(raw: &Raw, out: &mut Vec<Finding>) {
    for (name, profile) in raw.profiles.iter() {
        let path = Path::of(["profiles", name]);
        if name.trim().is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            let reason = "This cannot be the name of a profile.";
            out.push(Finding::new(path.clone(), reason, "Use a short visible name, such as long_context.").hidden());
        }
        if let Some(share) = profile.gpu_memory.filter(|share| !(*share > 0.0 && *share <= LARGEST_SHARE)) {
            let reason = format!("A share of GPU memory is more than 0 and at most {LARGEST_SHARE}.");
            let remedy = format!("Write a fraction, such as {}.", share_guess(share));
            out.push(Finding::new(path.key("gpu_memory"), reason, remedy));
        }
    }
}
