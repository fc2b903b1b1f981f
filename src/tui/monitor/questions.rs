//! What a monitor asks its user before it has something done.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::actions;
use super::known::Known;
use super::wish::{Order, Place, Wish};
use crate::api::{Failure, Target, Verb};
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{Choice, Dialog, Edit, LineEdit, clean, put, window};

/// Most engines of one model that the gateway accepts.
const MOST: usize = 256;

/// Lines of an engine's log that are shown with its failure.
const LOG: usize = 6;

/// A question that is open.
#[derive(Debug)]
pub(super) enum Question {
    /// What is to be done with this.
    Menu(Dialog, Target),
    /// Whether this is to be done.
    Act(Dialog, Order),
    /// How many engines a model is to have.
    Scale(LineEdit, String),
    /// Whether the gateway is to end.
    ShutDown(Dialog),
    /// Whether the gateway goes on when the interface ends.
    Leave(Dialog),
    /// What is to be done now that an engine of a gateway that was just started has failed.
    Failed(Dialog, String),
}

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The question stays open.
    Open,
    /// Nothing is done.
    Nothing,
    /// Something else is asked, or opened.
    Wish(Wish),
    /// This is done.
    Do(Order),
    /// The gateway ends.
    ShutDown,
    /// The interface ends, and the gateway goes on.
    Leave,
    /// The answer is none.
    Wrong(String),
}

impl Question {
    pub(super) fn menu(target: Target, known: &Known) -> Self {
        Self::Menu(actions::menu(&target, known), target)
    }

    pub(super) fn act(verb: Verb, target: Target, known: &Known) -> Self {
        Self::Act(actions::question(verb, &target, known), Order::Act(verb, target))
    }

    /// `None`: there is no such operation any more.
    pub(super) fn cancel(id: String, known: &Known) -> Option<Self> {
        let operation = known.operations.iter().find(|operation| operation.id == id)?;
        Some(Self::Act(actions::cancel(operation), Order::Cancel(id)))
    }

    pub(super) fn scale(model: String, known: &Known) -> Self {
        let now = known.model(&model).map_or(1, |model| model.wanted_replicas.unwrap_or(model.replicas));
        Self::Scale(LineEdit::proposed(&now.to_string()), model)
    }

    pub(super) fn shut_down(known: &Known) -> Self {
        let text = "It finishes its requests, and its engines end, too, unless `on_exit: keep` is configured.";
        Self::ShutDown(Dialog::confirm("Shut the gateway down?", active(text, known), "shut down", "cancel"))
    }

    pub(super) fn leave(known: &Known) -> Self {
        let choices = vec![
            Choice::new('l', "leave it running in the background"),
            Choice::new('s', "stop it with its engines"),
            Choice::new('c', "stay here"),
        ];
        let dialog = Dialog::new("The gateway is running", active("What is to become of it?", known), choices);
        Self::Leave(dialog.select('l'))
    }

    /// `id`: the engine that has failed.
    pub(super) fn failed(id: &str, failure: &Failure) -> Self {
        let mut text = vec![clean(&failure.cause.to_string()), clean(&failure.next.to_string())];
        let log = &failure.log[failure.log.len().saturating_sub(LOG)..];
        text.extend(log.iter().map(|line| clean(line)));
        let choices = vec![
            Choice::new('l', "look at it and its log"),
            Choice::new('s', "stop all: the gateway with its engines"),
            Choice::new('g', "go on without it"),
        ];
        Self::Failed(Dialog::new(&format!("{} has failed", clean(id)), text, choices), id.to_owned())
    }

    /// Acts on a key.
    pub(super) fn key(&mut self, key: KeyEvent, known: &Known) -> Answer {
        match self {
            Self::Menu(dialog, target) => match dialog.key(key) {
                None => Answer::Open,
                Some(letter) => actions::wish_of(letter, target, known).map_or(Answer::Nothing, Answer::Wish),
            },
            Self::Act(dialog, order) => match dialog.key(key) {
                None => Answer::Open,
                Some('y') => Answer::Do(order.clone()),
                Some(_) => Answer::Nothing,
            },
            Self::Scale(edit, model) => match edit.key(key) {
                Edit::Going => Answer::Open,
                Edit::Cancelled => Answer::Nothing,
                Edit::Done => match edit.text().trim().parse::<usize>() {
                    Ok(count @ 1..=MOST) => Answer::Do(Order::Scale(model.clone(), count)),
                    _ => Answer::Wrong(format!("A number from 1 to {MOST} is needed; x stops all engines.")),
                },
            },
            Self::ShutDown(dialog) => match dialog.key(key) {
                None => Answer::Open,
                Some('y') => Answer::ShutDown,
                Some(_) => Answer::Nothing,
            },
            Self::Failed(dialog, id) => match dialog.key(key) {
                None => Answer::Open,
                Some('l') => Answer::Wish(Wish::Open(Place::Engine(id.clone()))),
                // This question opens by itself: a letter that was meant for the view below must end nothing.
                Some('s') => {
                    *self = Self::shut_down(known);
                    Answer::Open
                }
                Some(_) => Answer::Nothing,
            },
            Self::Leave(dialog) => match dialog.key(key) {
                None => Answer::Open,
                Some('l') => Answer::Leave,
                // `s` scales a model elsewhere: one key alone ends nothing.
                Some('s') => {
                    *self = Self::shut_down(known);
                    Answer::Open
                }
                Some(_) => Answer::Nothing,
            },
        }
    }

    /// Its keys.
    pub(super) fn keys(&self) -> Vec<KeyHelp> {
        let escape = KeyHelp::new("Esc", "cancel");
        match self {
            Self::Scale(..) => vec![KeyHelp::new("Enter", "scale"), escape],
            _ => vec![KeyHelp::new("Enter", "the marked answer"), KeyHelp::new("Tab", "another answer"), escape],
        }
    }

    /// Takes in a text.
    pub(super) fn paste(&mut self, text: &str) {
        if let Self::Scale(edit, _) = self {
            edit.paste(text);
        }
    }

    /// Draws it into the middle of `area`.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        match self {
            Self::Menu(dialog, _)
            | Self::Act(dialog, _)
            | Self::ShutDown(dialog)
            | Self::Leave(dialog)
            | Self::Failed(dialog, _) => {
                dialog.draw(area, buffer, theme);
            }
            Self::Scale(edit, model) => {
                let inner = window(area, (48, 3), &format!("Scale {}", clean(model)), buffer, theme);
                let (x, room) = (inner.x + 1, inner.width.saturating_sub(2));
                put(buffer, x, inner.y, room, &Line::raw("How many engines is it to have?"));
                edit.draw(Rect { x, y: inner.y + 1, width: room, height: 1 }, true, buffer, theme);
                put(buffer, x, inner.y + 2, room, &Line::styled("Enter scales, Esc cancels", theme.dim()));
            }
        }
    }
}

/// A text, and how many requests are under way.
fn active(text: &str, known: &Known) -> Vec<String> {
    let active: usize = known.engines().map(|engine| engine.in_flight).sum();
    let mut all = vec![text.to_owned()];
    if active > 0 {
        all.push(format!("Requests under way: {active}."));
    }
    all
}
