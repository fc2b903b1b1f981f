//! What a screen wants done.

use std::any::Any;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::mpsc::Sender;

use super::input::Input;
use super::screen::Screen;

/// Something that the loop does for a screen.
pub enum Effect {
    /// Opens a screen above this one.
    Push(Box<dyn Screen>),
    /// Closes the uppermost screen; the interface ends with the last one.
    Pop,
    /// Closes the uppermost screen and opens this one in its place.
    Replace(Box<dyn Screen>),
    /// Does something that takes time, on a thread of its own.
    Work(Work),
    /// Gives the terminal to something else, such as an editor, and takes it back when that has ended.
    Lend(Work),
    /// Says something on the last line, until a key is pressed.
    Say(Tone, String),
    /// Ends the interface at once. The text is printed when the terminal has been given back.
    End(Option<String>),
}

/// What a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It is just said.
    Note,
    /// Something went well.
    Good,
    /// Something went wrong.
    Bad,
}

/// Work for a thread.
pub struct Work {
    name: &'static str,
    run: Box<dyn FnOnce(&Teller) + Send>,
}

/// By which work tells its outcome.
#[derive(Clone, Debug)]
pub struct Teller(Sender<Input>);

/// The outcome of work, or a part of it, of whatever type the screen that began it knows.
pub struct Message(Box<dyn Any + Send>);

impl Effect {
    /// Work on a thread. `name`: for people who look at the process.
    pub fn work(name: &'static str, run: impl FnOnce(&Teller) + Send + 'static) -> Self {
        Self::Work(Work { name, run: Box::new(run) })
    }

    /// Work that has the terminal for itself.
    pub fn lend(name: &'static str, run: impl FnOnce(&Teller) + Send + 'static) -> Self {
        Self::Lend(Work { name, run: Box::new(run) })
    }
}

impl Work {
    /// Does it here.
    pub(super) fn here(self, teller: &Teller) {
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
    pub(super) fn new(sender: Sender<Input>) -> Self {
        Self(sender)
    }

    /// Tells the screens. `false`: the interface has ended, and nobody wants to know any more.
    pub fn tell(&self, news: impl Any + Send) -> bool {
        self.0.send(Input::Message(Message::new(news))).is_ok()
    }
}

impl Message {
    /// A message with these news.
    pub fn new(news: impl Any + Send) -> Self {
        Self(Box::new(news))
    }

    /// The news, if they are of this type.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl Debug for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Message")
    }
}

impl Debug for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push(screen) => write!(f, "Push({})", screen.title()),
            Self::Pop => f.write_str("Pop"),
            Self::Replace(screen) => write!(f, "Replace({})", screen.title()),
            Self::Work(work) => write!(f, "Work({})", work.name),
            Self::Lend(work) => write!(f, "Lend({})", work.name),
            Self::Say(tone, text) => write!(f, "Say({tone:?}, {text:?})"),
            Self::End(text) => write!(f, "End({text:?})"),
        }
    }
}
