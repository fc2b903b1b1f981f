//! Models that come from shortcuts: all that a shortcut says stays, comments and variables included, with the answers in it. Pure.

use serde_json::{Map, Value};

use super::differences::{asked_for, bare, change, differences, loses_idle};
use crate::config::{Answers, ModelAnswers, as_written, changed, draft, entry_text, entry_yaml};

/// The text of a new configuration.
///
/// # Errors
/// Why that cannot be made from one of its shortcuts.
pub(super) fn drafted(answers: &Answers) -> Result<String, String> {
    let mut all = answers.clone();
    for model in &mut all.models {
        model.entry = entry(model)?;
    }
    Ok(draft(&all))
}

/// The text of a model's shortcut with what was answered since; `None`: it comes from none.
///
/// # Errors
/// Why the shortcut cannot be changed.
pub(super) fn entry(model: &ModelAnswers) -> Result<Option<String>, String> {
    let Some(text) = &model.entry else { return Ok(None) };
    let by_hand = || {
        let name = &model.name;
        format!(
            "The shortcut that `{name}` comes from cannot be changed step by step: take its model by its id instead."
        )
    };
    let root = as_written(text).ok_or_else(by_hand)?;
    let was = ModelAnswers::read(&model.name, &root).map_err(|_| by_hand())?;
    let (Some(old), Some(new)) = (said(&was), said(model)) else { return Err(by_hand()) };
    let mut changes = Vec::new();
    differences((&old, &new), Some(&root), &mut Vec::new(), &mut changes);
    if loses_idle(&was, model, Some(&root)) {
        changes.push(change(&["idle"], None));
    }
    // One that is in braces, or begins a document of its own, is written anew, one key a line.
    let plain = entry_yaml(&Value::Object(root.clone()));
    let all = [Some(text.as_str()), plain.as_deref()];
    let new = all.into_iter().flatten().find_map(|text| changed(text, &changes).ok().filter(|text| stands(text)));
    new.map(Some).ok_or_else(by_hand)
}

/// What is asked for of a model, as its entry says it.
fn said(model: &ModelAnswers) -> Option<Map<String, Value>> {
    let model = ModelAnswers { aliases: Vec::new(), ..model.clone() };
    let text = draft(&asked_for(&Answers { models: vec![model], ..Answers::usual() }));
    let root = bare(as_written(&text)?);
    root.get("models")?.as_object()?.values().next()?.as_object().cloned()
}

/// Whether a text says the same as an entry of a configuration.
fn stands(text: &str) -> bool {
    let whole = as_written(&entry_text("models", "m", text));
    let inner = whole.as_ref().and_then(|root| root.get("models")?.get("m")?.as_object());
    inner.is_some() && inner == as_written(text).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Gpus;

    fn from(text: &str) -> ModelAnswers {
        let model = ModelAnswers::read("m", &as_written(text).expect("a mapping")).expect("understood");
        ModelAnswers { entry: Some(text.to_owned()), ..model }
    }

    #[test]
    fn all_that_a_shortcut_says_is_written_and_the_answers_in_it() {
        let text = "# Mine\nsource: org/m # weights\nreplicas: 2\ngpus: 1\nargs:\n  seed: ${SEED}\nenv: { HF_TOKEN: \"${HF_TOKEN}\" }\n\
                    start_order: 2\nsleep_mode: true\nserved_name: other\noverrides: { temperature: 0 }\n";
        let mut model = from(text);
        assert_eq!(entry(&model).as_ref(), Ok(&Some(text.to_owned())), "nothing was answered otherwise");
        (model.gpus, model.replicas, model.port) = (Gpus::Listed(vec!["0".into(), "1".into()]), 2, Some(9001));
        let whole = drafted(&Answers { models: vec![model.clone()], ..Answers::usual() }).expect("made");
        for kept in [
            "    # Mine\n    source: org/m # weights\n    replicas: 2\n",
            "seed: ${SEED}",
            "\"${HF_TOKEN}\"",
            "overrides: {",
        ] {
            assert!(whole.contains(kept), "{kept} in {whole}");
        }
        let root = as_written(&whole).expect("a mapping");
        let said = &root["models"]["m"];
        assert_eq!((&said["gpus"], &said["port"]), (&serde_json::json!([0, 1]), &9001.into()));
        assert_eq!((&said["start_order"], &said["served_name"]), (&2.into(), &"other".into()));
        model.replicas = 1;
        assert!(!entry(&model).expect("made").expect("there").contains("replicas"));
    }

    #[test]
    fn when_it_is_loaded_is_kept_or_changed_in_it() {
        let text = "source: org/m\nload: on_demand # rarely used\nidle: { stop_after: 2h } # at night\n";
        let mut model = from(text);
        assert!(model.on_demand);
        model.port = Some(9001);
        let said = entry(&model).expect("made").expect("there");
        assert!(said.starts_with(text) && said.contains("port: 9001"), "{said}");
        (model.on_demand, model.port) = (false, None);
        assert_eq!(entry(&model), Ok(Some("source: org/m\n".to_owned())), "`idle` is not valid without it");
        let eager = ModelAnswers { on_demand: true, ..from("source: org/m\nload: eager # always\n") };
        let said = entry(&eager).expect("made").expect("there");
        assert_eq!(as_written(&said).map(|root| root["load"].clone()), Some("on_demand".into()), "{said}");
    }

    #[test]
    fn one_in_braces_is_written_anew() {
        let mut model = from("{ source: org/m, sleep_mode: true, env: { A: \"${B}\" } }\n");
        model.port = Some(9001);
        let text = entry(&model).expect("made").expect("there");
        let expected =
            serde_json::json!({ "source": "org/m", "sleep_mode": true, "env": { "A": "${B}" }, "port": 9001 });
        assert_eq!(as_written(&text).map(Value::Object), Some(expected), "{text}");
        assert_eq!(entry(&ModelAnswers::default()), Ok(None));
    }
}
