//! Paths as clients send them: what base URLs with a slash too many or `/v1` twice make of them, and what a wrong one meant.

use std::borrow::Cow;

use super::Endpoint;
use crate::similar::similar;

/// The list of models; below it each one.
pub const MODELS: &str = "/v1/models";

/// Asked by load balancers and monitors.
pub const PROBES: [&str; 4] = ["/health", "/livez", "/readyz", "/ping"];

/// Which gateway this is.
pub const VERSION: &str = "/version";

/// What every path of OpenAI's API begins with.
const V1: &str = "v1";

/// `path` without doubled slashes, without slashes at its end and with a leading `/v1` once, where it is not the exact path
/// of an [`Endpoint`]. The name of a model behind [`MODELS`] stays as it is but for slashes around it.
#[must_use]
pub fn normal(path: &str) -> Cow<'_, str> {
    if Endpoint::find(path).is_some() || path == "/" {
        return Cow::Borrowed(path);
    }
    let mut rest = path;
    let mut whole = String::new();
    loop {
        rest = rest.trim_start_matches('/');
        if rest.is_empty() {
            break;
        }
        if whole == MODELS {
            // What follows is a name, which may have any characters.
            whole = format!("{whole}/{}", rest.trim_end_matches('/'));
            break;
        }
        let (segment, behind) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if segment != V1 || whole.get(1..) != Some(V1) {
            whole.push('/');
            whole.push_str(segment);
        }
        rest = behind;
    }
    match whole.as_str() {
        "" => Cow::Borrowed("/"),
        same if same == path => Cow::Borrowed(path),
        _ => Cow::Owned(whole),
    }
}

/// The path that was probably meant by `path`, which there is not.
#[must_use]
pub fn meant(path: &str) -> Option<&'static str> {
    let path = path.get(..128).unwrap_or(path).to_ascii_lowercase();
    let known = || Endpoint::ALL.into_iter().map(Endpoint::path).chain([MODELS]).chain(PROBES);
    // `/v1` alone is the beginning of everything.
    let is_long = path.len() > "/v1/".len();
    // Without `/v1`; then with something before it (`/api/v1/…`) or in its place; then cut off, or misspelt.
    let missing = known().find(|known| known.strip_prefix("/v1") == Some(&path));
    let ends = |known: &&str| path.ends_with(known) || path.ends_with(known.strip_prefix("/v1").unwrap_or(known));
    missing
        .or_else(|| known().filter(ends).max_by_key(|known| known.len()))
        .or_else(|| known().filter(|_| is_long).find(|known| behind(known, &path).is_some()))
        .or_else(|| misspelt(&path, known))
}

/// The known path of which `path` differs in its last word alone, and little.
fn misspelt<K: Iterator<Item = &'static str>>(path: &str, known: impl Fn() -> K) -> Option<&'static str> {
    fn parts(path: &str) -> Option<(&str, &str)> {
        path.strip_prefix("/v1").unwrap_or(path).rsplit_once('/')
    }
    let (folder, word) = parts(path)?;
    let beside = || known().filter(|known| parts(known).is_some_and(|(other, _)| other == folder));
    let words = beside().filter_map(|known| Some(parts(known)?.1));
    let meant = *similar(word, words, 1).first()?;
    beside().find(|known| parts(known).is_some_and(|(_, other)| other == meant))
}

/// What `path` has behind the whole segments of `beginning`.
fn behind<'p>(path: &'p str, beginning: &str) -> Option<&'p str> {
    path.strip_prefix(beginning).filter(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_too_many_and_a_second_v1_mean_nothing() {
        for (path, expected) in [
            ("/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/chat/completions/", "/v1/chat/completions"),
            ("/v1//chat/completions", "/v1/chat/completions"),
            ("//v1/chat///completions//", "/v1/chat/completions"),
            ("/v1/v1/chat/completions", "/v1/chat/completions"),
            ("/v1//v1/v1/messages/count_tokens/", "/v1/messages/count_tokens"),
            ("/rerank/", "/rerank"),
            ("/health/", "/health"),
            ("/", "/"),
            ("//", "/"),
            ("", "/"),
            ("/v1/models/", "/v1/models"),
            ("/v1/v1/models/org//v1/v1", "/v1/models/org//v1/v1"),
            ("/v1/models//org/m/", "/v1/models/org/m"),
            // Not at the beginning it is somebody's own.
            ("/x/v1/v1", "/x/v1/v1"),
            ("/V1/score", "/V1/score"),
            ("/v1/../score", "/v1/../score"),
            ("/v1/chat/completionsx", "/v1/chat/completionsx"),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn a_wrong_path_is_told_the_right_one() {
        for (path, expected) in [
            ("/chat/completions", Some("/v1/chat/completions")),
            ("/completions", Some("/v1/completions")),
            ("/models", Some("/v1/models")),
            ("/messages", Some("/v1/messages")),
            ("/api/v1/chat/completions", Some("/v1/chat/completions")),
            ("/openai/deployments/gpt/chat/completions", Some("/v1/chat/completions")),
            ("/v1/tokenize", Some("/tokenize")),
            ("/v1/health", Some("/health")),
            ("/v1/chat", Some("/v1/chat/completions")),
            ("/v1/chat/completion", Some("/v1/chat/completions")),
            ("/V1/Embeddings", Some("/v1/embeddings")),
            ("/v1/embedings", Some("/v1/embeddings")),
            ("/chat/completion", Some("/v1/chat/completions")),
            ("/v1/assistants", None),
            ("/v1/files", None),
            ("/v1/moderations", None),
            ("/v1/audio/speech", None),
            ("/v1", None),
            ("/v2", None),
            ("/favicon.ico", None),
            ("/sleep", None),
            ("/metrics", None),
        ] {
            assert_eq!(meant(path), expected, "{path}");
        }
    }
}
