//! The wizard's screen: its pages, what leads from one to the next, and what threads find out for it.

use std::sync::Arc;

use ratatui::crossterm::event::KeyEvent;

use super::edited;
use super::form::{Filled, Form};
use super::gpus::GpuPage;
use super::known::Known;
use super::models::{Models, Next};
use super::review::{Review, Reviewed};
use super::source::Source;
use super::{gateway, model};
use crate::config::{Answers, ModelAnswers};
use crate::gpu::Inventory;
use crate::local_models::Found;
use crate::tui::frame::{Effect, Tone};
use crate::tui::machine::{Machine, Profile, Start};
use crate::tui::starting::Starting;
use crate::tui::widgets::{Dialog, clean};

/// Makes a configuration, or changes one.
pub struct Wizard {
    machine: Arc<dyn Machine>,
    /// Whether there is no screen below it.
    is_alone: bool,
    edited: Option<Edited>,
    answers: Answers,
    page: Page,
    /// The model that is being answered about.
    at: usize,
    /// Whether that model is a new one.
    is_new: bool,
    known: Known,
    is_asking: bool,
    /// Whether nothing would be lost.
    is_settled: bool,
    /// What is asked, and about what.
    question: Option<(Dialog, About)>,
    /// What this wizard read, or saved last: the name and the text. That alone it may replace.
    saved: Option<(String, String)>,
    /// The name that was typed on the review.
    typed_name: Option<String>,
    /// The page where the new model comes from, as it was left; and the model as it was taken there.
    source: Source,
    taken: ModelAnswers,
    left: Option<Left>,
}

/// A new model whose page was left for the page before it.
struct Left {
    /// As it was taken.
    taken: ModelAnswers,
    /// As it was answered.
    model: ModelAnswers,
    page: Form,
}

/// A saved configuration that is changed.
struct Edited {
    name: String,
    text: String,
    before: Answers,
    /// For each model of the answers: the name that it has in the text, where it is there.
    origins: Vec<Option<String>>,
}

/// What a question is about.
#[derive(Clone, Copy)]
enum About {
    /// Whether to give all up.
    All,
    /// Whether to take this model out.
    Model(usize),
}

enum Page {
    Gateway(Form),
    Source(Source),
    Model(Form),
    Gpus(GpuPage),
    Models(Models),
    Review(Review),
}

/// What threads tell.
enum Told {
    Kept((Vec<ModelAnswers>, usize), Vec<Profile>),
    Local(Found),
    Gpus(Inventory),
    Port(u16),
    /// What was found out about this text.
    Checked(String, Result<String, String>),
    /// Whether this text was saved under this name, and whether it is to be started.
    Saved((String, String), bool, Result<(), String>),
}

impl Wizard {
    /// A wizard for a new configuration. `is_alone`: there is no screen below it.
    #[must_use]
    pub fn new(machine: Arc<dyn Machine>, is_alone: bool) -> Self {
        let answers = Answers { about: "Written by `enginehouse new`.".to_owned(), ..Answers::usual() };
        let page = Page::Gateway(gateway::form(&answers));
        Self {
            machine,
            is_alone,
            edited: None,
            answers,
            page,
            at: 0,
            is_new: true,
            known: Known::default(),
            is_asking: false,
            is_settled: true,
            question: None,
            saved: None,
            typed_name: None,
            source: Source::default(),
            taken: ModelAnswers::default(),
            left: None,
        }
    }

    /// A wizard that changes the configuration saved as `name`.
    ///
    /// # Errors
    /// Why that cannot be changed step by step.
    pub fn edit(machine: Arc<dyn Machine>, name: &str, text: &str) -> Result<Self, String> {
        let before = edited::read(text)?;
        let page = Page::Models(Models::new(&before));
        let origins = before.models.iter().map(|model| Some(model.name.clone())).collect();
        let edited = Some(Edited { name: name.to_owned(), text: text.to_owned(), before: before.clone(), origins });
        let saved = Some((name.to_owned(), text.to_owned()));
        Ok(Self { edited, saved, page, answers: before, ..Self::new(machine, false) })
    }

    /// Has threads look around.
    fn look_around(&mut self) -> Vec<Effect> {
        let [kept, local, port] = [(); 3].map(|()| self.machine.clone());
        let mut effects = vec![
            Effect::work("kept", move |teller| {
                teller.tell(Told::Kept(kept.shortcuts(), kept.profiles()));
            }),
            Effect::work("models", move |teller| {
                teller.tell(Told::Local(local.local_models()));
            }),
        ];
        if self.edited.is_none() {
            effects.push(Effect::work("port", move |teller| {
                teller.tell(Told::Port(port.port()));
            }));
        }
        effects.push(self.ask_gpus());
        effects
    }

    /// The name that it is saved under already.
    fn saved_as(&self) -> Option<String> {
        self.edited.as_ref().map(|edited| edited.name.clone())
    }

    fn ask_gpus(&mut self) -> Effect {
        self.is_asking = true;
        let (machine, saved_as) = (self.machine.clone(), self.saved_as());
        Effect::work("gpus", move |teller| {
            teller.tell(Told::Gpus(machine.gpus(saved_as.as_deref())));
        })
    }

    fn hear(&mut self, told: &Told) -> Vec<Effect> {
        match told {
            Told::Kept(shortcuts, profiles) => {
                (self.known.shortcuts, self.known.bad_shortcuts) = shortcuts.clone();
                self.known.profiles.clone_from(profiles);
            }
            Told::Local(found) => self.known.local = Some(found.clone()),
            Told::Gpus(inventory) => {
                self.is_asking = false;
                self.known.inventory = Some(inventory.clone());
            }
            Told::Port(port) => self.propose(*port),
            Told::Checked(text, found) => {
                if let Page::Review(review) = &mut self.page
                    && review.text == *text
                {
                    review.checked(found);
                }
            }
            Told::Saved(_, _, Err(why)) => return vec![Effect::Say(Tone::Bad, clean(why))],
            Told::Saved(saved, is_to_start, Ok(())) => {
                self.saved = Some(saved.clone());
                let name = &saved.0;
                if *is_to_start {
                    return self.start(Start::Saved(name.clone()));
                }
                self.is_settled = true;
                let text = format!("Saved. Start it: enginehouse serve {name}");
                return self.close(Tone::Good, text);
            }
        }
        Vec::new()
    }

    /// Proposes a port, unless something was typed.
    fn propose(&mut self, port: u16) {
        if let Page::Gateway(form) = &mut self.page
            && *form == gateway::form(&self.answers)
        {
            self.answers.listen.set_port(port);
            self.answers.admin.set_port(gateway::next(port));
            *form = gateway::form(&self.answers);
        }
    }

    fn start(&mut self, what: Start) -> Vec<Effect> {
        self.is_settled = true;
        vec![Effect::Push(Box::new(Starting::new(self.machine.clone(), what)))]
    }

    /// Ends the wizard.
    fn close(&self, tone: Tone, text: String) -> Vec<Effect> {
        if self.is_alone { vec![Effect::End(Some(text))] } else { vec![Effect::Say(tone, text), Effect::Pop] }
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if let Some((dialog, about)) = self.question.take() {
            return self.answered(dialog, about, key);
        }
        self.is_settled = false;
        match &mut self.page {
            Page::Gateway(form) => match form.key(key) {
                Filled::Going => {
                    *form = gateway::shown(std::mem::take(form));
                    Vec::new()
                }
                Filled::Back if self.answers.models.is_empty() && self.edited.is_none() => self.give_up(),
                Filled::Back => self.back_from_gateway(),
                Filled::Done => self.take_gateway(),
            },
            Page::Source(source) => match source.key(key, &self.known) {
                (Filled::Done, Some(model)) => {
                    self.source = source.clone();
                    self.add(model)
                }
                (Filled::Back, _) if self.answers.models.is_empty() && self.edited.is_none() => {
                    self.page = Page::Gateway(gateway::form(&self.answers));
                    Vec::new()
                }
                (Filled::Back, _) => self.go_to_models(),
                _ => Vec::new(),
            },
            Page::Model(form) => match form.key(key) {
                Filled::Going => Vec::new(),
                Filled::Back => self.back_from_model(),
                Filled::Done => self.take_model(),
            },
            Page::Gpus(page) => match page.key(key, &mut self.answers, self.at, &self.known) {
                (Filled::Going, _) => Vec::new(),
                (Filled::Back, _) => self.go_to_model(),
                (Filled::Done, _) => self.go_to_models(),
            },
            Page::Models(models) => {
                let next = models.key(key, &self.answers);
                self.go_on(next)
            }
            Page::Review(review) => match review.key(key) {
                Reviewed::Going => Vec::new(),
                Reviewed::Back => self.back_from_review(),
                Reviewed::Do(action) => self.act(action),
            },
        }
    }

    fn take_gateway(&mut self) -> Vec<Effect> {
        let Page::Gateway(form) = &mut self.page else { return Vec::new() };
        if let Err((field, why)) = gateway::take(form, &mut self.answers) {
            form.go_to(field);
            return vec![Effect::Say(Tone::Bad, why)];
        }
        if !self.answers.models.is_empty() || self.edited.is_some() {
            return self.go_to_models();
        }
        self.page = Page::Source(Source::default());
        Vec::new()
    }

    /// A new model, under a name that none has yet.
    fn add(&mut self, mut model: ModelAnswers) -> Vec<Effect> {
        self.taken = model.clone();
        let again = self.left.take().filter(|left| left.taken == model);
        if let Some(left) = &again {
            model = left.model.clone();
        }
        let is_taken = |name: &str| self.answers.models.iter().any(|known| known.name == name);
        if is_taken(&model.name) {
            let free = (2..).map(|number| format!("{}-{number}", model.name)).find(|name| !is_taken(name));
            model.name = free.unwrap_or_default();
        }
        self.at = self.answers.models.len();
        self.is_new = true;
        self.answers.models.push(model);
        if let Some(edited) = &mut self.edited {
            edited.origins.push(None);
        }
        if let Some(left) = again {
            self.page = Page::Model(left.page);
            return Vec::new();
        }
        self.go_to_model()
    }

    fn take_model(&mut self) -> Vec<Effect> {
        let Page::Model(form) = &mut self.page else { return Vec::new() };
        if let Err((field, why)) = model::take(form, &mut self.answers, self.at, &self.known) {
            form.go_to(field);
            return vec![Effect::Say(Tone::Bad, why)];
        }
        if self.known.gpus().is_some() {
            if self.is_new {
                GpuPage::propose(&mut self.answers, self.at, &self.known);
            }
            self.page = Page::Gpus(GpuPage::default());
            return Vec::new();
        }
        let mut effects = self.go_to_models();
        let note = "GPUs were not asked for: no driver tells of any. Engines use what they see.";
        effects.push(Effect::Say(Tone::Note, note.to_owned()));
        effects
    }

    fn go_to_model(&mut self) -> Vec<Effect> {
        if let Some(model) = self.answers.models.get(self.at) {
            self.page = Page::Model(model::form(model, &self.known));
        }
        Vec::new()
    }

    fn go_to_models(&mut self) -> Vec<Effect> {
        self.page = Page::Models(Models::new(&self.answers));
        Vec::new()
    }

    fn go_on(&mut self, next: Next) -> Vec<Effect> {
        match next {
            Next::Stay => {}
            Next::Back => return self.give_up(),
            Next::Gateway => self.page = Page::Gateway(gateway::form(&self.answers)),
            Next::Add => self.page = Page::Source(Source::default()),
            Next::Review => return self.review(),
            Next::Model(at) => {
                (self.at, self.is_new) = (at, false);
                return self.go_to_model();
            }
            Next::Remove(at) => self.ask_to_remove(at),
        }
        Vec::new()
    }
}

mod back;
mod ending;
mod questions;
mod shown;
#[cfg(test)]
mod tests;
