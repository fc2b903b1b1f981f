//! The words of `command:`: placeholders exist, and a command that has placeholders has all it needs.

use super::entries::models;
use crate::config::command::{PLACEHOLDERS, is_template, names};
use crate::config::diagnostic::Draft;
use crate::config::profiles::merged;
use crate::config::raw::Raw;
use crate::config::suggest;

pub(super) fn placeholders_are_known(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, model) in models(raw) {
        let template = model.command.as_deref().is_some_and(is_template);
        for (at, word) in model.command.iter().flatten().enumerate().skip(1) {
            // `names` skips the program.
            let alone = ["".to_owned(), word.clone()];
            for name in names(&alone).filter(|name| !PLACEHOLDERS.contains(name)) {
                // Other programs have braces of their own: only what looks like a mistake is one.
                if template || suggest::nearest(name, PLACEHOLDERS).is_some() {
                    let braced: Vec<String> = PLACEHOLDERS.iter().map(|known| format!("{{{known}}}")).collect();
                    let known: Vec<&str> = braced.iter().map(String::as_str).collect();
                    let (remedy, _) = suggest::remedy(&format!("{{{name}}}"), &known, "Placeholders");
                    let reason = format!("There is no placeholder `{{{name}}}`.");
                    out.push(Draft::new(path.key("command").index(at), reason, remedy));
                }
            }
        }
    }
}

/// Nothing is appended to such a command but `args`.
pub(super) fn templates_say_everything(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, model) in models(raw) {
        let Some(command) = model.command.as_deref().filter(|command| is_template(command)) else { continue };
        let uses = |wanted: &str| names(command).any(|name| name == wanted);
        let mut add = |key: &str, reason: &str, remedy: &str| {
            out.push(Draft::new(path.key(key), reason, remedy).given([path.key("command")]));
        };
        if !uses("port") {
            let reason = "With placeholders nothing is appended, and this does not say on which port to listen.";
            add("command", reason, "Add `{port}`: `--port`, `\"{port}\"`.");
        }
        if uses("gpus") && model.gpus.is_none() {
            add("command", "`{gpus}` has no value: the model has no `gpus`.", "Add `gpus`, or remove `{gpus}`.");
        }
        if uses("gpu_memory") && merged(&raw.profiles, model).gpu_memory.is_none() {
            let remedy = "Add `gpu_memory`, or remove `{gpu_memory}`.";
            add("command", "`{gpu_memory}` has no value: the model has no `gpu_memory`.", remedy);
        }
        let remedy = "Remove the placeholders if the program takes vLLM's flags: then the flags are appended. Otherwise remove this.";
        if model.lora.is_some() {
            add("lora", "The command has placeholders, so the program gets no flag for adapters.", remedy);
        }
        if model.sleep_mode == Some(true) {
            add("sleep_mode", "The command has placeholders, so the program gets no flag for sleep mode.", remedy);
        }
    }
}
