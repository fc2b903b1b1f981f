//! An engine to the keys of a model, or of a profile.

use serde_json::Value;

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::names::is_name;
use super::taken::Engine;

impl Engine {
    /// Writes the keys that say where the engine comes from; `path` is where it is in the other program's file, `middle` stands
    /// before the flags.
    pub(in crate::cli::import) fn write(
        mut self,
        draft: &mut Draft,
        path: &str,
        name: &str,
        out: &mut Section,
        middle: Section,
    ) {
        let gpus = self.take_gpus();
        for (of, text) in std::mem::take(&mut self.said) {
            draft.notes.say(out, &format!("{path}.{of}"), text);
        }
        if let Some(source) = self.source.take() {
            draft.put(out, path, name, "source", source.into());
        }
        if let Some(gpus) = gpus {
            out.put("gpus", gpus);
        }
        self.args.extend(std::mem::take(&mut self.cleared).into_iter().map(|flag| (flag, Value::Null)));
        if let Some(share) = self.gpu_memory.take() {
            out.put("gpu_memory", share);
        }
        out.append(middle);
        self.write_bundle(draft, path, name, out);
        if let Some(adapters) = self.lora.take() {
            lora(draft, path, adapters, out);
        }
        if self.sleep_mode == Some(true) {
            out.put("sleep_mode", true);
        }
        if let Some(key) = self.api_key.take().filter(|key| key != "") {
            draft.put(out, path, name, "api_key", key);
        }
    }

    /// Writes its other flags and its environment.
    pub(in crate::cli::import) fn write_bundle(
        &mut self,
        draft: &mut Draft,
        path: &str,
        name: &str,
        out: &mut Section,
    ) {
        for (key, members) in [("args", std::mem::take(&mut self.args)), ("env", std::mem::take(&mut self.env))] {
            let mut section = Section::default();
            for (member, value) in members {
                draft.put(&mut section, &format!("{path}.{member}"), name, &member, value);
            }
            out.nest_any(key, section);
        }
    }
}

fn lora(draft: &mut Draft, path: &str, adapters: Vec<(String, String)>, out: &mut Section) {
    let mut section = Section::default();
    for (adapter, source) in adapters {
        if !is_name(&adapter) || source.trim().is_empty() || source.contains('\0') {
            draft.notes.say(&mut section, path, "an adapter was left out, which has no name or no path.");
        } else if draft.names.take(&adapter) {
            section.put(adapter, source);
        } else {
            draft.notes.say(
                &mut section,
                path,
                format!("the adapter `{adapter}` was left out: this name is taken by something else in this file."),
            );
        }
    }
    out.nest("lora", section);
}
