//! Where in a configuration something is: `models.qwen.gpus[1]`.

use std::fmt;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// Steps from the top. Displayed the way a person would say it; keys that hold dots or blanks are quoted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Path(Vec<Step>);

impl Path {
    /// The path of these keys.
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    /// The path that `text` begins with, spelt as paths are displayed, and what follows it.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn parse(text: &str) -> Result<(Self, &str), String> {
        let (mut path, mut rest) = (Self::default(), text);
        loop {
            let (key, after) = key(rest)?;
            if key.is_empty() && !rest.starts_with('"') {
                return Err(format!(
                    "there is no key at {rest:?}: write the keys that lead to the setting, as in log.level"
                ));
            }
            (path, rest) = (path.key(&key), after);
            while let Some(inside) = rest.strip_prefix('[') {
                let number = inside.split_once(']').and_then(|(number, after)| Some((number.parse().ok()?, after)));
                let (at, after) =
                    number.ok_or_else(|| format!("{rest:?} is no index: write a key with [ ] in quotes"))?;
                (path, rest) = (path.index(at), after);
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None => return Ok((path, rest)),
            }
        }
    }

    /// The member `key` of what is here.
    pub(super) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The element `at` of what is here.
    pub(super) fn index(&self, at: usize) -> Self {
        self.step(Step::Index(at))
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The steps, from the top.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The path without its last step.
    pub(super) fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// The keys on the way.
    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    /// The last key on the way.
    pub(super) fn last_key(&self) -> Option<&str> {
        self.keys().next_back()
    }

    /// The path up to its last key: the setting that a list element belongs to.
    pub(super) fn setting(&self) -> Self {
        let end = self.0.iter().rposition(|step| matches!(step, Step::Key(_))).map_or(0, |at| at + 1);
        Self(self.0[..end].to_vec())
    }

    /// Whether this path leads to the other, or is it.
    pub(super) fn leads_to(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

/// The key that `text` begins with, plain or in quotes, and what follows it.
fn key(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '=', '[', '"']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut is_escaped = false;
    let is_end = |c: char| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    };
    let open = || format!("the quote at {text:?} is never closed");
    let end = quoted.find(is_end).ok_or_else(open)? + 2;
    let key = serde_json::from_str(&text[..end]).map_err(|error| format!("{}: {error}", &text[..end]))?;
    Ok((key, &text[end..]))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    let plain = |c: char| c.is_alphanumeric() || "-_/:@+".contains(c);
                    if !key.is_empty() && key.chars().all(plain) { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_speech_and_quote_what_would_mislead() {
        let path = Path::of(&["models", "Qwen/Qwen3-0.6B", "gpus"]).index(1);
        assert_eq!(path.to_string(), r#"models."Qwen/Qwen3-0.6B".gpus[1]"#);
        assert_eq!(path.setting(), Path::of(&["models", "Qwen/Qwen3-0.6B", "gpus"]));
        assert_eq!((path.last_key(), path.parent()), (Some("gpus"), path.setting()));
    }

    #[test]
    fn a_displayed_path_is_read_again() {
        for path in [
            Path::of(&["models", "Qwen/Qwen3-0.6B", "gpus"]).index(1),
            Path::of(&["a", "b.c", "d\"e\\", "é f"]),
            Path::of(&["", "x"]).index(0).index(2).key("y"),
        ] {
            let text = format!("{path}=rest");
            assert_eq!(Path::parse(&text), Ok((path, "=rest")), "{text}");
        }
    }

    #[test]
    fn a_path_leads_to_itself_and_what_is_below() {
        let path = Path::of(&["models", "a"]);
        assert!(path.leads_to(&path) && path.leads_to(&path.key("gpus")));
        assert!(!path.leads_to(&Path::of(&["models"])) && !path.leads_to(&Path::of(&["models", "b"])));
    }
}
