//! What the wizard asks before something is lost.

use ratatui::crossterm::event::KeyEvent;

use super::{About, Wizard};
use crate::tui::frame::{Effect, Screen};
use crate::tui::widgets::{Dialog, clean};

impl Wizard {
    /// Acts on a key while a question is open.
    pub(super) fn answered(&mut self, mut dialog: Dialog, about: About, key: KeyEvent) -> Vec<Effect> {
        match (dialog.key(key), about) {
            (None, about) => {
                self.question = Some((dialog, about));
                Vec::new()
            }
            (Some('y'), About::All) => vec![Effect::Pop],
            (Some('y'), About::Model(at)) => self.remove(at),
            (Some(_), _) => Vec::new(),
        }
    }

    pub(super) fn give_up(&mut self) -> Vec<Effect> {
        if self.would_lose().is_none() {
            return vec![Effect::Pop];
        }
        let text = vec!["What was answered is lost. Nothing was written.".to_owned()];
        let dialog = Dialog::confirm("Give this configuration up?", text, "give it up", "go on with it");
        self.question = Some((dialog, About::All));
        Vec::new()
    }

    pub(super) fn ask_to_remove(&mut self, at: usize) {
        if let Some(model) = self.answers.models.get(at) {
            let title = format!("Remove {}?", clean(&model.name));
            let text = vec!["What was answered about it goes out of this configuration.".to_owned()];
            self.question = Some((Dialog::confirm(&title, text, "remove", "cancel"), About::Model(at)));
        }
    }

    fn remove(&mut self, at: usize) -> Vec<Effect> {
        self.is_settled = false;
        if at < self.answers.models.len() {
            self.answers.models.remove(at);
        }
        if let Some(origins) = self.edited.as_mut().map(|edited| &mut edited.origins).filter(|all| at < all.len()) {
            origins.remove(at);
        }
        self.go_to_models()
    }
}
