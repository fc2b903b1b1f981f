//! Keys and pictures of the home screen and of what it leads to.

use super::*;
use crate::tui::frame::Message;
use crate::tui::home::settings::Settings;
use crate::tui::testing::{Fake, Stage, compare};

fn stage(screen: Box<dyn Screen>) -> Stage {
    let mut stage = Stage::new(screen);
    stage.open();
    stage
}

fn fake() -> Arc<Fake> {
    Arc::new(Fake::example())
}

#[test]
fn every_entry_opens_its_screen_by_its_letter_and_by_enter() {
    let mut stage = stage(Box::new(Menu::new(fake())));
    for (letter, opened) in [
        ("s", "Push(saved configurations)"),
        ("n", "Push(new)"),
        ("a", "Push(running gateways)"),
        ("e", "Push(settings)"),
    ] {
        assert_eq!(stage.press(letter), format!("[{opened}]"));
    }
    assert_eq!(stage.press("⏎"), "[Push(saved configurations)]");
    assert_eq!(stage.press("↓↓⏎"), "[Push(running gateways)]");
    assert_eq!(stage.press("x"), "[]");
    assert_eq!(stage.press("↓↓↓⏎"), "[End(None)]");
}

#[test]
fn the_screens_look_as_in_the_pictures() {
    let screens: [(&str, Box<dyn Screen>); 4] = [
        ("home", Box::new(Menu::new(fake()))),
        ("saved", Box::new(SavedScreen::new(fake()))),
        ("running", Box::new(Attach::new(fake()))),
        ("settings", Box::new(Settings::new(fake()))),
    ];
    for (name, screen) in screens {
        compare(&*stage(screen).screen, "home", name);
    }
    let empty = || Arc::new(Fake::default());
    compare(&*stage(Box::new(SavedScreen::new(empty()))).screen, "home", "saved-none");
    compare(&*stage(Box::new(Attach::new(empty()))).screen, "home", "running-none");
}

#[test]
fn a_valid_configuration_is_started_and_one_that_is_not_tells_what_is_wrong() {
    let mut stage = stage(Box::new(SavedScreen::new(fake())));
    assert_eq!(stage.press("⏎"), "[Push(start chat)]");
    assert!(stage.press("↓⏎").contains("It is not valid"));
    assert!(stage.picture((80, 24)).contains("unknown key"));
}

#[test]
fn attaching_opens_a_monitor_that_asks_nothing_at_its_end() {
    let mut stage = stage(Box::new(Attach::new(fake())));
    assert_eq!(stage.press("⏎"), "[Work(attach)]");
    assert_eq!(stage.works(), "[Push(overview)]");
    let mut none = Stage::new(Box::new(Attach::new(Arc::new(Fake::default()))));
    none.open();
    assert_eq!(none.press("⏎"), "[]");
    let told = none.screen.update(&Input::Message(Message::new(Heard(vec![Running::default()]))), Instant::now());
    assert!(told.is_empty());
    assert_eq!(none.press("⏎"), "[Work(attach)]");
}

#[test]
fn what_is_kept_is_deleted_only_after_an_answer() {
    let fake = fake();
    let mut stage = stage(Box::new(Settings::new(fake.clone())));
    assert_eq!(stage.press("d"), "[]");
    assert!(stage.picture((80, 24)).contains("Delete the configuration chat?"));
    assert_eq!(stage.press("⏎"), "[]", "Enter alone does nothing");
    assert_eq!(stage.press("dy"), "[Work(delete)]");
    assert!(stage.works().contains("chat was deleted."));
    assert_eq!(*fake.deleted.lock().expect("no panic"), ["chat"]);
    assert_eq!(stage.press("e"), "[Lend(edit)]");
    assert_eq!(stage.press("⏎"), "[Work(text)]");
    assert_eq!(stage.works(), "[Push(edit chat)]");
    assert!(stage.press("↓↓⏎").contains("edits it in your editor"));
}
