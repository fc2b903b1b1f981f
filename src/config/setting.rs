//! One setting that the command line gives: `--set models.qwen.gpus=[0, 1]`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::document::{self, Kind, Node};
use super::path::{Path, Step};

/// A value for one key of the configuration, which wins over the files.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    path: Path,
    /// In YAML.
    value: String,
}

/// Without the value, which may be a secret.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.path)
    }
}

impl Setting {
    /// The setting as a document of its own, and how many lines that has.
    pub(super) fn document(&self) -> Option<(Node, u64)> {
        let value = document::read(&self.value, &mut Vec::new())?;
        let lines = u64::try_from(self.value.lines().count()).unwrap_or(u64::MAX);
        let node = self.path.keys().rev().fold(value, |inner, key| Node {
            kind: Kind::Map(vec![(key.to_owned(), 1, inner)]),
            line: 1,
            spelling: String::new(),
        });
        Some((node, lines))
    }

    /// The setting as it is written on a command line.
    #[must_use]
    pub fn argument(&self) -> String {
        format!("{}={}", self.path, self.value)
    }

    /// Whether it says something about what is at or below these keys: it is there, or it takes the place of what is above. A
    /// mapping above is merged: it says something of its own members only.
    pub(super) fn touches(&self, keys: &[&str]) -> bool {
        let other = Path::of(keys);
        if !self.path.leads_to(&other) {
            return other.leads_to(&self.path);
        }
        let below = keys.get(self.path.steps().len()..).unwrap_or_default();
        document::read(&self.value, &mut Vec::new()).is_none_or(|value| says_something(&value, below))
    }

    /// What these say together, as one mapping.
    ///
    /// # Errors
    /// When two of them are about the same.
    pub fn together(settings: &[Self]) -> Result<Value, String> {
        let mut root = Node { kind: Kind::Map(Vec::new()), line: 1, spelling: String::new() };
        for (at, setting) in settings.iter().enumerate() {
            let keys: Vec<&str> = setting.path.keys().collect();
            let is_above = |other: &Self| setting.path.leads_to(&other.path);
            if settings[..at].iter().any(|other| other.touches(&keys) || is_above(other)) {
                return Err(format!("`{}` is given twice, or inside of what is no mapping.", setting.path));
            }
            if let Some((node, _)) = setting.document() {
                root = document::merged(root, node);
            }
        }
        Ok(root.as_written())
    }
}

/// Whether `value` says something at these keys, on top of what is there.
fn says_something(value: &Node, keys: &[&str]) -> bool {
    let (Kind::Map(members), [first, rest @ ..]) = (&value.kind, keys) else { return true };
    members.iter().any(|(key, _, value)| key == first && says_something(value, rest))
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, rest) = Path::parse(text)?;
        let value =
            rest.strip_prefix('=').ok_or_else(|| format!("nothing is given for `{path}`: write {path}=VALUE"))?;
        if path.steps().iter().any(|step| matches!(step, Step::Index(_))) {
            let list = path.setting();
            return Err(format!("one element of a list cannot be set: give the whole list, as in {list}=[A, B]"));
        }
        if value.trim().is_empty() {
            return Err(format!(
                "nothing stands after the `=`: write `{path}=null` to take the key out, or {path}='\"\"' for an empty text"
            ));
        }
        let mut found = Vec::new();
        document::read(value, &mut found);
        match found.first() {
            None => Ok(Self { path, value: value.to_owned() }),
            Some(wrong) => Err(format!("the value of `{path}` is not YAML: {} {}", wrong.reason, wrong.remedy)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(text: &str) -> String {
        let setting: Setting = text.parse().expect("a setting");
        setting.document().expect("YAML").0.as_written().to_string()
    }

    #[test]
    fn a_setting_is_a_path_and_a_value_in_yaml() {
        for (text, meant) in [
            ("listen=0.0.0.0:80", r#"{"listen":"0.0.0.0:80"}"#),
            ("models.m.gpus=[0, 1]", r#"{"models":{"m":{"gpus":[0,1]}}}"#),
            (r#"models."Qwen/Qwen3-0.6B".source=x=y"#, r#"{"models":{"Qwen/Qwen3-0.6B":{"source":"x=y"}}}"#),
            ("a.b=null", r#"{"a":{"b":null}}"#),
            ("a=''", r#"{"a":""}"#),
            ("a={b: {c: 1}}", r#"{"a":{"b":{"c":1}}}"#),
        ] {
            assert_eq!(meaning(text), meant, "{text}");
            let setting: Setting = text.parse().expect("a setting");
            assert_eq!(setting.argument().parse(), Ok(setting));
        }
    }

    #[test]
    fn what_is_no_setting_says_why() {
        for (text, why) in [
            ("listen", "write listen=VALUE"),
            ("=1", "no key"),
            ("a..b=1", "no key"),
            ("a.=1", "no key"),
            ("a=", "listed"),
            ("models.m.gpus[0]=1", "models.m.gpus=[A, B]"),
            ("a.\"b=1", "never closed"),
            ("a=[1", "not YAML"),
            ("a={b: 1, b: 2}", "written twice"),
        ] {
            let told = text.parse::<Setting>().expect_err(text);
            let why = if why == "listed" { "a=null" } else { why };
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn a_setting_touches_what_is_around_it_and_in_it() {
        let setting: Setting = "models.m.gpus=[0]".parse().expect("a setting");
        assert!(setting.touches(&["models", "m"]) && setting.touches(&["models"]));
        assert!(!setting.touches(&["models", "n"]) && !setting.touches(&["aliases", "m"]));
        assert_eq!(format!("{setting:?}"), "Setting(models.m.gpus)");
        let above: Setting = "models={m: {gpus: [0]}}".parse().expect("a setting");
        assert!(
            above.touches(&["models", "m"]) && above.touches(&["models", "m", "gpus"]) && above.touches(&["models"])
        );
        assert!(!above.touches(&["models", "n"]) && !above.touches(&["models", "m", "args"]), "it is merged");
        let none: Setting = "models=null".parse().expect("a setting");
        assert!(none.touches(&["models", "m"]), "it takes all of them away");
    }

    #[test]
    fn settings_together_are_one_mapping() {
        let all = |texts: &[&str]| {
            let settings: Result<Vec<Setting>, _> = texts.iter().map(|text| text.parse()).collect();
            Setting::together(&settings?)
        };
        let together = all(&["model=qwen", "defaults.seed=1", "defaults.stop=[a, b=c]"]).expect("one mapping");
        assert_eq!(together.to_string(), r#"{"model":"qwen","defaults":{"seed":1,"stop":["a","b=c"]}}"#);
        for twice in [["a=1", "a=2"], ["a=1", "a.b=2"], ["a.b=1", "a=2"], ["a={b: 1}", "a.b=2"]] {
            assert!(all(&twice).is_err_and(|told| told.contains("twice")), "{twice:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-c.=\"\\\\\\[\\]0-9{}: é-]{0,20}") {
            if let Ok(setting) = text.parse::<Setting>() {
                proptest::prop_assert!(setting.document().is_some());
            }
        }
    }
}
