//! "Did you mean": the nearest of the words that are known.

/// So many known words are listed at most.
const MOST: usize = 20;

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &plain(candidate)), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_word_and_unknown_words_find_none() {
        let known = ["listen", "models", "aliases", "gpu_memory"];
        assert_eq!(nearest("modles", known), Some("models"));
        assert_eq!(nearest("Alias", known), Some("aliases"));
        assert_eq!(nearest("gpu-memory", known), Some("gpu_memory"));
        assert_eq!(nearest("zzz", known), None);
    }
}
