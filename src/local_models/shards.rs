//! Weights in several files: which belong together, and which are missing, by their names.

use std::collections::{BTreeMap, BTreeSet};

/// `model-00002-of-00004.safetensors`: what is before and after the numbers, its number, and of how many.
fn parts(name: &str) -> Option<(&str, &str, u32, u32)> {
    let (stem, end) = name.rsplit_once('.')?;
    let (front, total) = stem.rsplit_once("-of-")?;
    let (front, number) = front.rsplit_once('-')?;
    let digits = |text: &str| text.len() <= 6 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(number) || !digits(total) {
        return None;
    }
    let (number, total) = (number.parse().ok()?, total.parse().ok()?);
    (number <= total && total > 0).then_some((front, end, number, total))
}

/// How many files are missing of those that `names` are parts of.
pub(super) fn missing<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let mut sets: BTreeMap<(&str, &str, u32), BTreeSet<u32>> = BTreeMap::new();
    for (front, end, number, total) in names.filter_map(parts) {
        sets.entry((front, end, total)).or_default().insert(number);
    }
    // Some count from 0, others from 1.
    sets.iter().map(|((.., total), seen)| usize::try_from(*total).unwrap_or(0).saturating_sub(seen.len())).sum()
}

/// Files that are one model: the parts of each, in order, by the first name.
pub(super) fn groups<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    let mut sets: BTreeMap<(&str, &str, u32), Vec<&str>> = BTreeMap::new();
    for name in names {
        let key = parts(name).map_or((name, "", 0), |(front, end, _, total)| (front, end, total));
        sets.entry(key).or_default().push(name);
    }
    sets.into_values()
        .map(|mut names| {
            names.sort_unstable();
            names
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn missing_parts_are_counted_for_each_set() {
        let missing = |names: &[&str]| missing(names.iter().copied());
        assert_eq!(missing(&["model.safetensors", "a-of-b.bin"]), 0);
        assert_eq!(missing(&["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"]), 1);
        assert_eq!(missing(&["m-00000-of-00002.bin", "m-00001-of-00002.bin"]), 0);
        assert_eq!(missing(&["a-00001-of-00002.gguf", "b-00001-of-00003.gguf"]), 3);
        assert_eq!(missing(&["a-00004-of-00002.gguf", "a-1-of-0.gguf", "a-+1-of-2.gguf", "a-1-of-99999999.gguf"]), 0);
    }

    #[test]
    fn parts_of_one_file_are_one_model() {
        let names = ["q8.gguf", "q4-00002-of-00002.gguf", "q4-00001-of-00002.gguf"];
        let want = [vec!["q4-00001-of-00002.gguf", "q4-00002-of-00002.gguf"], vec!["q8.gguf"]];
        assert_eq!(groups(names.into_iter()), want);
    }

    proptest! {
        #[test]
        fn no_name_panics(names in prop::collection::vec("[a-z0-9é.-]{0,12}(-of-)?[0-9]{0,12}[.a-z]{0,4}", 0..6)) {
            let _ = missing(names.iter().map(String::as_str));
            let count: usize = groups(names.iter().map(String::as_str)).iter().map(Vec::len).sum();
            prop_assert_eq!(count, names.len());
        }
    }
}
