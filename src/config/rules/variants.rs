//! Patterns: names that stand for variants.

use super::super::faces::{MOST, STAR, count};
use super::super::finding::Finding;
use super::super::raw::Raw;
use super::super::raw_settings::RawVariants;
use super::aliases;

pub(super) fn patterns_have_variants(raw: &Raw, out: &mut Vec<Finding>) {
    let mut all = 0usize;
    for (path, name, alias) in aliases(raw) {
        let Some(variants) = &alias.variants else {
            if name.ends_with(STAR) {
                let reason = "A name that ends in `:*` stands for variants, and there are none.";
                let remedy = "Write `variants: {word: {…settings…}}`, or a name without `:*`.";
                out.push(Finding::new(path.key("variants"), reason, remedy));
            }
            continue;
        };
        let path = path.key("variants");
        if !name.ends_with(STAR) {
            let reason = "Variants are for a name that ends in `:*`; each takes the place of the star.";
            out.push(Finding::new(path.clone(), reason, format!("Call the alias \"{name}:*\".")));
        }
        let listed = matches!(variants, RawVariants::Each(_));
        for (at, dimension) in variants.dimensions().iter().enumerate() {
            let path = if listed { path.index(at) } else { path.clone() };
            if dimension.0.is_empty() {
                out.push(Finding::new(
                    path.clone(),
                    "There are no variants.",
                    "Write at least one: `word: {…settings…}`.",
                ));
            }
            for (word, _) in dimension.iter() {
                if word.is_empty() || word.contains([':', '*']) {
                    let reason = "The word of a variant is not empty and holds neither `:` nor `*`.";
                    let finding = Finding::new(path.key(word), reason, "Write a short word, such as think.");
                    out.push(finding.hidden());
                }
            }
        }
        all = all.saturating_add(count(alias));
        if all > MOST {
            let reason =
                format!("These are {} names, {all} with the patterns before; {MOST} are the most.", count(alias));
            out.push(Finding::new(path, reason, "Write fewer variants; callers can send the rest themselves."));
            return;
        }
    }
}
