//! `enginehouse profiles [NAME]`: the built-in profiles, as a part of a configuration.

use std::io::{self, Write};
use std::process::ExitCode;

use super::output::fail;
use crate::config::{Profile, builtin_profiles, profiles_yaml};

/// Prints the built-in profiles, or the one of that name, to standard output.
#[must_use]
pub(super) fn run(name: Option<&str>) -> ExitCode {
    let profiles = match chosen(builtin_profiles(), name) {
        Ok(profiles) => profiles,
        Err(reason) => return fail(&reason),
    };
    // A reader that went away (`| head`) is no failure.
    let _ = io::stdout().lock().write_all(profiles_yaml(&profiles).as_bytes());
    ExitCode::SUCCESS
}

fn chosen(all: Vec<Profile>, name: Option<&str>) -> Result<Vec<Profile>, String> {
    let names = all.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", ");
    let chosen: Vec<Profile> =
        all.iter().filter(|profile| name.is_none_or(|name| profile.name == name)).cloned().collect();
    match name {
        Some(name) if chosen.is_empty() => {
            Err(format!("There is no built-in profile `{name}`. Built in are {names}; others are in configurations."))
        }
        _ => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_one_or_a_reason() {
        let text = |name| chosen(builtin_profiles(), name).map(|profiles| profiles_yaml(&profiles));
        assert!(text(None).is_ok_and(|text| text.contains("  standard:\n") && text.contains("  gpt_oss_hopper:\n")));
        let one = text(Some("moe_optimized")).expect("a profile");
        let expected = "profiles:\n  moe_optimized:\n    description: \"Mixture-of-experts models on several GPUs: whole \
                        experts on each instead of slices of all\"\n    args:\n      enable-expert-parallel: true\n";
        assert_eq!(one, expected);
        assert!(text(Some("fast")).is_err_and(|reason| reason.contains("standard, moe_optimized")));
    }
}
