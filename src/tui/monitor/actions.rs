//! What can be done with engines and models: the keys, the questions, and the list of all.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::figures::counted;
use super::known::Known;
use super::wish::{Place, Wish};
use crate::api::{EngineView, OperationView, Target, Verb};
use crate::tui::frame::KeyHelp;
use crate::tui::widgets::{Choice, Dialog, clean};

/// How deep an engine is put to sleep, unless its operator uses the API: its weights stay in host memory.
const SLEEP_LEVEL: u8 = 1;

/// The keys, for the help.
pub(super) const KEYS: [KeyHelp; 10] = [
    KeyHelp::new("a", "actions"),
    KeyHelp::new("l", "log"),
    KeyHelp::new("t", "start"),
    KeyHelp::new("x", "stop"),
    KeyHelp::new("r", "restart"),
    KeyHelp::new("z", "sleep"),
    KeyHelp::new("w", "wake"),
    KeyHelp::new("d", "drain: no new requests; or undrain"),
    KeyHelp::new("s", "scale: how many engines the model has"),
    KeyHelp::new("u", "roll: replace the engines of the model one by one"),
];

/// What a key does with `target`.
pub(super) fn wish(key: KeyEvent, target: &Target, known: &Known) -> Option<Wish> {
    if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
        return None;
    }
    let KeyCode::Char(letter) = key.code else { return None };
    wish_of(letter, target, known)
}

/// The same for a key of the list of all.
pub(super) fn wish_of(letter: char, target: &Target, known: &Known) -> Option<Wish> {
    let verb = match letter {
        'a' => return Some(Wish::Menu(target.clone())),
        'l' => return Some(Wish::Open(Place::Logs(first_engine(target, known)))),
        's' => return model_of(target, known).map(Wish::AskScale),
        't' => Verb::Start,
        'x' => Verb::Stop,
        'r' => Verb::Restart,
        'z' => Verb::Sleep(SLEEP_LEVEL),
        'w' => Verb::Wake,
        'd' if engines(target, known).iter().any(|engine| engine.drained) => Verb::Undrain,
        'd' => Verb::Drain,
        'u' => return model_of(target, known).map(|model| Wish::Ask(Verb::Roll, Target::Model(model))),
        _ => return None,
    };
    Some(Wish::Ask(verb, target.clone()))
}

fn name(target: &Target) -> &str {
    match target {
        Target::Model(name) | Target::Engine(name) => name,
    }
}

fn engines<'k>(target: &Target, known: &'k Known) -> Vec<&'k EngineView> {
    match target {
        Target::Model(model) => known.engines().filter(|engine| engine.model == *model).collect(),
        Target::Engine(id) => known.engine(id).into_iter().map(|(engine, _)| engine).collect(),
    }
}

fn first_engine(target: &Target, known: &Known) -> Option<String> {
    engines(target, known).first().map(|engine| engine.engine.clone())
}

fn model_of(target: &Target, known: &Known) -> Option<String> {
    match target {
        Target::Model(model) => Some(model.clone()),
        Target::Engine(id) => known.engine(id).map(|(engine, _)| engine.model.clone()),
    }
}

/// The list of all that can be done.
pub(super) fn menu(target: &Target, known: &Known) -> Dialog {
    let engines = engines(target, known);
    // A model that is not loaded has no engines.
    let model = model_of(target, known);
    let ours = known.models.iter().any(|it| it.ours && Some(&it.model) == model.as_ref());
    let drain = if engines.iter().any(|engine| engine.drained) {
        "undrain: requests come again"
    } else {
        "drain: no new requests"
    };
    let mut choices = Vec::new();
    if ours {
        choices.extend([
            Choice::new('t', "start"),
            Choice::new('x', "stop"),
            Choice::new('r', "restart"),
            Choice::new('z', "sleep: give its GPU memory back"),
            Choice::new('w', "wake"),
        ]);
    }
    choices.push(Choice::new('d', drain));
    if ours {
        choices.extend([
            Choice::new('u', "roll: replace the engines of the model one by one"),
            Choice::new('s', "scale: how many engines the model has"),
            Choice::new('l', "show its log"),
        ]);
    }
    choices.push(Choice::new('c', "close this list"));
    Dialog::new(&clean(name(target)), Vec::new(), choices)
}

/// The question whether to do something, and what it means.
pub(super) fn question(verb: Verb, target: &Target, known: &Known) -> Dialog {
    let engines = engines(target, known);
    let in_flight: usize = engines.iter().map(|engine| engine.in_flight).sum();
    let whom = match target {
        Target::Model(model) => {
            let count = counted(engines.len(), "engine");
            format!("{} ({count})", clean(model))
        }
        Target::Engine(id) => clean(id),
    };
    let mut text = Vec::new();
    let (does, label, harmless) = match verb {
        Verb::Start => ("Start", "start", true),
        Verb::Wake => ("Wake", "wake", true),
        Verb::Undrain => ("Undrain", "undrain", true),
        Verb::Stop => {
            text.push("No new requests are sent to it. It ends when those under way have ended, and frees its GPUs. It stays stopped until somebody starts it.".to_owned());
            ("Stop", "stop", false)
        }
        Verb::Restart => {
            text.push(
                "It ends when the requests under way have ended, and is started anew. That may take minutes."
                    .to_owned(),
            );
            ("Restart", "restart", false)
        }
        Verb::Drain => {
            text.push("No new requests are sent to it. It goes on running.".to_owned());
            ("Drain", "drain", false)
        }
        Verb::Sleep(_) => {
            text.push(
                "It gives its GPU memory back and keeps its weights in host memory, until it is woken.".to_owned(),
            );
            ("Put to sleep:", "sleep", false)
        }
        Verb::Roll => {
            text.push("Its engines are replaced by new ones, one after the other.".to_owned());
            ("Roll", "roll", false)
        }
    };
    if in_flight > 0 && !harmless {
        text.push(format!(
            "{} under way.",
            if in_flight == 1 { "1 request is".to_owned() } else { format!("{in_flight} requests are") }
        ));
    }
    if matches!(verb, Verb::Stop | Verb::Restart | Verb::Drain | Verb::Sleep(_)) {
        text.extend(alone(target, &engines, known));
    }
    let dialog = Dialog::confirm(&format!("{does} {whom}?"), text, label, "cancel");
    if harmless { dialog.select('y') } else { dialog }
}

/// That nobody else serves the model.
fn alone(target: &Target, engines: &[&EngineView], known: &Known) -> Option<String> {
    let model = model_of(target, known)?;
    let others = known.engines().filter(|engine| engine.model == model && engine.state.word() == "ready");
    let left = others.filter(|engine| !engines.iter().any(|one| one.engine == engine.engine)).count();
    (left == 0).then(|| format!("No other engine serves {}: its requests fail meanwhile.", clean(&model)))
}

/// The question whether to cancel an operation.
pub(super) fn cancel(operation: &OperationView) -> Dialog {
    let text = vec![clean(&operation.detail), "What has been done stays done.".to_owned()];
    Dialog::confirm("Cancel this operation?", text, "cancel it", "let it go on")
}
