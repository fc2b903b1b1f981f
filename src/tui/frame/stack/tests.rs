//! What all screens have in common.

use std::cell::RefCell;
use std::rc::Rc;

use ratatui::text::Line;

use super::*;

/// A screen that writes down what it hears.
#[derive(Clone, Default)]
struct Heard(Rc<RefCell<Kept>>);

#[derive(Default)]
struct Kept {
    keys: Vec<KeyCode>,
    opened: usize,
    takes_text: bool,
    deep: usize,
    lost: Option<String>,
    filter: String,
    jumped: Vec<String>,
}

impl Screen for Heard {
    fn title(&self) -> String {
        "a screen".to_owned()
    }

    fn update(&mut self, input: &Input, _now: Instant) -> Vec<Effect> {
        let mut kept = self.0.borrow_mut();
        match input {
            Input::Key(key) => kept.keys.push(key.code),
            Input::Opened => kept.opened += 1,
            _ => {}
        }
        Vec::new()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, _theme: &Theme) {
        buffer.set_string(area.x, area.y, "content", ratatui::style::Style::new());
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("Enter", "open"), KeyHelp::new("a", "does something that needs many words to tell")]
    }

    fn status(&self) -> Line<'static> {
        Line::raw("connected")
    }

    fn takes_text(&self) -> bool {
        self.0.borrow().takes_text
    }

    fn back(&mut self) -> bool {
        let mut kept = self.0.borrow_mut();
        let was_deep = kept.deep > 0;
        kept.deep = kept.deep.saturating_sub(1);
        was_deep
    }

    fn would_lose(&self) -> Option<String> {
        self.0.borrow().lost.clone()
    }

    fn places(&self) -> Vec<String> {
        vec!["logs".to_owned(), "overview".to_owned()]
    }

    fn jump(&mut self, place: &str) -> Vec<Effect> {
        self.0.borrow_mut().jumped.push(place.to_owned());
        Vec::new()
    }

    fn filter(&self) -> Option<&str> {
        // A reference out of the cell cannot be given: two filters are enough here.
        Some(if self.0.borrow().filter.is_empty() { "" } else { "set" })
    }

    fn set_filter(&mut self, text: &str) {
        self.0.borrow_mut().filter = text.to_owned();
    }
}

fn opened() -> (Stack, Heard) {
    let (mut stack, heard) = (Stack::default(), Heard::default());
    stack.push(Box::new(heard.clone()), Instant::now());
    (stack, heard)
}

fn press(stack: &mut Stack, code: KeyCode) -> String {
    press_with(stack, code, KeyModifiers::NONE)
}

fn press_with(stack: &mut Stack, code: KeyCode, modifiers: KeyModifiers) -> String {
    format!("{:?}", stack.update(&Input::Key(KeyEvent::new(code, modifiers)), Instant::now()))
}

fn shown(stack: &Stack, size: (u16, u16)) -> Vec<String> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    stack.draw(buffer.area, &mut buffer, &Theme::new(true, true));
    (0..size.1)
        .map(|y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
        .collect()
}

#[test]
fn keys_go_to_the_screen_unless_they_mean_the_same_everywhere() {
    let (mut stack, heard) = opened();
    for code in [KeyCode::Enter, KeyCode::Char('?'), KeyCode::Down, KeyCode::Esc, KeyCode::Char('a')] {
        assert_eq!(press(&mut stack, code), "[]");
    }
    assert_eq!(heard.0.borrow().keys, [KeyCode::Enter, KeyCode::Char('a')], "the help took the others");
    heard.0.borrow_mut().takes_text = true;
    for code in [KeyCode::Char('?'), KeyCode::Char('q'), KeyCode::Char(':'), KeyCode::Esc] {
        assert_eq!(press(&mut stack, code), "[]");
    }
    assert_eq!(heard.0.borrow().keys.len(), 6, "text");
}

#[test]
fn back_goes_back_inside_the_screen_then_closes_it_and_the_first_one_ends_all() {
    let (mut stack, heard) = opened();
    heard.0.borrow_mut().deep = 1;
    assert_eq!(press(&mut stack, KeyCode::Esc), "[]");
    stack.push(Box::new(Heard::default()), Instant::now());
    assert_eq!(press(&mut stack, KeyCode::Char('q')), "[Pop]");
    assert!(stack.pop(Instant::now()).is_empty());
    assert_eq!(heard.0.borrow().opened, 2, "it is told that it is the uppermost again");
    assert_eq!(press(&mut stack, KeyCode::Char('q')), "[End(None)]");
    assert_eq!(format!("{:?}", stack.pop(Instant::now())), "[End(None)]");
}

#[test]
fn ctrl_c_leaves_and_asks_only_where_something_would_be_lost() {
    let (mut stack, heard) = opened();
    let ctrl_c = |stack: &mut Stack| press_with(stack, KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut stack, KeyCode::Char(':'));
    assert_eq!(ctrl_c(&mut stack), "[End(None)]", "also from a prompt");
    heard.0.borrow_mut().lost = Some("The configuration is not saved.".to_owned());
    heard.0.borrow_mut().takes_text = true;
    assert_eq!(ctrl_c(&mut stack), "[]");
    let picture = shown(&stack, (80, 24)).join("\n");
    assert!(picture.contains("The configuration is not saved.") && picture.contains(" y leave "), "{picture}");
    assert_eq!(press(&mut stack, KeyCode::Enter), "[]", "staying is what Enter does");
    assert_eq!(ctrl_c(&mut stack), "[]");
    assert_eq!(press(&mut stack, KeyCode::Char('y')), "[End(None)]");
    assert_eq!(ctrl_c(&mut stack), "[]");
    assert_eq!(ctrl_c(&mut stack), "[End(None)]", "asked twice, it is meant");
    assert_eq!(format!("{:?}", stack.update(&Input::End, Instant::now())), "[End(None)]", "a signal does not ask");
}

#[test]
fn filters_and_places_are_typed_on_the_last_line() {
    let (mut stack, heard) = opened();
    for letter in "/ab".chars() {
        press(&mut stack, KeyCode::Char(letter));
    }
    assert_eq!(heard.0.borrow().filter, "ab", "it is used while it is typed");
    assert!(shown(&stack, (80, 24))[23].starts_with(" /ab"));
    press(&mut stack, KeyCode::Enter);
    press(&mut stack, KeyCode::Esc);
    assert_eq!(heard.0.borrow().filter, "", "Esc ends the filter first");
    for letter in ":lo".chars() {
        press(&mut stack, KeyCode::Char(letter));
    }
    assert!(shown(&stack, (80, 24))[23].contains("logs"));
    press(&mut stack, KeyCode::Enter);
    assert_eq!(heard.0.borrow().jumped, ["logs"]);
    for letter in ":zz".chars() {
        press(&mut stack, KeyCode::Char(letter));
    }
    assert_eq!(press(&mut stack, KeyCode::Enter), r#"[Say(Bad, "There is no view, model or engine `zz`.")]"#);
}

#[test]
fn the_lines_around_a_screen_fit_the_window() {
    let (mut stack, _) = opened();
    let picture = shown(&stack, (80, 24));
    assert!(picture[0].starts_with(" enginehouse › a screen") && picture[0].ends_with("connected"), "{}", picture[0]);
    assert_eq!(picture[1], "content");
    assert!(picture[23].starts_with(" Enter open ") && picture[23].ends_with("? help  q back"), "{}", picture[23]);
    let narrow = shown(&stack, (60, 15));
    assert!(!narrow[14].contains("many words") && narrow[14].contains("? help"), "{}", narrow[14]);
    let small = shown(&stack, (59, 15)).join("\n");
    assert!(small.contains("This window is 59x15.") && small.contains("60x15"), "{small}");
    shown(&stack, (1, 1));
    stack.say(Tone::Bad, "It did not work.".to_owned());
    assert_eq!(shown(&stack, (80, 24))[23], " ✗ It did not work.");
    press(&mut stack, KeyCode::Char('?'));
    let help = shown(&stack, (80, 24)).join("\n");
    assert!(help.contains("Help: a screen") && help.contains("asks first where something"), "{help}");
}

#[test]
fn what_is_said_is_told_in_full_in_several_lines() {
    let heard = Heard::default();
    let mut stack = Stack::default();
    stack.push(Box::new(heard), Instant::now());
    stack.say(Tone::Bad, "why this was not done ".repeat(8) + "at its end");
    let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
    stack.draw(buffer.area, &mut buffer, &Theme::new(true, true));
    let line = |y| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    assert!(
        line(21).starts_with(" ✗ why this") && line(22).starts_with("   ") && line(23).contains("at its end"),
        "{}",
        line(23)
    );
}
