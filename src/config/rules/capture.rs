//! Captured bodies: how many, how large, and what is masked in them.

use super::entries::aliases;
use crate::config::diagnostic::Draft;
use crate::config::expanded_alias::ExpandedAliases;
use crate::config::raw::{Raw, RawCapture};

/// Requests of one alias.
const MOST_REQUESTS: usize = 1000;

/// The least and the most of one body, in bytes.
const BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 20;

/// All bodies that may be kept, in bytes.
const MOST: usize = 256 << 20;

pub(super) fn captures_are_bounded(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, alias) in aliases(raw) {
        let Some(capture) = &alias.capture else { continue };
        let path = path.key("capture");
        if capture.requests > MOST_REQUESTS {
            let reason = format!("Bodies of at most {MOST_REQUESTS} requests are kept for an alias.");
            out.push(Draft::new(path.key("requests"), reason, "Write 1000 or less; 0 keeps none."));
        }
        if !BYTES.contains(&capture.bytes) {
            let reason = "It must be between 1KiB and 1MiB: the size of one body.";
            out.push(Draft::new(path.key("bytes"), reason, "Write 1KiB or more, 1MiB or less, such as 64KiB."));
        }
    }
}

pub(super) fn captures_fit_together(raw: &Raw, out: &mut Vec<Draft>) {
    let all = ExpandedAliases::of(raw);
    let mut sum = 0;
    for alias in all.iter() {
        // Each alias has its own, also where another one says how many.
        let (chain, _) = all.chain(alias);
        let Some((by, capture)) = chain.iter().find_map(|alias| Some((alias, alias.raw.capture.as_ref()?))) else {
            continue;
        };
        let before = sum;
        sum += size(capture);
        if before <= MOST && sum > MOST {
            let reason = format!(
                "With this alias, the bodies that may be kept take {} MiB: requests × 2 × bytes for each alias. The limit is {} MiB.",
                sum.div_ceil(1 << 20),
                MOST >> 20
            );
            let remedy = "Lower `requests` or `bytes` of some aliases, or remove their `capture`.";
            out.push(Draft::new(by.path.key("capture"), reason, remedy));
        }
    }
}

/// What one alias may take; within its bounds, which another rule checks.
fn size(capture: &RawCapture) -> usize {
    2 * capture.requests.min(MOST_REQUESTS) * capture.bytes.min(*BYTES.end())
}

pub(super) fn masks_name_members(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, alias) in aliases(raw) {
        let mask = alias.capture.iter().flat_map(|capture| &capture.mask).enumerate();
        for (at, text) in mask {
            let path = path.key("capture").key("mask").index(at);
            let remedy = "Write names with dots between them, such as messages.content.";
            if text.split('.').any(str::is_empty) {
                out.push(Draft::new(path, "A name is missing, before, after or between dots.", remedy));
            } else if text.split('.').any(|name| name == "*" || name.parse::<usize>().is_ok()) {
                let reason = "Items of lists are not written: a name is looked for in each of them.";
                out.push(Draft::new(path, reason, remedy));
            }
        }
    }
}
