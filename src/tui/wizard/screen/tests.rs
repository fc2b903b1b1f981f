//! From page to page by keys, and pictures of all pages.

use super::*;
use crate::tui::testing::{Fake, Stage, compare, example};

fn stage(fake: &Arc<Fake>) -> Stage {
    let mut stage = Stage::new(Box::new(Wizard::new(fake.clone(), false)));
    stage.open();
    stage
}

#[test]
fn enter_alone_leads_from_nothing_to_a_gateway_with_two_models() {
    let fake = example();
    let mut stage = stage(&fake);
    // The gateway; the first shortcut, its page, its GPU.
    stage.press("⏎⏎⏎⏎");
    assert!(stage.screen.would_lose().is_some());
    // A second model: typed, its page. Half of the first GPU is left for it: the first two models share it.
    stage.press("a↓⏎org/Small⏎⏎");
    assert!(stage.picture((80, 24)).contains("org/Small · its GPUs"), "{}", stage.picture((80, 24)));
    stage.press("=⏎");
    assert_eq!(stage.press("⏎"), "[Work(check)]");
    assert!(stage.press("⏎").contains("It is still being checked."));
    stage.works();
    assert_eq!(stage.press("mine⏎"), "[Work(save)]");
    assert_eq!(stage.works(), "[Push(start mine)]");
    assert_eq!(stage.screen.would_lose(), None);
    // It did not start: the same wizard may save it again under its name.
    stage.press("⏎");
    stage.works();
    let again = fake.written.lock().expect("no panic").pop().expect("saved twice");
    assert_eq!((again.0.as_str(), again.2), ("mine", true));
    let written = fake.written.lock().expect("no panic").clone();
    let [(name, text, false)] = &written[..] else { panic!("{written:?}") };
    assert_eq!(name, "mine");
    for line in [
        "  coder:\n    # For code\n    source: org/coder",
        "start_timeout: 20m # it is large",
        "gpus: [0] # these",
        "gpu_memory: 0.47",
        "profile: fast",
        "  small:\n    source: org/Small",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(crate::config::parse(&text.replace("    profile: fast\n", ""), &|_| None).is_ok(), "{text}");
}

#[test]
fn every_page_looks_as_in_the_pictures() {
    let fake = example();
    let mut stage = stage(&fake);
    let see = |stage: &mut Stage, keys: &str, name: &str| {
        stage.press(keys);
        stage.works();
        compare(&*stage.screen, "wizard", name);
    };
    see(&mut stage, "", "gateway");
    see(&mut stage, "⏎", "source");
    see(&mut stage, "i", "typed");
    see(&mut stage, "⎋↓↓⏎", "model");
    see(&mut stage, "⏎", "gpus");
    see(&mut stage, "a", "gpus-automatic");
    see(&mut stage, "a⏎", "models");
    see(&mut stage, "a⏎⏎↓ ", "gpus-taken");
    see(&mut stage, "↑ ", "gpus-refused");
    see(&mut stage, "T", "gpus-turns");
    see(&mut stage, "⏎", "models-turns");
    see(&mut stage, "⏎", "review-turns");
    // Back to shares: each keeps its GPU.
    stage.press("⎋↑↑⏎⏎t⎋⎋↑↑↑⏎⏎t");
    see(&mut stage, "=⏎⏎", "review");
    let mut bad = Fake::example();
    bad.wrong = Some("models.m.gpus, line 9: GPU 7 is not there.\n    -> Choose another one.".to_owned());
    let mut wrong = Stage::new(Box::new(Wizard::new(Arc::new(bad), false)));
    wrong.open();
    see(&mut wrong, "⏎⏎⏎⏎⏎", "review-wrong");
    assert!(wrong.press("⏎").contains("It is not valid"));
}

#[test]
fn esc_goes_back_page_by_page_and_nothing_is_given_up_by_accident() {
    let fake = example();
    let mut stage = stage(&fake);
    assert_eq!(stage.press("⎋"), "[Pop]", "nothing was answered");
    stage.press("⏎⏎⏎");
    for (key, what) in
        [("⎋", "names, engines and profile"), ("⎋", "where does it come from"), ("⎋", "where clients and operators")]
    {
        stage.press(key);
        assert!(stage.picture((80, 24)).contains(what), "{what}");
    }
    stage.press("⏎⏎⏎⏎⎋");
    compare(&*stage.screen, "wizard", "give-up");
    assert_eq!(stage.press("⏎"), "[]", "Enter alone does nothing");
    assert_eq!(stage.press("⎋y"), "[Pop]");
    assert!(fake.written.lock().expect("no panic").is_empty());
}

#[test]
fn what_is_wrong_is_told_on_its_page() {
    let mut stage = stage(&example());
    assert!(stage.press("x⏎").contains("a number from 0 to 65535"));
    stage.press("⌫9⏎⏎");
    assert!(stage.press("↓↓↓0⏎").contains("A port is a number from 1"));
}

#[test]
fn without_a_driver_gpus_are_not_asked_for() {
    let fake = Arc::new(Fake { inventory: crate::gpu::Inventory::fault("no driver".into()), ..Fake::example() });
    let mut stage = stage(&fake);
    assert!(stage.press("⏎⏎⏎").contains("GPUs were not asked for"));
    assert!(stage.picture((80, 24)).contains("as visible"));
}

#[test]
fn a_saved_configuration_is_changed_and_keeps_its_comments_and_its_name() {
    let fake = example();
    let text = fake.text.clone();
    let mut stage = Stage::new(Box::new(Wizard::edit(fake.clone(), "chat", &text).expect("understood")));
    stage.open();
    stage.press("↑↑⏎other⏎⏎⏎");
    stage.works();
    assert_eq!(stage.press("x⇥⏎"), "[Work(save)]");
    stage.works();
    let written = fake.written.lock().expect("no panic").clone();
    let [(name, text, true)] = &written[..] else { panic!("{written:?}") };
    assert_eq!(name, "chat");
    assert!(text.starts_with("# Mine\nmodels:\n") && text.contains("other:") && !text.contains("  m:"), "{text}");
}

#[test]
fn models_are_removed_and_a_wizard_alone_ends_with_a_text() {
    let fake = example();
    let mut stage = Stage::new(Box::new(Wizard::new(fake.clone(), true)));
    stage.open();
    stage.press("⏎⏎⏎⏎");
    stage.press("↑↑d");
    assert!(stage.picture((80, 24)).contains("Remove coder?"));
    stage.press("⏎d");
    assert!(stage.picture((80, 24)).contains("Remove coder?"), "Enter alone removes nothing");
    stage.press("y");
    assert!(stage.press("⏎").contains("There is no model yet"));
    stage.press("a⏎⏎⏎⏎");
    stage.works();
    stage.press("⇥⏎");
    assert!(stage.works().contains("Saved. Start it: enginehouse serve coder"));
}

#[test]
fn esc_keeps_what_was_answered() {
    let mut stage = stage(&example());
    // The first model of this machine, another name for it; back to the list, where it is still selected, and there again.
    stage.press("⏎↓↓⏎mine⎋");
    assert!(stage.picture((80, 24)).contains("where does it come from"));
    stage.press("⏎");
    let shown = stage.picture((80, 24));
    assert!(shown.contains("org/base-8b") && shown.contains("mine"), "{shown}");
    // Another source begins anew.
    stage.press("⎋↑⏎org/x⏎");
    let shown = stage.picture((80, 24));
    assert!(shown.contains("org/x") && !shown.contains("mine"), "{shown}");
    stage.press("⏎⏎");
    // The pages that the list opens.
    stage.press("↑↑⏎other⎋");
    assert!(stage.picture((80, 24)).contains("Model other"), "{}", stage.picture((80, 24)));
    stage.press("↑↑↑⏎9000⎋");
    assert!(stage.picture((80, 24)).contains("Gateway 127.0.0.1:9000"));
    assert!(stage.press("↑↑↑⏎x⎋").contains("not taken: "));
    assert!(stage.picture((80, 24)).contains("Gateway 127.0.0.1:9000"));
    // The name on the review.
    stage.press("⏎");
    stage.works();
    stage.press("typed⎋⏎");
    assert!(stage.picture((80, 24)).contains("Name  typed"), "{}", stage.picture((80, 24)));
}

#[test]
fn shortcuts_that_are_not_valid_are_told() {
    let fake = Arc::new(Fake { bad_shortcuts: 3, ..Fake::example() });
    let mut stage = stage(&fake);
    stage.press("⏎");
    assert!(stage.picture((80, 24)).contains("3 shortcuts are not valid: enginehouse shortcuts list"));
}
