//! Which configuration a command is about: `FILE|NAME…` and `--set`, the same for all commands.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::saved::store::Store;
use super::shell::quoted;
use crate::app::{RunningGateway, SavedName, Source, config_dir, one_model_file};
use crate::config::Setting;

/// Endings of files; a word with one of them is a path.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// One configuration on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConfigArg {
    /// A file: a word with a slash, or ending in .yaml, .yml or .json.
    Path(PathBuf),
    /// A saved configuration.
    Name(SavedName),
    /// Standard input: `-`.
    StandardInput,
}

impl FromStr for ConfigArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            Ok(Self::StandardInput)
        } else if text.contains('/') || ENDINGS.iter().any(|ending| text.ends_with(ending)) {
            Ok(Self::Path(text.into()))
        } else {
            let not = |why: String| format!("{why}. A path of a file has a slash or ends in .yaml: ./{text}");
            text.parse().map(Self::Name).map_err(not)
        }
    }
}

impl ConfigArg {
    /// The file that is meant. Blocks.
    ///
    /// # Errors
    /// Which names there are, where nothing has this one.
    pub(super) fn file(&self) -> Result<PathBuf, String> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Name(name) => saved(name, config_dir()).or_else(|why| {
                // Of `enginehouse run`.
                let made = one_model_file(name);
                if made.is_file() { Ok(made) } else { Err(why) }
            }),
            Self::StandardInput => {
                Err("Standard input (`-`) can only be checked: `enginehouse check -`. Give a file or a name here."
                    .into())
            }
        }
    }
}

impl ConfigArg {
    /// The file of the gateway that is meant and runs: where a configuration is saved under the name of a gateway of
    /// `enginehouse run`, and only the latter runs, it is the latter's. Blocks.
    ///
    /// # Errors
    /// Those of [`Self::file`].
    fn file_that_runs(&self) -> Result<PathBuf, String> {
        let file = self.file()?;
        let Self::Name(name) = self else { return Ok(file) };
        let running = RunningGateway::all();
        let runs = |file: &Path| running.iter().any(|gateway| gateway.configuration_file == *file);
        let made = one_model_file(name);
        Ok(if runs(&made) && !runs(&file) { made } else { file })
    }
}

/// The files of the gateway that is meant by these arguments and runs.
///
/// # Errors
/// Every name that nothing has.
pub(super) fn files_that_run(args: &[ConfigArg]) -> Result<Vec<PathBuf>, String> {
    match args {
        [one] => one.file_that_runs().map(|file| vec![file]),
        several => files(several),
    }
}

/// The files of these arguments.
///
/// # Errors
/// Every name that nothing has.
pub(super) fn files(args: &[ConfigArg]) -> Result<Vec<PathBuf>, String> {
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    for arg in args {
        match arg.file() {
            Ok(file) => files.push(file),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() { Ok(files) } else { Err(wrong.join("\n")) }
}

/// The file of the configuration saved as `name` in `folder`.
fn saved(name: &SavedName, folder: PathBuf) -> Result<PathBuf, String> {
    let store = Store { folder, what: "configuration" };
    store.existing(name).map_err(|why| {
        let name = name.as_str();
        if Path::new(name).is_file() {
            format!("{why} For the file `{name}` in this folder write ./{name}")
        } else {
            format!("{why} The path of a file has a slash or ends in .yaml: ./{name}.yaml")
        }
    })
}

/// Where the configuration of a command comes from.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// The configuration: files (a slash, or ending in .yaml), or names of saved configurations; later ones are put on top of
    /// earlier ones
    #[arg(value_name = "FILE|NAME", required = true)]
    configurations: Vec<ConfigArg>,
    /// Set one key to a value (YAML), whatever the files say: --set listen=127.0.0.1:9000, --set 'models.m.gpus=[0, 1]'; `null`
    /// removes it; can be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
}

impl ConfigArgs {
    /// One file and nothing else.
    #[cfg(test)]
    pub(super) fn of_file(path: &str) -> Self {
        Self { configurations: vec![ConfigArg::Path(path.into())], settings: Vec::new() }
    }

    /// One file, with settings on top.
    pub(super) fn with(file: PathBuf, settings: Vec<Setting>) -> Self {
        Self { configurations: vec![ConfigArg::Path(file)], settings }
    }

    /// The one that is standard input, where that is all.
    pub(super) fn is_standard_input(&self) -> bool {
        self.configurations == [ConfigArg::StandardInput]
    }

    /// The settings of the command line.
    pub(super) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The files.
    ///
    /// # Errors
    /// Every name that nothing has.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, String> {
        files(&self.configurations)
    }

    /// What is given, as words of a shell, to be shown.
    pub(super) fn words(&self) -> String {
        let word = |arg: &ConfigArg| match arg {
            ConfigArg::Path(path) => quoted(&path.display().to_string()),
            ConfigArg::Name(name) => name.as_str().to_owned(),
            ConfigArg::StandardInput => "-".to_owned(),
        };
        self.configurations.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The files and settings. `state_dir`: instead of that of the files.
    ///
    /// # Errors
    /// Every name that nothing has.
    pub(super) fn source(&self, state_dir: Option<PathBuf>) -> Result<Source, String> {
        Ok(Source::new(&self.files()?, self.settings.clone(), state_dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_slash_or_an_ending_and_the_rest_are_names() {
        let path = |text: &str| Ok(ConfigArg::Path(text.into()));
        for text in ["./a", "a/b", "a.yaml", "b.yml", "c.json", "/dev/stdin"] {
            assert_eq!(text.parse(), path(text), "{text}");
        }
        assert_eq!("prod".parse(), Ok(ConfigArg::Name("prod".parse().expect("a name"))));
        assert_eq!("-".parse(), Ok(ConfigArg::StandardInput));
        let told = ".hidden".parse::<ConfigArg>().expect_err("no name");
        assert!(told.contains("./.hidden"), "{told}");
    }

    #[test]
    fn a_name_that_nothing_has_is_told_with_those_that_there_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let find = |name: &str| saved(&name.parse().expect("a name"), folder.path().to_owned());
        let told = find("prod").expect_err("nothing is saved");
        assert!(told.contains("Nothing is saved there") && told.contains("./prod.yaml"), "{told}");
        std::fs::write(folder.path().join("prod.yaml"), "").expect("written");
        std::fs::write(folder.path().join("test.yaml"), "").expect("written");
        assert_eq!(find("prod"), Ok(folder.path().join("prod.yaml")));
        let told = find("prd").expect_err("no such name");
        assert!(told.contains("Did you mean `prod`?") && told.contains("prod, test"), "{told}");
    }
}
