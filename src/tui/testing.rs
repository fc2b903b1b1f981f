//! What tests of screens need: a program around them, keys that are pressed, and pictures.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;

use super::frame::{Effect, Input, Screen, Teller, Theme};
use super::machine::{Gateway, Kept, Kind, Machine, Profile, Running, Saved, Start};
use super::monitor::Link;
use crate::api::Client;
use crate::config::ModelAnswers;
use crate::gpu::{Gpu, Inventory, Memory};
use crate::local_models::{self, Format, Found, LocalAdapter, LocalModel, State};

/// Rewrites the pictures instead of comparing with them.
const WRITE: &str = "ENGINEHOUSE_WRITE_PICTURES";

const GIB: u64 = 1 << 30;

/// A program that does nothing and keeps what it was asked.
#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) saved: Vec<Saved>,
    pub(super) running: Vec<Running>,
    pub(super) kept: Vec<Kept>,
    pub(super) text: String,
    pub(super) inventory: Inventory,
    pub(super) found: Found,
    pub(super) shortcuts: Vec<ModelAnswers>,
    pub(super) bad_shortcuts: usize,
    pub(super) wrong: Option<String>,
    pub(super) deleted: Mutex<Vec<String>>,
    pub(super) written: Mutex<Vec<(String, String, bool)>>,
}

impl Fake {
    /// One with two saved configurations, a gateway that runs, two GPUs and some models.
    pub(super) fn example() -> Self {
        let saved = |name: &str, text: &str, is_valid| Saved {
            name: name.into(),
            models: if is_valid { vec!["qwen3-32b".into(), "embed".into()] } else { Vec::new() },
            ports: if is_valid { vec![8000, 8001] } else { Vec::new() },
            changed: "2026-11-28 09:12:44".into(),
            text: text.into(),
            is_valid,
        };
        let text = "callers    http://127.0.0.1:8000/v1\noperators  http://127.0.0.1:8001\n\nMODEL      ENGINES    GPUS  WHAT RUNS\n\
                    qwen3-32b  1 started  0, 1  vllm serve Qwen/Qwen3-32B\nembed      1 started  1     vllm serve Qwen/Qwen3-Embedding-8B";
        let kept = |kind, name: &str, folder: &str| Kept {
            kind,
            name: name.into(),
            file: format!("/home/ada/.config/enginehouse/{folder}{name}.yaml"),
        };
        let memory = |used| Some(Memory { total: 80 * GIB, used: used * GIB, free: (80 - used) * GIB });
        let gpu = |index, used| Gpu {
            index,
            uuid: Some(format!("GPU-{index}")),
            name: Some("NVIDIA H100 80GB HBM3".into()),
            memory: memory(used),
            utilisation: Some(if used > 1 { 97 } else { 0 }),
            temperature: Some(35 + u32::try_from(used).unwrap_or(0)),
            ..Gpu::default()
        };
        Self {
            saved: vec![saved("chat", text, true), saved("test", "models.m.sorce, line 3: unknown key", false)],
            running: vec![Running {
                name: "chat-1a2b3c4d".into(),
                pid: 4711,
                operators: "127.0.0.1:8001".into(),
                file: "/home/ada/.config/enginehouse/chat.yaml".into(),
                models: vec!["qwen3-32b".into(), "embed".into()],
            }],
            kept: vec![
                kept(Kind::Configuration, "chat", ""),
                kept(Kind::Profile, "fast", "profiles/"),
                kept(Kind::Shortcut, "coder", "shortcuts/"),
            ],
            text: "# Mine\nmodels:\n  m: # the only one\n    source: org/m\n".into(),
            inventory: Inventory { gpus: vec![gpu(0, 1), gpu(1, 42)], known: true, ..Inventory::default() },
            found: Found {
                models: vec![local("org/base-8b", 16 * GIB), local("org/huge", 300 * GIB)],
                adapters: vec![adapter("org/sql-lora", "org/base-8b")],
                ..Found::default()
            },
            shortcuts: vec![ModelAnswers {
                name: "coder".into(),
                source: "org/coder".into(),
                profile: Some("fast".into()),
                entry: Some("# For code\nsource: org/coder\nprofile: fast\nstart_timeout: 20m # it is large\n".into()),
                ..ModelAnswers::default()
            }],
            ..Self::default()
        }
    }
}

impl Machine for Fake {
    fn saved(&self) -> Result<Vec<Saved>, String> {
        Ok(self.saved.clone())
    }

    fn running(&self) -> Vec<Running> {
        self.running.clone()
    }

    fn attach(&self, running: &Running) -> Result<Gateway, String> {
        // It is never asked.
        let link = Link::new(Client::new(([127, 0, 0, 1], 1).into(), None), || None);
        Ok(Gateway { link, label: running.name.clone(), ran_before: false })
    }

    fn start(&self, _what: &Start) -> Result<Gateway, String> {
        self.attach(&Running::default())
    }

    fn kept(&self) -> Result<Vec<Kept>, String> {
        Ok(self.kept.clone())
    }

    fn folders(&self) -> Vec<(String, String)> {
        let folder = |what: &str, below: &str| (what.to_owned(), format!("/home/ada/.config/enginehouse{below}"));
        vec![folder("Configurations", ""), folder("Profiles", "/profiles"), folder("Shortcuts", "/shortcuts")]
    }

    fn delete(&self, _kind: Kind, name: &str) -> Result<(), String> {
        self.deleted.lock().expect("no panic").push(name.to_owned());
        Ok(())
    }

    fn edit(&self, _kind: Kind, _name: &str) -> Result<(), String> {
        Ok(())
    }

    fn text(&self, _name: &str) -> Result<String, String> {
        Ok(self.text.clone())
    }

    fn save(&self, name: &str, text: &str, read: Option<&str>) -> Result<(), String> {
        self.written.lock().expect("no panic").push((name.to_owned(), text.to_owned(), read.is_some()));
        Ok(())
    }

    fn review(&self, _name: Option<&str>, text: &str) -> Result<String, String> {
        match &self.wrong {
            Some(why) => Err(why.clone()),
            None => Ok(format!(
                "MODEL  ENGINES\n{}",
                text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
            )),
        }
    }

    fn gpus(&self, _name: Option<&str>) -> Inventory {
        self.inventory.clone()
    }

    fn local_models(&self) -> Found {
        self.found.clone()
    }

    fn shortcuts(&self) -> (Vec<ModelAnswers>, usize) {
        (self.shortcuts.clone(), self.bad_shortcuts)
    }

    fn profiles(&self) -> Vec<Profile> {
        vec![Profile {
            name: "fast".into(),
            description: "Answers soon; for few requests at once.".into(),
            ..Profile::default()
        }]
    }

    fn port(&self) -> u16 {
        8000
    }
}

/// A model on this machine.
pub(super) fn local(source: &str, weights: u64) -> LocalModel {
    LocalModel {
        source: source.to_owned(),
        hub_id: None,
        path: source.to_owned(),
        format: Format::Safetensors,
        state: State::Complete,
        bytes: weights,
        revision: None,
        revisions: Vec::new(),
        architecture: Some("Qwen3ForCausalLM".into()),
        model_type: None,
        context_length: Some(40_960),
        dtype: None,
        quantization: None,
        parameters: None,
        memory: local_models::Memory { weights: Some(weights), ..local_models::Memory::default() },
        notes: Vec::new(),
    }
}

/// An adapter of the model `base`.
pub(super) fn adapter(source: &str, base: &str) -> LocalAdapter {
    LocalAdapter {
        source: source.to_owned(),
        hub_id: None,
        path: source.to_owned(),
        state: State::Complete,
        bytes: GIB,
        revision: None,
        revisions: Vec::new(),
        base: Some(base.to_owned()),
        base_source: Some(base.to_owned()),
        kind: None,
        rank: Some(16),
        notes: Vec::new(),
    }
}

/// A screen, and the work that it began.
pub(super) struct Stage {
    pub(super) screen: Box<dyn Screen>,
    begun: Vec<Effect>,
}

impl Stage {
    pub(super) fn new(screen: Box<dyn Screen>) -> Self {
        Self { screen, begun: Vec::new() }
    }

    /// Shows the screen, and does what it wants done first.
    pub(super) fn open(&mut self) {
        self.take(&Input::Opened);
        self.works();
    }

    /// Gives it an input; what it wants, as text.
    pub(super) fn take(&mut self, input: &Input) -> String {
        let effects = self.screen.update(input, Instant::now());
        let told = format!("{effects:?}");
        self.begun.extend(effects.into_iter().filter(|effect| matches!(effect, Effect::Work(_))));
        told
    }

    /// Does the work that was begun; what comes of its news.
    pub(super) fn works(&mut self) -> String {
        let (sender, news) = mpsc::channel();
        let teller = Teller::new(sender);
        for effect in std::mem::take(&mut self.begun) {
            if let Effect::Work(work) = effect {
                work.here(&teller);
            }
        }
        drop(teller);
        let told: Vec<String> = news.iter().map(|input| self.take(&input)).collect();
        told.last().cloned().unwrap_or_default()
    }

    /// Presses keys, one for each letter; what the last one led to.
    pub(super) fn press(&mut self, keys: &str) -> String {
        let code = |letter| match letter {
            '⏎' => KeyCode::Enter,
            '⎋' => KeyCode::Esc,
            '↓' => KeyCode::Down,
            '↑' => KeyCode::Up,
            '⇥' => KeyCode::Tab,
            '⌫' => KeyCode::Backspace,
            letter => KeyCode::Char(letter),
        };
        let press = |letter| self.take(&Input::Key(KeyEvent::new(code(letter), KeyModifiers::NONE)));
        keys.chars().map(press).last().unwrap_or_default()
    }

    pub(super) fn picture(&self, size: (u16, u16)) -> String {
        picture(&*self.screen, size)
    }
}

/// What a screen shows in a window of this size, without the first and the last line.
pub(super) fn picture(screen: &dyn Screen, size: (u16, u16)) -> String {
    let theme = Theme::new(true, true);
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1 - 2));
    screen.draw(buffer.area, &mut buffer, &theme);
    let line = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..size.1 - 2).map(line).collect::<Vec<_>>().join("\n").trim_end().to_owned() + "\n"
}

/// Compares what is shown at both sizes with the pictures in the files.
pub(super) fn compare(screen: &dyn Screen, folder: &str, name: &str) {
    for size in [(80, 24), (200, 60)] {
        let shown = picture(screen, size);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui").join(folder).join("pictures");
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(&file).expect("made");
        }
        let file = file.join(format!("{name}-{}x{}.txt", size.0, size.1));
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&file, &shown).expect("written");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            shown == kept,
            "{} shows:\n{shown}\nIf that is right: {WRITE}=1 cargo test --lib tui::",
            file.display()
        );
    }
}

/// A machine for a screen.
pub(super) fn example() -> Arc<Fake> {
    Arc::new(Fake::example())
}
