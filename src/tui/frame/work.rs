//! Work that takes time, on a thread of its own, and how it tells what came of it.

use std::any::Any;
use std::io;
use std::sync::mpsc::Sender;

use super::input::Input;
use super::message::Message;

/// Work for a thread.
pub struct Work {
    pub(super) name: &'static str,
    run: Box<dyn FnOnce(&Teller) + Send>,
}

/// By which work tells its outcome.
#[derive(Clone, Debug)]
pub struct Teller(Sender<Input>);

impl Work {
    /// `name`: for people who look at the process.
    pub(super) fn new(name: &'static str, run: impl FnOnce(&Teller) + Send + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Does it here.
    pub(in crate::tui) fn here(self, teller: &Teller) {
        (self.run)(teller);
    }

    /// Does it on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self, teller: Teller) -> io::Result<()> {
        let run = self.run;
        std::thread::Builder::new().name(self.name.to_owned()).spawn(move || run(&teller)).map(drop)
    }
}

impl Teller {
    pub(in crate::tui) fn new(sender: Sender<Input>) -> Self {
        Self(sender)
    }

    /// Tells the screens. `false`: the interface has ended, and nobody wants to know any more.
    pub fn tell(&self, news: impl Any + Send) -> bool {
        self.0.send(Input::Message(Message::new(news))).is_ok()
    }
}
