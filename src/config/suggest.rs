//! "Did you mean": the nearest of the words that are known.

use crate::similar::similar;

/// So many known words are listed at most.
const MOST: usize = 20;

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    similar(word, known, 1).first().copied()
}

/// A remedy: the nearest known word, and what else there is.
pub(super) fn remedy<'a>(word: &str, known: &[&'a str], these: &str) -> (String, Option<&'a str>) {
    let near = nearest(word, known.iter().copied());
    let mut all: Vec<&str> = Vec::new();
    known.iter().filter(|word| !word.trim().is_empty()).for_each(|word| {
        if !all.contains(word) {
            all.push(word);
        }
    });
    let more = if all.len() > MOST { ", …" } else { "" };
    let all = all.iter().take(MOST).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ") + more;
    let text = match near {
        Some(near) => format!("Did you mean `{near}`? {these}: {all}."),
        None => format!("{these}: {all}."),
    };
    (text, near)
}
