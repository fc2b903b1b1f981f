//! The programs that start vLLM, and what they would refuse.

use super::super::facts::{Configuration, Facts, Program};
use super::super::report::Check;
use crate::config::{Diagnostic, Severity};

/// Each program, then the flags of the configuration.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let is_given = facts.configuration != Configuration::NotGiven;
    let mut checks: Vec<Check> = facts.programs.iter().map(|program| of_program(program, is_given)).collect();
    if matches!(facts.configuration, Configuration::Valid { .. }) {
        checks.extend(flags(&facts.programs));
    } else {
        // The age of vLLM matters without a configuration, too; its place in one does not.
        let warnings = facts.programs.iter().flat_map(|program| &program.found);
        let warnings = warnings.filter(|one| one.severity == Severity::Warning);
        checks.extend(warnings.map(|one| Check::warning("vllm", &one.reason, &one.remedy)));
    }
    if facts.programs.is_empty() && is_given {
        checks.push(Check::ok("vllm", "Nothing of this configuration starts vLLM."));
    }
    checks
}

fn of_program(program: &Program, is_given: bool) -> Check {
    let Program { name, file, version, silent, .. } = program;
    if program.is_elsewhere {
        let found = format!("`{name}` runs it somewhere else: it is not checked here.");
        return Check::ok("vllm", found);
    }
    let Some(file) = file else {
        let found = match name.contains('/') {
            true => format!("There is no program `{name}` that this user can run."),
            false => format!("`{name}` is not on PATH."),
        };
        let remedy = "Install it (`pip install vllm` in a virtual environment), or name it in each model: `command: [/opt/vllm/bin/vllm, serve]`.";
        return Check::bad(is_given, "vllm", found, remedy);
    };
    let version = version.as_ref().map_or_else(|| "of unknown version".to_owned(), Clone::clone);
    match silent {
        Some((why, remedy)) => Check::problem(
            "vllm",
            format!("{} (vLLM {version}) does not tell its flags: {why}.", file.display()),
            remedy,
        ),
        None => Check::ok("vllm", format!("{}: vLLM {version}.", file.display())),
    }
}

/// What the installed vLLM does not take.
fn flags(programs: &[Program]) -> Vec<Check> {
    let told: Vec<&Diagnostic> =
        programs.iter().flat_map(|program| &program.found).filter(|one| one.severity != Severity::Note).collect();
    if told.is_empty() && programs.iter().any(|program| program.silent.is_none()) {
        return vec![Check::ok("flags", "vLLM knows all flags that the models have.")];
    }
    let check = |one: &&Diagnostic| {
        Check::bad(one.severity == Severity::Error, "flags", format!("{}: {}", one.place(), one.reason), &one.remedy)
    };
    told.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Status;
    use super::super::super::testing::{diagnostic, healthy};
    use super::*;

    fn of(program: Program, configuration: Configuration) -> Vec<(&'static str, Status)> {
        let facts = Facts { programs: vec![program], configuration, ..healthy() };
        checks(&facts).iter().map(|check| (check.name, check.status)).collect()
    }

    fn program() -> Program {
        healthy().programs.remove(0)
    }

    #[test]
    fn what_cannot_start_is_a_problem_once_it_is_needed() {
        let valid = || healthy().configuration;
        let missing = || Program { file: None, silent: Some(("not installed".into(), String::new())), ..program() };
        assert_eq!(of(missing(), valid()), [("vllm", Status::Problem)]);
        assert_eq!(of(missing(), Configuration::NotGiven), [("vllm", Status::Warning)]);
        let broken = Program { silent: Some(("no torch".into(), "See.".into())), ..program() };
        assert_eq!(of(broken, valid()), [("vllm", Status::Problem)]);
        let docker = Program { is_elsewhere: true, silent: Some((String::new(), String::new())), ..program() };
        assert_eq!(of(docker, valid()), [("vllm", Status::Ok)]);
    }

    #[test]
    fn flags_that_vllm_does_not_know_are_problems_at_their_place() {
        let found = vec![
            diagnostic(Severity::Error, "vLLM has no flag `--x`.", "Remove it."),
            diagnostic(Severity::Warning, "vLLM 0.20 is old.", "Install another."),
            diagnostic(Severity::Note, "Whatever.", ""),
        ];
        let program = Program { found, ..program() };
        let all = of(program.clone(), healthy().configuration);
        assert_eq!(all, [("vllm", Status::Ok), ("flags", Status::Problem), ("flags", Status::Warning)]);
        assert_eq!(of(program, Configuration::NotGiven), [("vllm", Status::Ok), ("vllm", Status::Warning)]);
        let none = Facts { programs: vec![], ..healthy() };
        assert_eq!(checks(&none).len(), 1);
    }
}
