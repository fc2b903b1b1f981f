//! "Did you mean": which of the words that are known are most like one that is not.

/// Longer words are compared by their beginning: comparing costs the product of both lengths, and a made-up name must not
/// cost more than a real one.
const LONGEST: usize = 128;

/// Less alike than this is not alike.
const ALIKE: f64 = 0.8;

/// Words that are less like than the best one by this much are not offered beside it.
const BEHIND: f64 = 0.05;

/// Up to `most` known words that `word` was probably meant to be, best first. Case does not count, nor does `_` for `-`.
#[must_use]
pub fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let word = plain(word);
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (likeness(&word, &plain(known)), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let best = scored.first().map_or(0.0, |(likeness, _)| *likeness);
    let mut found: Vec<&str> = Vec::new();
    for (_, word) in scored.into_iter().take_while(|(likeness, _)| *likeness >= best - BEHIND) {
        if found.len() < most && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

fn plain(text: &str) -> String {
    text.chars().take(LONGEST).flat_map(char::to_lowercase).map(|c| if c == '_' { '-' } else { c }).collect()
}

/// From 0 to 1: by letters; by parts, which may be in another order (`len-max-model`) or be missing (`model-len`); a name
/// inside the other (`qwen3` in `qwen/qwen3-0.6b`).
fn likeness(word: &str, known: &str) -> f64 {
    let letters = strsim::jaro_winkler(word, known);
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (word.split('-').collect(), known.split('-').collect());
    let shared = ours.iter().filter(|part| theirs.contains(part)).count();
    let parts = 2.0 * shared as f64 / (ours.len() + theirs.len()) as f64;
    let holds = |whole: &str, part: &str| part.len() >= 3 && whole.contains(part);
    let within = if ours.len() > 1 && shared == ours.len() {
        0.97
    } else if holds(known, word) || holds(word, known) {
        0.9
    } else {
        0.0
    };
    letters.max(parts).max(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_word_and_unknown_words_find_none() {
        let known = ["listen", "models", "aliases", "gpu_memory", "max-model-len"];
        for (word, meant) in [
            ("modles", "models"),
            ("Alias", "aliases"),
            ("gpu-memory", "gpu_memory"),
            ("len-max-model", "max-model-len"),
            ("model_len", "max-model-len"),
        ] {
            assert_eq!(similar(word, known, 1), [meant], "{word}");
        }
        assert_eq!(similar("zzz", known, 3), [""; 0]);
        assert_eq!(similar("", known, 3), [""; 0]);
    }

    #[test]
    fn several_are_offered_only_when_they_are_about_as_good() {
        assert_eq!(
            similar("qwen3", ["Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B", "llama"], 3),
            ["Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B"]
        );
        assert_eq!(similar("chat", ["chat", "chat-fast"], 3), ["chat"]);
        assert_eq!(similar(&"x".repeat(1 << 20), ["x"], 3), [""; 0]);
    }
}
