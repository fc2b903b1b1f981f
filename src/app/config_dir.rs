//! Where people keep configurations under a name: `$XDG_CONFIG_HOME/enginehouse/NAME.yaml`.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::state_dir::state_dirs;

/// What such a file's name ends in.
const ENDING: &str = "yaml";

/// Longer names are none: characters.
const LONGEST: usize = 100;

/// The folder of saved configurations: `$XDG_CONFIG_HOME/enginehouse`, or `~/.config/enginehouse` (XDG Base Directory
/// Specification); without a home `/etc/enginehouse`.
#[must_use]
pub fn config_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    var("XDG_CONFIG_HOME")
        .or_else(|| var("HOME").map(|home| home.join(".config")))
        .unwrap_or_else(|| "/etc".into())
        .join("enginehouse")
}

/// The name of something that is saved: letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavedName(String);

impl SavedName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its file in `folder`.
    #[must_use]
    pub fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.{ENDING}", self.0))
    }
}

impl FromStr for SavedName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fit = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        let ok = text.starts_with(char::is_alphanumeric) && text.chars().all(fit) && text.chars().count() <= LONGEST;
        let why = "it cannot be a name: use letters, digits, `-`, `_` and `.`, beginning with a letter or digit";
        if ok { Ok(Self(text.to_owned())) } else { Err(why.to_owned()) }
    }
}

/// The configuration that was made for one model which is served without a file, by the name of its gateway: in its state
/// directory.
#[must_use]
pub fn one_model_file(name: &SavedName) -> PathBuf {
    state_dirs().join(name.as_str()).join("run.yaml")
}

/// What is saved in `folder`, in the order of names; nothing where there is no such folder. Blocks.
///
/// # Errors
/// What the system says.
pub fn saved_names(folder: &Path) -> io::Result<Vec<SavedName>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let name = |path: PathBuf| {
        let is_saved = path.extension().is_some_and(|ending| ending == ENDING) && path.is_file();
        path.file_stem().filter(|_| is_saved)?.to_str()?.parse().ok()
    };
    let mut names: Vec<SavedName> = entries.flatten().filter_map(|entry| name(entry.path())).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_listed_in_order() {
        for (text, ok) in
            [("prod", true), ("a.b-c_1", true), ("", false), (".x", false), ("a/b", false), ("a b", false)]
        {
            assert_eq!(text.parse::<SavedName>().is_ok(), ok, "{text}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(saved_names(&folder.path().join("none")).expect("no folder"), []);
        for name in ["b.yaml", "a.yaml", "c.yml", ".d.yaml", "a.yaml.new"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        std::fs::create_dir(folder.path().join("e.yaml")).expect("made");
        let names = saved_names(folder.path()).expect("listed");
        assert_eq!(names.iter().map(SavedName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(names[0].file(folder.path()), folder.path().join("a.yaml"));
    }
}
