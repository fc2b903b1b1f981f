//! Where a model lies on this disk: a folder, or a snapshot in the Hugging Face cache.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folder (or single `.gguf` file) of the model `source`, or `None` when it is not on disk: nothing is ever fetched.
///
/// A path that exists is taken as it is; else `source` is a hub id such as `Qwen/Qwen3-8B`, looked up in the cache of
/// the Hugging Face hub (`HF_HUB_CACHE`, else `HF_HOME/hub`, else `XDG_CACHE_HOME/huggingface/hub`, else
/// `~/.cache/huggingface/hub`; `huggingface_hub/constants.py`) at `revision`, a branch, tag or commit. `env` gives the
/// environment of the engine, which may differ from our own.
#[must_use]
pub fn find(source: &str, revision: Option<&str>, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if source.is_empty() {
        return None;
    }
    let path = Path::new(source);
    if path.exists() {
        return Some(path.to_owned());
    }
    let parts: Vec<&str> = source.split('/').collect();
    if parts.len() > 2 || !parts.iter().all(|part| plain(part)) {
        return None;
    }
    let model = hub_cache(env)?.join(format!("models--{}", parts.join("--")));
    let revision = revision.filter(|text| !text.is_empty()).unwrap_or("main");
    if !revision.split('/').all(plain) {
        return None;
    }
    // A branch or tag is a file under `refs` that holds the commit; a commit names its snapshot itself.
    let commit = fs::read_to_string(model.join("refs").join(revision)).ok();
    let commit = commit.as_deref().map_or(revision, str::trim);
    let snapshot = model.join("snapshots").join(commit);
    (plain(commit) && snapshot.is_dir()).then_some(snapshot)
}

/// One name, that cannot lead out of the folder it is joined to.
fn plain(part: &str) -> bool {
    let mut components = Path::new(part).components();
    matches!(components.next(), Some(Component::Normal(name)) if name == part) && components.next().is_none()
}

/// The cache of the Hugging Face hub as `env` names it; it need not be there. `None` without any of the variables that
/// [`find`] tells of.
#[must_use]
pub fn hub_cache(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = |name: &str| env(name).filter(|text| !text.is_empty()).map(|text| home_expanded(&text, env));
    folder("HF_HUB_CACHE")
        .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

/// The hub library expands a leading `~` in these variables.
fn home_expanded(text: &str, env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    match (text.strip_prefix('~'), env("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            Path::new(&home).join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn snapshot(hub: &Path, model: &str, commit: &str) -> PathBuf {
        let folder = hub.join(model);
        fs::create_dir_all(folder.join("refs")).unwrap();
        fs::create_dir_all(folder.join("snapshots").join(commit)).unwrap();
        fs::write(folder.join("refs/main"), format!("{commit}\n")).unwrap();
        folder.join("snapshots").join(commit)
    }

    #[test]
    fn a_folder_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().to_str().unwrap();
        assert_eq!(find(text, None, &|_| None).as_deref(), Some(folder.path()));
        assert_eq!(find(&format!("{text}/none"), None, &|_| None), None);
        assert_eq!(find("", None, &|_| None), None);
    }

    #[test]
    fn the_cache_is_looked_for_in_the_hubs_own_order() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let places = ["hub-cache", "hf/hub", "xdg/huggingface/hub", "home/.cache/huggingface/hub"];
        let found: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(i, place)| snapshot(&at(place), "models--o--m", &format!("c{i}")))
            .collect();
        let names = ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"];
        let values = [at("hub-cache"), at("hf"), at("xdg"), at("home")];
        for first in 0..names.len() {
            let env = |name: &str| {
                let index = names.iter().position(|known| *known == name).filter(|index| *index >= first)?;
                Some(values[index].to_str().unwrap().to_owned())
            };
            assert_eq!(find("o/m", None, &env).as_ref(), Some(&found[first]), "{}", names[first]);
        }
        let tilde = |name: &str| match name {
            "HF_HOME" => Some("~/x".to_owned()),
            "HOME" => Some(at("home").to_str().unwrap().to_owned()),
            _ => None,
        };
        let own = snapshot(&at("home/x/hub"), "models--o--m", "c9");
        assert_eq!(find("o/m", None, &tilde), Some(own));
    }

    #[test]
    fn revisions_are_branches_or_commits_and_nothing_leads_out() {
        let root = tempfile::tempdir().unwrap();
        let env = |name: &str| (name == "HF_HUB_CACHE").then(|| root.path().to_str().unwrap().to_owned());
        let main = snapshot(root.path(), "models--o--m", "abc");
        let legacy = snapshot(root.path(), "models--gpt2-of-a-test", "def");
        fs::create_dir_all(root.path().join("models--o--m/refs/pr")).unwrap();
        fs::write(root.path().join("models--o--m/refs/pr/1"), "abc").unwrap();
        fs::write(root.path().join("models--o--m/refs/evil"), "../../..").unwrap();
        for revision in [None, Some("main"), Some("abc"), Some("pr/1"), Some("")] {
            assert_eq!(find("o/m", revision, &env).as_ref(), Some(&main), "{revision:?}");
        }
        assert_eq!(find("gpt2-of-a-test", None, &env), Some(legacy));
        for revision in ["none", "evil", "../snapshots/abc"] {
            assert_eq!(find("o/m", Some(revision), &env), None, "{revision}");
        }
        for source in ["o/none", "../o/m", "o/../m", "a/b/c", "/o/m", "o//m"] {
            assert_eq!(find(source, None, &env), None, "{source}");
        }
        assert_eq!(find("o/m", None, &|_| None), None);
    }
}
