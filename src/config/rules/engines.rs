//! How engines come to be: source or URLs, programs, GPUs, environment.

use std::collections::BTreeMap;

use super::super::expand::is_variable;
use super::super::finding::Finding;
use super::super::path::Path;
use super::super::profiles::merged;
use super::super::raw::{Raw, RawGpu, RawGpus, RawModel};
use super::{bundles, listed, models};

/// Largest share of one GPU's memory that may be promised; the rest is the driver's and CUDA's own.
pub(super) const LARGEST_SHARE: f64 = 0.95;

pub(super) fn source_or_urls(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, name, model) in models(raw) {
        match (&model.source, &model.urls) {
            (Some(_), Some(_)) => out.push(Finding::new(
                path.key("urls"),
                format!("The model `{name}` has both `source` and `urls`."),
                "Keep `source` if Enginehouse is to start the engines, `urls` if they run already.",
            )),
            (None, None) => out.push(
                Finding::new(
                    path.clone(),
                    format!("The model `{name}` has neither `source` nor `urls`."),
                    "Add `source: <hub id or path>` to have engines started, or `urls: [http://host:port]` of running ones.",
                )
                .hidden()
                .given([path.key("source"), path.key("urls")]),
            ),
            (None, Some(_)) => {
                for key in spawn_keys(model) {
                    out.push(
                        Finding::new(
                            path.key(key),
                            format!("`{key}` is for engines that Enginehouse starts; those behind `urls` run already."),
                            format!("Take `{key}` out, or replace `urls` by `source`."),
                        )
                        .hidden(),
                    );
                }
            }
            (Some(_), None) => {}
        }
    }
}

fn spawn_keys(model: &RawModel) -> Vec<&'static str> {
    let all = [
        ("command", model.command.is_some()),
        ("gpus", model.gpus.is_some()),
        ("gpu_memory", model.gpu_memory.is_some()),
        ("replicas", model.replicas.is_some()),
        ("args", model.args.is_some()),
        ("env", model.env.is_some()),
        ("profile", model.profile.is_some()),
        ("start_order", model.start_order.is_some()),
        ("lora", model.lora.is_some()),
        ("restart", model.restart.is_some()),
        ("stall_timeout", model.stall_timeout.is_some()),
        ("sleep_mode", model.sleep_mode.is_some()),
        ("start_timeout", model.start_timeout.is_some()),
        ("stop_timeout", model.stop_timeout.is_some()),
    ];
    all.into_iter().filter(|(_, written)| *written).map(|(key, _)| key).collect()
}

/// Texts that end up on a command line or in a path.
pub(super) fn texts_are_not_empty(raw: &Raw, out: &mut Vec<Finding>) {
    let mut check = |path: Path, text: &str| {
        if text.trim().is_empty() {
            out.push(Finding::new(path, "The text is empty.", "Write something, or take the key out."));
        } else if text.contains('\0') {
            out.push(Finding::new(path, "The text holds a zero byte, which no program can be given.", "Remove it."));
        }
    };
    for (path, _, model) in models(raw) {
        if let Some(source) = &model.source {
            check(path.key("source"), source);
        }
        for (at, word) in model.command.iter().flatten().enumerate() {
            check(path.key("command").index(at), word);
        }
        for (name, source) in model.lora.iter().flat_map(|lora| lora.iter()) {
            check(path.key("lora").key(name), source);
        }
    }
    let Some(folder) = raw.state_dir.as_ref().map(|folder| folder.to_string_lossy()) else { return };
    check(Path::of(["state_dir"]), &folder);
    if let Some(rest) = folder.strip_prefix('~') {
        let reason = "`~` is a shell's word; here it would be a folder of that name.";
        out.push(Finding::new(Path::of(["state_dir"]), reason, format!("Write ${{HOME}}{rest}.")));
    }
}

/// The GPUs that `model` lists.
fn listed_gpus(model: &RawModel) -> Option<&[RawGpu]> {
    model.gpus.as_ref().and_then(RawGpus::list)
}

/// The spelling that `CUDA_VISIBLE_DEVICES` gets.
pub(in super::super) fn gpu_text(gpu: &RawGpu) -> String {
    match gpu {
        RawGpu::Index(index) => index.to_string(),
        RawGpu::Uuid(text) => text.clone(),
    }
}

pub(super) fn gpus_split_evenly(raw: &Raw, out: &mut Vec<Finding>) {
    for (path, _, model) in models(raw) {
        let Some(gpus) = listed_gpus(model).filter(|gpus| !gpus.is_empty()) else { continue };
        let replicas = model.replicas.unwrap_or(1).max(1);
        if !gpus.len().is_multiple_of(replicas) {
            let reason = format!("{} GPUs cannot be split evenly among {replicas} replicas.", gpus.len());
            let remedy = format!("List {replicas} GPUs (or a multiple of it), or change `replicas`.");
            out.push(Finding::new(path.key("gpus"), reason, remedy));
            continue;
        }
        for engine in gpus.chunks(gpus.len() / replicas) {
            let names: Vec<String> = engine.iter().map(gpu_text).collect();
            if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
                let reason = format!("GPU {} is listed twice for one engine.", twice.1);
                let finding = Finding::new(path.key("gpus"), reason, "List each GPU of an engine once.");
                out.push(finding.given([path.key("replicas")]));
                break;
            }
        }
    }
}

/// The share that was probably meant: percent are taken for what they are.
pub(super) fn share_guess(share: f64) -> f64 {
    if (1.0..=95.0).contains(&share) && share > 1.0 { share / 100.0 } else { 0.9 }
}

/// Who was promised which share of one GPU.
type Claims<'a> = Vec<(&'a str, f64)>;

pub(super) fn gpu_shares_fit(raw: &Raw, out: &mut Vec<Finding>) {
    let mut promised: BTreeMap<String, Claims<'_>> = BTreeMap::new();
    for (path, name, model) in models(raw) {
        let Some(share) = merged(&raw.profiles, model).gpu_memory else { continue };
        if !(share > 0.0 && share <= LARGEST_SHARE) {
            // A profile's is told once, where it is written.
            if model.gpu_memory.is_some() {
                let reason = format!("A share of GPU memory is more than 0 and at most {LARGEST_SHARE}.");
                let remedy = format!("Write a fraction, such as {}.", share_guess(share));
                out.push(Finding::new(path.key("gpu_memory"), reason, remedy));
            }
            continue;
        }
        for gpu in listed_gpus(model).into_iter().flatten() {
            promised.entry(gpu_text(gpu)).or_default().push((name, share));
        }
    }
    // GPUs with the same claims are one fault.
    let mut told: Vec<(Claims<'_>, Vec<String>)> = Vec::new();
    for (gpu, claims) in promised {
        let total: f64 = claims.iter().map(|(_, share)| share).sum();
        if claims.len() < 2 || total <= LARGEST_SHARE + 1e-9 {
            continue;
        }
        match told.iter_mut().find(|(other, _)| *other == claims) {
            Some((_, gpus)) => gpus.push(gpu),
            None => told.push((claims, vec![gpu])),
        }
    }
    for (claims, gpus) in told {
        let total: f64 = claims.iter().map(|(_, share)| share).sum();
        let each = claims.iter().map(|(name, share)| format!("{name} {share}")).collect::<Vec<_>>().join(", ");
        let (gpus, verb) = (gpus.join(", "), if gpus.len() == 1 { "GPU" } else { "GPUs" });
        let reason =
            format!("{verb} {gpus}: {total:.2} of the memory is promised ({each}); {LARGEST_SHARE} is the most.");
        if let Some((last, _)) = claims.last() {
            let remedy = "Lower `gpu_memory` of one of them, or give them different `gpus`.";
            let path = Path::of(["models", last]);
            out.push(Finding::new(path.key("gpu_memory"), reason, remedy).given([path.key("profile")]));
        }
    }
}

pub(super) fn variables_are_legal(raw: &Raw, out: &mut Vec<Finding>) {
    for bundle in bundles(raw) {
        for (name, value) in bundle.env.iter().flat_map(|env| env.iter()) {
            let path = bundle.path.key("env").key(name);
            if !is_variable(name) {
                let reason = format!("{name:?} cannot be the name of an environment variable.");
                out.push(Finding::new(path, reason, "Use letters, digits and _, not beginning with a digit.").hidden());
            } else if value.0.contains('\0') {
                let reason = "The value holds a zero byte, which no program can be given.";
                out.push(Finding::new(path, reason, "Remove it.").hidden());
            } else if name == "CUDA_VISIBLE_DEVICES" && bundle.model.is_none() {
                let reason = "A profile is for any number of models; all of them would be put on the same GPUs.";
                out.push(Finding::new(path, reason, "Write `gpus` at each model."));
            } else if name == "CUDA_VISIBLE_DEVICES" && bundle.model.is_some_and(|model| model.gpus.is_some()) {
                let reason = "`gpus` sets CUDA_VISIBLE_DEVICES too; one of the two would be ignored.";
                out.push(Finding::new(path, reason, format!("Keep {} and take this out.", listed(["gpus"]))));
            } else if name == "VLLM_API_KEY" {
                let whose = if bundle.model.is_some() { "this model" } else { "each model" };
                let reason = "The engine's key must be known to Enginehouse, or every request is refused.";
                out.push(Finding::new(path, reason, format!("Write it as `api_key` of {whose}.")));
            }
        }
    }
}
