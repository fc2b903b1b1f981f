//! How a request came in: at an alias's own address or path, the `model` of its body does not matter.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::ids::Name;

/// What the paths of all aliases begin with.
pub(super) const PREFIX: &str = "/a/";

/// How a request came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The alias whose own address or path it is; `None`: requests can name any model.
    pub(super) alias: Option<Name>,
    /// It came in by the path of the alias, not by its address.
    pub(super) by_path: bool,
}

impl Entry {
    /// The entry of a request for `path` at the address of `alias`, if that is one's own.
    pub(super) fn new(alias: Option<Name>, path: &str) -> Self {
        match (alias, split(path)) {
            (None, Some((alias, _))) => Self { alias: Some(alias.as_ref().into()), by_path: true },
            (alias, _) => Self { alias, by_path: false },
        }
    }

    /// The prefix of the alias that `path` has, and the path behind it.
    pub(super) fn inside<'p>(&self, path: &'p str) -> (&'p str, &'p str) {
        match split(path) {
            Some((_, inside)) if self.by_path => path.split_at(path.len() - inside.len()),
            _ => ("", path),
        }
    }
}

/// The alias that `path` names, and the path behind it: `/a/{alias}/v1/...`. `None`: the path belongs to no alias.
fn split(path: &str) -> Option<(Cow<'_, str>, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    let (alias, inside) = rest.split_at(rest.find('/')?);
    let alias = percent_decode_str(alias).decode_utf8().ok().filter(|alias| !alias.is_empty())?;
    Some((alias, inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_named_by_one_segment() {
        let split = |path| split(path).map(|(alias, inside)| (alias.into_owned(), inside));
        assert_eq!(split("/a/quick/v1/models"), Some(("quick".into(), "/v1/models")));
        assert_eq!(split("/a/qwen%2Fthink/rerank"), Some(("qwen/think".into(), "/rerank")));
        assert_eq!(split("/a/qwen3:think/"), Some(("qwen3:think".into(), "/")));
        for nobody in ["/a/quick", "/a//v1/models", "/v1/models", "/a", "/", "/b/quick/v1", "/a/%ff/v1"] {
            assert_eq!(split(nobody), None, "{nobody}");
        }
    }
}
