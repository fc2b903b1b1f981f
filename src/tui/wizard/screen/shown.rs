//! How the wizard is shown, and what comes to it.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Page, Told, Wizard};
use crate::tui::frame::{Effect, Input, KeyHelp, Screen, Theme};
use crate::tui::widgets::{clean, put};
use crate::tui::wizard::gateway;

impl Screen for Wizard {
    fn title(&self) -> String {
        match &self.edited {
            None => "new".to_owned(),
            Some(edited) => format!("edit {}", clean(&edited.name)),
        }
    }

    fn update(&mut self, input: &Input, _now: Instant) -> Vec<Effect> {
        match input {
            Input::Opened if self.known.local.is_none() && !self.is_asking => self.look_around(),
            Input::Tick if matches!(self.page, Page::Gpus(_)) && !self.is_asking => vec![self.ask_gpus()],
            Input::Key(key) => self.key(*key),
            Input::Paste(text) => {
                match &mut self.page {
                    Page::Gateway(form) => {
                        form.paste(text);
                        *form = gateway::shown(std::mem::take(form));
                    }
                    Page::Model(form) => form.paste(text),
                    Page::Source(source) => source.paste(text),
                    Page::Review(review) => review.paste(text),
                    Page::Gpus(_) | Page::Models(_) => {}
                }
                Vec::new()
            }
            Input::Message(message) => message.get::<Told>().map(|told| self.hear(told)).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let (step, what) = self.step();
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        put(buffer, inner.x, inner.y, inner.width, &Line::styled(format!("{step} · {what}"), theme.strong()));
        let inner = Rect { y: inner.y + 2, height: inner.height.saturating_sub(2), ..inner };
        match &self.page {
            Page::Gateway(form) | Page::Model(form) => form.draw(inner, buffer, theme),
            Page::Source(source) => source.draw(&self.known, inner, buffer, theme),
            Page::Gpus(page) => page.draw(&self.answers, self.at, &self.known, inner, buffer, theme),
            Page::Models(models) => models.draw(&self.answers, inner, buffer, theme),
            Page::Review(review) => review.draw(inner, buffer, theme),
        }
        if let Some((question, _)) = &self.question {
            question.draw(area, buffer, theme);
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        let key = KeyHelp::new;
        let (on, back) = (key("Enter", "go on"), key("Esc", "back"));
        if self.question.is_some() {
            return vec![key("Enter", "the marked answer"), key("Tab", "another answer"), back];
        }
        match &self.page {
            Page::Gateway(_) | Page::Model(_) => {
                vec![on, key("↑↓", "other field"), key("Space", "turn a switch"), back]
            }
            Page::Source(_) => vec![key("Enter", "take it"), key("i", "type an id or path"), back],
            Page::Gpus(_) => {
                vec![
                    on,
                    key("Space", "take or not"),
                    key("a", "automatic"),
                    key("t", "in turns"),
                    key("- +", "share"),
                    back,
                    key("=", "share equally"),
                    key("T", "all of this GPU in turns"),
                ]
            }
            Page::Models(_) => vec![key("Enter", "open"), key("a", "add a model"), key("d", "remove a model"), back],
            Page::Review(_) => vec![key("Enter", "do it"), key("Tab", "other answer"), key("PgDn", "more"), back],
        }
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn would_lose(&self) -> Option<String> {
        let is_changed = match &self.edited {
            Some(edited) => edited.before != self.answers,
            None => !self.answers.models.is_empty(),
        };
        (is_changed && !self.is_settled).then(|| "What was answered in the wizard is not saved.".to_owned())
    }
}

impl Wizard {
    /// Where the user is, and what is asked.
    fn step(&self) -> (String, &'static str) {
        let model = || self.answers.models.get(self.at).map_or_else(String::new, |model| clean(&model.source));
        match &self.page {
            Page::Gateway(_) => ("Gateway".to_owned(), "where clients and operators connect"),
            Page::Source(_) => (format!("Model {}", self.answers.models.len() + 1), "where does it come from?"),
            Page::Model(_) => (model(), "its names, engines and profile"),
            Page::Gpus(_) => (model(), "its GPUs"),
            Page::Models(_) => ("Configuration".to_owned(), "another model, or the review?"),
            Page::Review(_) => ("Review".to_owned(), "save and start?"),
        }
    }
}
