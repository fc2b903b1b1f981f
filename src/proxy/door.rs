//! Addresses and paths of an alias's own, for callers that cannot name a model.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What the paths of all aliases begin with.
const PREFIX: &str = "/a/";

/// The alias that `path` names, and the path behind it: `/a/{alias}/v1/...`. `None`: it is nobody's own.
pub(super) fn split(path: &str) -> Option<(Cow<'_, str>, &str)> {
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
