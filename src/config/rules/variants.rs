//! Patterns: names that stand for variants.

use super::entries::aliases;
use crate::config::diagnostic::Draft;
use crate::config::expanded_alias::{MOST, STAR, count};
use crate::config::raw::{Raw, RawVariants};

pub(super) fn patterns_have_variants(raw: &Raw, out: &mut Vec<Draft>) {
    let mut all = 0usize;
    for (path, name, alias) in aliases(raw) {
        let Some(variants) = &alias.variants else {
            if name.ends_with(STAR) {
                let reason = "A name that ends in `:*` stands for variants, and there are none.";
                let remedy = "Write `variants: {word: {…settings…}}`, or a name without `:*`.";
                out.push(Draft::new(path.key("variants"), reason, remedy));
            }
            continue;
        };
        let path = path.key("variants");
        if !name.ends_with(STAR) {
            let reason = "Variants are for a name that ends in `:*`; each takes the place of the star.";
            out.push(Draft::new(path.clone(), reason, format!("Call the alias \"{name}:*\".")));
        }
        let listed = matches!(variants, RawVariants::Each(_));
        for (at, dimension) in variants.dimensions().iter().enumerate() {
            let path = if listed { path.index(at) } else { path.clone() };
            if dimension.0.is_empty() {
                out.push(Draft::new(
                    path.clone(),
                    "There are no variants.",
                    "Write at least one: `word: {…settings…}`.",
                ));
            }
            for (word, _) in dimension.iter() {
                if word.is_empty() || word.contains([':', '*']) {
                    let reason = "The word of a variant cannot be empty and contains neither `:` nor `*`.";
                    let finding = Draft::new(path.key(word), reason, "Write a short word, such as think.");
                    out.push(finding.hidden());
                }
            }
        }
        all = all.saturating_add(count(alias));
        if all > MOST {
            let reason =
                format!("This makes {} names, {all} with the patterns before; the limit is {MOST}.", count(alias));
            out.push(Draft::new(path, reason, "Write fewer variants; clients can send the other settings themselves."));
            return;
        }
    }
}
