//! From settings as they are configured to rules that are applied to bodies.

use crate::config::Settings;
use crate::openai::Rules;

/// The rules of `settings`, first to last.
#[must_use]
pub fn rules(settings: &[Settings]) -> Rules {
    let settings = settings.last().cloned().unwrap_or_default();
    let remove: Vec<String> = settings.remove.iter().map(|path| path.join(".")).collect();
    Rules::compile(&remove, &settings.defaults, &settings.limits, &settings.overrides)
}
