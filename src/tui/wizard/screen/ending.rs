//! How the wizard ends: the review of what was answered, and what is done with it.

use super::{Edited, Page, Told, Wizard};
use crate::tui::frame::{Effect, Tone};
use crate::tui::machine::Start;
use crate::tui::wizard::review::{Action, Review};
use crate::tui::wizard::{edited, shortcut};

impl Wizard {
    /// Writes the configuration and has it checked.
    pub(super) fn review(&mut self) -> Vec<Effect> {
        if self.answers.models.is_empty() {
            return vec![Effect::Say(Tone::Bad, "There is no model yet: a adds one.".to_owned())];
        }
        let text = match &self.edited {
            None => shortcut::drafted(&self.answers),
            Some(edited) => edited::write(&edited.text, &edited.before, &self.answers, &edited.origins),
        };
        let text = match text {
            Ok(text) => text,
            Err(why) => return vec![Effect::Say(Tone::Bad, why)],
        };
        let name = self.typed_name.clone().unwrap_or_else(|| self.proposed_name());
        self.page = Page::Review(Review::new(text.clone(), &name, self.edited.is_some()));
        let (machine, saved_as) = (self.machine.clone(), self.saved_as());
        let mut effects = vec![Effect::work("check", move |teller| {
            let found = machine.review(saved_as.as_deref(), &text);
            teller.tell(Told::Checked(text, found));
        })];
        if self.edited.as_ref().is_some_and(|edited| edited::renames(&self.answers, &edited.origins)) {
            let note =
                "A model with another name is written anew: it comes last, and comments at it and inside it are lost.";
            effects.push(Effect::Say(Tone::Note, note.to_owned()));
        }
        let loses = |edited: &Edited| edited::loses_times(&edited.text, &edited.before, &self.answers, &edited.origins);
        if self.edited.as_ref().is_some_and(loses) {
            let note =
                "A model that keeps its GPUs now has no `idle` any more: only those that are loaded on demand may.";
            effects.push(Effect::Say(Tone::Note, note.to_owned()));
        }
        effects
    }

    /// The name that is proposed: the one that it has already, or one made from its first model.
    pub(super) fn proposed_name(&self) -> String {
        match &self.saved {
            Some((name, _)) => name.clone(),
            None => self.answers.models.first().map(|model| proposed(&model.name)).unwrap_or_default(),
        }
    }

    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        let Page::Review(review) = &self.page else { return Vec::new() };
        if let Some(why) = review.refusal(action) {
            return vec![Effect::Say(Tone::Bad, why.to_owned())];
        }
        let (name, text) = (review.name().to_owned(), review.text.clone());
        match action {
            Action::Cancel => self.give_up(),
            Action::Start => self.start(Start::Text { name, text }),
            Action::Save | Action::SaveAndStart => {
                let machine = self.machine.clone();
                let read = self.saved.clone().filter(|(saved, _)| *saved == name).map(|(_, text)| text);
                vec![Effect::work("save", move |teller| {
                    let saved = machine.save(&name, &text, read.as_deref());
                    teller.tell(Told::Saved((name, text), action == Action::SaveAndStart, saved));
                })]
            }
        }
    }
}

/// A name for a file that is made from that of a model.
fn proposed(model: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    model.chars().map(fit).skip_while(|c| !c.is_ascii_alphanumeric()).take(60).collect()
}
