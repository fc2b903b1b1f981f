//! What a configuration is made of: the texts of its files, later ones on top, and settings of the command line on top of all.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::{self, COMMAND_LINE, Kind, Node, Origins};
use super::file::{START, read_file};
use super::gateway_name::gateway_name;
use super::layer::Layer;
use super::setting::Setting;
use super::user_profiles::UserProfiles;
use super::{foreign, rewrite};

/// The parts of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    files: Vec<Layer>,
    settings: Arc<[Setting]>,
    /// The user's profiles.
    profiles: Arc<[Layer]>,
}

impl Layers {
    /// These files in this order, and `settings`, which win over all of them.
    #[must_use]
    pub fn new(files: Vec<Layer>, settings: Arc<[Setting]>) -> Self {
        Self { files, settings, ..Self::default() }
    }

    /// The same, where models may name the profiles in these files: each is called what its file is without its ending.
    #[must_use]
    pub fn with_profiles(self, profiles: Arc<[Layer]>) -> Self {
        Self { profiles, ..self }
    }

    /// One text that is, or would be, in the file at `path`.
    #[must_use]
    pub fn of(path: &FilePath, text: &str) -> Self {
        Self { files: vec![Layer { path: path.to_owned(), text: text.into() }], ..Self::default() }
    }

    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// All that cannot be read.
    pub fn read(files: &[PathBuf], settings: Arc<[Setting]>) -> Result<Self, Diagnostics> {
        let (mut layers, mut found) = (Vec::with_capacity(files.len()), Vec::new());
        for path in files {
            match read_file(path) {
                Ok(text) => layers.push(Layer { path: path.clone(), text: text.into() }),
                Err(why) => found.extend(why.0),
            }
        }
        if found.is_empty() { Ok(Self::new(layers, settings)) } else { Err(Diagnostics(found)) }
    }

    /// The files, in order.
    #[must_use]
    pub fn files(&self) -> &[Layer] {
        &self.files
    }

    /// The same with another text in the file number `at`.
    #[must_use]
    pub fn with_text(&self, at: usize, text: Arc<str>) -> Self {
        let mut layers = self.clone();
        if let Some(layer) = layers.files.get_mut(at) {
            layer.text = text;
        }
        layers
    }

    /// The same places and settings with `text` for all that the files say.
    #[must_use]
    pub fn in_place(&self, text: &str) -> Self {
        let mut texts = Some(text).into_iter();
        let layer = |layer: &Layer| Layer { path: layer.path.clone(), text: texts.next().unwrap_or_default().into() };
        Self { files: self.files.iter().map(layer).collect(), ..self.clone() }
    }

    /// Whether a setting of the command line is about something at or below these keys.
    #[must_use]
    pub fn is_set(&self, keys: &[&str]) -> bool {
        self.settings.iter().any(|setting| setting.touches(keys))
    }

    /// The numbers of the files that have something under these keys.
    #[must_use]
    pub fn files_with(&self, keys: &[&str]) -> Vec<usize> {
        let has = |text: &str| {
            let mut value = rewrite::as_written(text).map(serde_json::Value::Object);
            for key in keys {
                value = value.and_then(|value| value.get(key).cloned());
            }
            value.is_some()
        };
        let having = self.files.iter().enumerate().filter(|(_, layer)| has(&layer.text));
        having.map(|(at, _)| at).collect()
    }

    /// All of it as one text; `None`: it is not one.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if let ([one], true) = (&self.files[..], self.settings.is_empty()) {
            return Some(one.text.to_string());
        }
        // JSON is YAML.
        self.document().ok().map(|document| document.root.as_written().to_string())
    }

    /// The name of a gateway with this configuration, where it says none.
    pub(super) fn gateway_name(&self) -> String {
        gateway_name(&self.files.iter().map(|layer| &*layer.path).collect::<Vec<_>>())
    }

    /// The user's profiles, whose lines are added to those of `origins`.
    pub(super) fn profiles(&self, origins: &mut Origins) -> UserProfiles {
        UserProfiles::read(&self.profiles, origins)
    }

    /// All of it as one document.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn document(&self) -> Result<Document, Diagnostics> {
        let is_one = self.files.len() == 1;
        let (mut whole, mut found, mut origins) = (None, Vec::new(), Origins::default());
        let mut is_read = true;
        for layer in &self.files {
            let name = layer.path.display().to_string();
            let file = (!is_one).then_some(&*name);
            let Some(mut node) = read(&layer.text, file, &mut found)? else {
                is_read = false;
                continue;
            };
            let lines = u64::try_from(layer.text.lines().count()).unwrap_or(u64::MAX);
            origins.add(&name, lines, &mut node);
            whole = Some(match whole {
                None => node,
                Some(lower) => document::merged(lower, node),
            });
        }
        let (Some(mut root), true) = (whole, is_read) else { return Err(Diagnostics(found)) };
        for setting in self.settings.iter() {
            let Some((mut node, lines)) = setting.document() else { continue };
            origins.add(COMMAND_LINE, lines, &mut node);
            root = document::merged(root, node);
        }
        if matches!(root.kind, Kind::Null) {
            return Err(Diagnostics::file("The file is empty.", START));
        }
        Ok(Document { root, origins, found })
    }
}

/// A document, and what is wrong with its parts as YAML.
pub(super) struct Document {
    pub(super) root: Node,
    pub(super) origins: Origins,
    pub(super) found: Vec<Diagnostic>,
}

/// What one file says; `None`: it is not YAML, which is told.
fn read(text: &str, file: Option<&str>, found: &mut Vec<Diagnostic>) -> Result<Option<Node>, Diagnostics> {
    let mut own = Vec::new();
    let root = document::read(text.strip_prefix('\u{feff}').unwrap_or(text), &mut own);
    found.extend(own.into_iter().map(|one| one.in_file(file)));
    let Some(root) = root else { return Ok(None) };
    let told = match &root.kind {
        Kind::Map(_) | Kind::Null => foreign::recognise(&root),
        _ => Some(Diagnostics::file("The file is not a mapping of keys to values.", START)),
    };
    match told {
        None => Ok(Some(root)),
        Some(told) => Err(Diagnostics(told.0.into_iter().map(|one| one.in_file(file)).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse_layers};

    fn layers(texts: &[&str], settings: &[&str]) -> Layers {
        let layer = |(at, text): (usize, &&str)| Layer { path: format!("/c/{at}.yaml").into(), text: (*text).into() };
        let settings = settings.iter().map(|text| text.parse().expect("a setting")).collect();
        Layers::new(texts.iter().enumerate().map(layer).collect(), settings)
    }

    fn read(texts: &[&str], settings: &[&str]) -> Result<Config, Diagnostics> {
        parse_layers(&layers(texts, settings), &|_| None)
    }

    fn told(texts: &[&str], settings: &[&str]) -> Vec<String> {
        read(texts, settings).expect_err("something is wrong").0.iter().map(Diagnostic::place).collect()
    }

    const BASE: &str = "listen: 127.0.0.1:8000\nmodels:\n  m: { source: s, gpu_memory: 0.5 }\n";

    #[test]
    fn later_files_and_then_settings_win() {
        let config = read(
            &[BASE, "# nothing\n", "models:\n  m: { replicas: 2 }\n  n: { source: t }\n"],
            &["listen=127.0.0.1:9000"],
        )
        .expect("valid");
        assert_eq!((config.listen.port(), config.models.len()), (9000, 2));
        let one = read(&[BASE], &["models.m=null", "models.n={source: t}"]).expect("valid");
        assert_eq!(one.models.iter().map(|model| &*model.name).collect::<Vec<_>>(), ["n"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_file_and_line() {
        assert_eq!(
            told(&[BASE, "\nmodels:\n  m: { gpu_memory: 2, repicas: 1 }\nthreads: 0\n"], &["limits.body=many"]),
            [
                "models.m.gpu_memory, line 3 of /c/1.yaml",
                "models.m.repicas, line 3 of /c/1.yaml",
                "threads, line 4 of /c/1.yaml",
                "limits.body, --set",
            ]
        );
        assert_eq!(
            told(&["listen: x\nmodels: { m: { source: s } }\n", "threads: 0\n"], &[]),
            ["listen, line 1 of /c/0.yaml", "threads, line 1 of /c/1.yaml"]
        );
        assert_eq!(told(&[BASE, "a: 1\na: 2\n"], &[]), ["a, line 2 of /c/1.yaml"]);
        assert!(told(&[BASE, "a: [\n"], &[])[0].starts_with("/c/1.yaml, line "));
        assert_eq!(told(&[BASE, "- a\n"], &[]), ["/c/1.yaml"]);
        assert_eq!(told(&[BASE], &["threads=0"]), ["threads, --set"]);
        assert_eq!(told(&[&format!("{BASE}threads: 0\n")], &[]), ["threads, line 4"], "of the only file");
        assert_eq!(told(&["", "# nothing"], &[]), ["(the file)"]);
    }

    #[test]
    fn one_text_says_the_same_as_its_layers() {
        let all = layers(&[BASE, "models: { m: { args: { seed: 1 } } }"], &["threads=2"]);
        let text = all.text().expect("a document");
        let one = parse_layers(&Layers::of(FilePath::new("/c/0.yaml"), &text), &|_| None).expect("valid");
        let whole = parse_layers(&all, &|_| None).expect("valid");
        assert_eq!(Config { name: whole.name.clone(), ..one }, whole);
        assert_eq!(layers(&[BASE], &[]).text().as_deref(), Some(BASE), "as it is written");
        assert_eq!(all.files_with(&["models", "m"]), [0, 1]);
        assert_eq!(all.files_with(&["models", "m", "args"]), [1]);
        assert!(all.is_set(&["threads"]) && !all.is_set(&["models", "m"]));
    }
}
