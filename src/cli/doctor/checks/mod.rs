//! Judges the facts; pure.

mod gpus;
mod machine;
mod places;
mod ports;
mod vllm;

use super::facts::{Configuration, Facts};
use super::report::Check;

/// All checks, in the order in which they are shown.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(configuration(&facts.configuration));
    checks.extend(gpus::checks(facts));
    checks.extend(vllm::checks(facts));
    checks.extend(ports::checks(facts));
    checks.extend(places::checks(facts));
    checks.extend(machine::checks(facts));
    checks
}

fn configuration(found: &Configuration) -> Option<Check> {
    let name = "configuration";
    let plural = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    match found {
        Configuration::NotGiven => None,
        Configuration::Valid { title, models, aliases } => {
            let (models, aliases) = (plural(*models, "model", "models"), plural(*aliases, "alias", "aliases"));
            Some(Check::ok(name, format!("{title} is valid: {models}, {aliases}.")))
        }
        Configuration::Broken { title, errors, first } => {
            let count = plural(*errors, "error", "errors");
            Some(Check::problem(
                name,
                format!("{title} has {count}, so that it is not known what it needs. The first one: {first}"),
                "`enginehouse check` shows all errors; correct them.",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::super::testing::{healthy, only};
    use super::*;

    #[test]
    fn a_healthy_machine_has_no_warning() {
        let found = checks(&healthy());
        assert!(found.iter().all(|check| check.status == Status::Ok && check.remedy.is_none()), "{found:#?}");
        let names: Vec<&str> = found.iter().map(|check| check.name).collect();
        let want = [
            "configuration",
            "driver",
            "gpus",
            "vllm",
            "flags",
            "ports",
            "ports",
            "engine_ports",
            "state_dir",
            "state_disk",
            "left_over_engines",
            "hub_cache",
            "hub_token",
            "open_files",
            "shared_memory",
            "memory",
            "processors",
            "locked_memory",
            "threads",
        ];
        assert_eq!(names, want);
    }

    #[test]
    fn a_configuration_with_errors_is_a_problem() {
        let broken = Configuration::Broken { title: "/g.yaml".into(), errors: 2, first: "listne: unknown".into() };
        let facts = Facts { configuration: broken, ..healthy() };
        let check = only(&checks(&facts), "configuration");
        assert_eq!(check.status, Status::Problem);
        assert!(
            check.found.contains("2 errors") && check.found.ends_with("The first one: listne: unknown"),
            "{check:?}"
        );
        assert!(configuration(&Configuration::NotGiven).is_none());
    }
}
