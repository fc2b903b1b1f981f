//! Where Esc leads in the wizard, and what is kept of the page that is left.

use super::{Left, Page, Wizard};
use crate::tui::frame::{Effect, Tone};
use crate::tui::wizard::{gateway, model};

impl Wizard {
    /// From the page of the gateway to the list: what is valid is taken.
    pub(super) fn back_from_gateway(&mut self) -> Vec<Effect> {
        let Page::Gateway(form) = &self.page else { return Vec::new() };
        let taken = gateway::take(form, &mut self.answers);
        self.back_to_models(taken.err())
    }

    /// From the page of a new model to the page where it comes from, or from another one's to the list.
    pub(super) fn back_from_model(&mut self) -> Vec<Effect> {
        let Page::Model(form) = &self.page else { return Vec::new() };
        if !self.is_new {
            let taken = model::take(form, &mut self.answers, self.at, &self.known);
            return self.back_to_models(taken.err());
        }
        let page = form.clone();
        if let Some(model) = self.answers.models.pop() {
            self.left = Some(Left { taken: self.taken.clone(), model, page });
        }
        if let Some(edited) = &mut self.edited {
            edited.origins.truncate(self.answers.models.len());
        }
        self.page = Page::Source(self.source.clone());
        Vec::new()
    }

    /// From the review to the list: a name that was typed is kept, one that was proposed is proposed anew.
    pub(super) fn back_from_review(&mut self) -> Vec<Effect> {
        if let Page::Review(review) = &self.page {
            let name = review.name();
            self.typed_name = (!name.is_empty() && name != self.proposed_name()).then(|| name.to_owned());
        }
        self.go_to_models()
    }

    fn back_to_models(&mut self, wrong: Option<(&'static str, String)>) -> Vec<Effect> {
        let mut effects = self.go_to_models();
        effects.extend(wrong.map(|(_, why)| Effect::Say(Tone::Bad, format!("not taken: {why}"))));
        effects
    }
}
