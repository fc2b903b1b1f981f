//! An estimate and its verdict in words, one line each.

use super::{Estimate, Verdict};

/// What a model needs, such as `needs 15.3 GiB of weights per GPU, 0.141 MiB of KV cache per token, 5.6 GiB per request
/// at 40960 tokens`; the reasons for what is unknown follow in brackets.
#[must_use]
pub fn needs(estimate: &Estimate) -> String {
    let mut parts = Vec::new();
    let gpu = if estimate.gpus > 1 { " per GPU" } else { "" };
    match estimate.weights {
        Some(bytes) => parts.push(format!("needs {} of weights{gpu}", size(bytes))),
        None => parts.push("needs unknown memory for weights".to_owned()),
    }
    match (&estimate.cache, estimate.per_request(), estimate.max_len) {
        (Some(cache), _, _) if cache.per_token() == 0 => parts.push("no KV cache".to_owned()),
        (Some(cache), Some(request), Some(length)) => {
            let latest = if cache.forgets(length) { " (less for older ones)" } else { "" };
            parts.push(format!("{} of KV cache per token{latest}", mebi(cache.per_token())));
            parts.push(format!("{} per request at {length} tokens", size(request)));
        }
        _ => parts.push("unknown KV cache".to_owned()),
    }
    let notes = if estimate.notes.is_empty() { String::new() } else { format!(" ({})", estimate.notes.join("; ")) };
    format!("{}{notes}", parts.join(", "))
}

/// Whether it fits `share` of a GPU of `total` bytes, and what to do when it does not.
#[must_use]
pub fn verdict(verdict: &Verdict, total: u64, share: f64) -> String {
    let place = format!("at {share} of {}", size(total).replace(".0 ", " "));
    let length = |longest: u64| match round(longest) {
        0 => String::new(),
        length => format!("set max-model-len to at most {length}, "),
    };
    match verdict {
        Verdict::Fits { tokens: None, .. } => format!("{place}: fits"),
        Verdict::Fits { tokens: Some(tokens), requests } => match requests.unwrap_or(0) {
            1 => format!("{place}: room for 1 such request ({tokens} tokens)"),
            requests => format!("{place}: room for {requests} such requests ({tokens} tokens)"),
        },
        Verdict::Tight { short, longest } => format!(
            "{place}: tight, {} short once activations and CUDA graphs are allowed for; {}raise gpu_memory or use more GPUs \
             if the engine refuses to start",
            size(*short),
            length(*longest)
        ),
        Verdict::Cannot { short, weights: true, gpus, .. } => {
            let gpus = gpus.map_or("more or larger GPUs".to_owned(), |gpus| format!("{gpus} such GPUs or more"));
            format!(
                "{place}: cannot fit, {} too much for the weights alone; use {gpus}, a larger gpu_memory or a quantized \
                 model",
                size(*short)
            )
        }
        Verdict::Cannot { short, longest, gpus, .. } => {
            let gpus = gpus.map_or("more GPUs".to_owned(), |gpus| format!("{gpus} GPUs"));
            format!(
                "{place}: cannot fit, {} short of one such request; {}use {gpus}, a smaller kv-cache-dtype or a quantized \
                 model",
                size(*short),
                length(*longest)
            )
        }
        Verdict::Unknown(why) => format!("{place}: cannot tell whether it fits: {why}"),
    }
}

/// Down to what people write: a multiple of 1024, or of 16 when that is all there is.
fn round(length: u64) -> u64 {
    let step = if length >= 1024 { 1024 } else { 16 };
    length / step * step
}

fn size(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    match gib {
        gib if gib >= 1.0 => format!("{gib:.1} GiB"),
        gib if gib >= 0.095 => format!("{gib:.2} GiB"),
        gib => format!("{:.1} MiB", gib * 1024.0),
    }
}

fn mebi(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 0.01 { format!("{mib:.3} MiB") } else { format!("{:.1} KiB", mib * 1024.0) }
}
