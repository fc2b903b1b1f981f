//! How a request came in: at an alias's own address or path, the `model` of its body does not matter.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::ids::Name;

/// What the paths of all aliases begin with.
pub(super) const PREFIX: &str = "/a/";

/// What the paths of Azure's API begin with. A deployment follows, which is an alias here, and what is below `/v1` elsewhere.
const AZURE: &str = "/openai/deployments/";

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
            (None, Some((alias, ..))) => Self { alias: Some(alias.as_ref().into()), by_path: true },
            (alias, _) => Self { alias, by_path: false },
        }
    }

    /// The prefix of the alias that `path` has, and the path behind it.
    pub(super) fn inside<'p>(&self, path: &'p str) -> (&'p str, Cow<'p, str>) {
        match split(path) {
            Some((_, prefix, inside)) if self.by_path => (prefix, inside),
            _ => ("", Cow::Borrowed(path)),
        }
    }
}

/// The alias that `path` names, the prefix that does so, and the path behind it: `/a/{alias}/v1/...`, or as Azure's clients
/// write it. `None`: the path belongs to no alias.
fn split(path: &str) -> Option<(Cow<'_, str>, &str, Cow<'_, str>)> {
    let own = path.strip_prefix(PREFIX);
    let rest = own.or_else(|| path.strip_prefix(AZURE))?;
    let (alias, inside) = rest.split_at(rest.find('/')?);
    let alias = percent_decode_str(alias).decode_utf8().ok().filter(|alias| !alias.is_empty())?;
    let (prefix, _) = path.split_at(path.len() - inside.len());
    let inside = if own.is_some() { Cow::Borrowed(inside) } else { Cow::Owned(format!("/v1{inside}")) };
    Some((alias, prefix, inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_named_by_one_segment() {
        for (path, alias, prefix, inside) in [
            ("/a/quick/v1/models", "quick", "/a/quick", "/v1/models"),
            ("/a/qwen%2Fthink/rerank", "qwen/think", "/a/qwen%2Fthink", "/rerank"),
            ("/a/qwen3:think/", "qwen3:think", "/a/qwen3:think", "/"),
            (
                "/openai/deployments/gpt-4o/chat/completions",
                "gpt-4o",
                "/openai/deployments/gpt-4o",
                "/v1/chat/completions",
            ),
        ] {
            assert_eq!(split(path), Some((alias.into(), prefix, inside.into())), "{path}");
        }
        for nobody in ["/openai/deployments/gpt-4o", "/openai/deployments//chat/completions", "/openai/v1/models"] {
            assert_eq!(split(nobody), None, "{nobody}");
        }
        for nobody in ["/a/quick", "/a//v1/models", "/v1/models", "/a", "/", "/b/quick/v1", "/a/%ff/v1"] {
            assert_eq!(split(nobody), None, "{nobody}");
        }
    }
}
