//! What the home screen and the wizard have done by the program around them: the files of the user, and gateways.

use serde_json::{Map, Value};

use super::monitor::Link;
use crate::config::ModelAnswers;
use crate::gpu::Inventory;
use crate::local_models::Found;

/// A saved configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Its name.
    pub name: String,
    /// The names of its models, in its order; empty where it is not valid.
    pub models: Vec<String>,
    /// All ports that it names: of clients, operators, aliases and engines.
    pub ports: Vec<u16>,
    /// When it was changed, for people.
    pub changed: String,
    /// What would run where, or what is wrong with it.
    pub text: String,
    /// Whether it can be started.
    pub is_valid: bool,
}

/// A gateway that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The name of its configuration.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Where its operators connect.
    pub operators: String,
    /// The file that it was started with.
    pub file: String,
    /// Its models.
    pub models: Vec<String>,
}

/// The way to a gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Asks it.
    pub link: Link,
    /// What it is called, for people.
    pub label: String,
    /// Whether it ran before it was to be started.
    pub ran_before: bool,
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The saved configuration of this name.
    Saved(String),
    /// A configuration that is not saved.
    Text {
        /// The name of its gateway.
        name: String,
        /// The configuration.
        text: String,
    },
}

/// Things that are kept under names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Configurations.
    Configuration,
    /// Profiles of the user.
    Profile,
    /// Shortcuts.
    Shortcut,
}

/// Something that is kept under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
}

/// A profile that a model may have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it is good for.
    pub description: String,
    /// Share of each GPU's memory that it says.
    pub gpu_memory: Option<f64>,
    /// Flags of vLLM that it says.
    pub args: Map<String, Value>,
}

/// The program around the interface. All of it blocks: it is asked on threads.
pub trait Machine: Send + Sync {
    /// The saved configurations, by name.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn saved(&self) -> Result<Vec<Saved>, String>;

    /// The gateways of this machine that answer, by name.
    fn running(&self) -> Vec<Running>;

    /// The way to one of them.
    ///
    /// # Errors
    /// Why there is none.
    fn attach(&self, running: &Running) -> Result<Gateway, String>;

    /// Starts a gateway in the background; returns when it accepts requests. One that runs already with a saved configuration is
    /// not started again.
    ///
    /// # Errors
    /// Why it does not, with the end of its log.
    fn start(&self, what: &Start) -> Result<Gateway, String>;

    /// All that is kept under names, configurations first.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn kept(&self) -> Result<Vec<Kept>, String>;

    /// Where things are kept: what, and the folder.
    fn folders(&self) -> Vec<(String, String)>;

    /// Deletes something.
    ///
    /// # Errors
    /// Why not.
    fn delete(&self, kind: Kind, name: &str) -> Result<(), String>;

    /// Has the user edit something. It has the terminal for itself meanwhile.
    ///
    /// # Errors
    /// Why it was not changed.
    fn edit(&self, kind: Kind, name: &str) -> Result<(), String>;

    /// The text of a saved configuration.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn text(&self, name: &str) -> Result<String, String>;

    /// Saves a configuration. In place of one of that name only with `read`, the text that it had when it was read or saved last:
    /// what others changed meanwhile stays.
    ///
    /// # Errors
    /// Why not; then nothing is written.
    fn save(&self, name: &str, text: &str, read: Option<&str>) -> Result<(), String>;

    /// What would run where by this configuration, and what is worth knowing of it. `name`: the one that it is saved under already.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn review(&self, name: Option<&str>, text: &str) -> Result<String, String>;

    /// The GPUs now. `name`: a saved configuration whose engines may run now: what they hold is theirs.
    fn gpus(&self, name: Option<&str>) -> Inventory;

    /// The models and adapters on this machine's disks.
    fn local_models(&self) -> Found;

    /// The user's shortcuts that have engines to be started, by name, each with its text; and how many are not valid.
    fn shortcuts(&self) -> (Vec<ModelAnswers>, usize);

    /// The profiles that models may have, the built-in ones first.
    fn profiles(&self) -> Vec<Profile>;

    /// A port for clients such that it and the next one are free now.
    fn port(&self) -> u16;
}
