//! Where engines come from: source or URLs, programs, GPUs, environment.

use std::collections::BTreeMap;

use super::entries::{bundles, models};
use crate::config::diagnostic::Draft;
use crate::config::document::is_variable;
use crate::config::path::Path;
use crate::config::profiles::merged;
use crate::config::raw::{Raw, RawGpu, RawLoad, RawModel};

/// Largest share of one GPU's memory that may be promised; the rest is the driver's and CUDA's own.
const LARGEST_SHARE: f64 = 0.95;

/// Sums of shares such as 0.45 + 0.5 are a little off.
const ROUNDING: f64 = 1e-9;

pub(super) fn source_or_urls(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, name, model) in models(raw) {
        match (&model.source, &model.urls) {
            (Some(_), Some(_)) => {
                let reason = format!("The model `{name}` has both `source` and `urls`.");
                let remedy = "Keep `source` if Enginehouse is to start the engines, `urls` if they run already.";
                out.push(Draft::new(path.key("urls"), reason, remedy));
            }
            (None, None) => {
                let reason = format!("The model `{name}` has neither `source` nor `urls`.");
                let remedy = "Add `source: <hub id or path>` for engines that Enginehouse starts, or \
                              `urls: [http://host:port]` for engines that run already.";
                let draft = Draft::new(path.clone(), reason, remedy).hidden();
                out.push(draft.given([path.key("source"), path.key("urls")]));
            }
            (None, Some(_)) => out.extend(spawn_keys(model).map(|key| {
                let reason =
                    format!("`{key}` is for engines that Enginehouse starts; those behind `urls` run already.");
                Draft::new(path.key(key), reason, format!("Remove `{key}`, or replace `urls` by `source`.")).hidden()
            })),
            (Some(_), None) => {}
        }
    }
}

/// The keys that are written and are only for engines that Enginehouse starts.
fn spawn_keys(model: &RawModel) -> impl Iterator<Item = &'static str> {
    let all = [
        ("command", model.command.is_some()),
        ("gpus", model.gpus.is_some()),
        ("gpu_memory", model.gpu_memory.is_some()),
        ("replicas", model.replicas.is_some()),
        ("port", model.port.is_some()),
        ("args", model.args.is_some()),
        ("env", model.env.is_some()),
        ("profile", model.profile.is_some()),
        ("start_order", model.start_order.is_some()),
        ("lora", model.lora.is_some()),
        ("restart", model.restart.is_some()),
        ("stall_timeout", model.stall_timeout.is_some()),
        ("sleep_mode", model.sleep_mode.is_some()),
        ("load", model.load.is_some()),
        ("idle", model.idle.is_some()),
        ("start_timeout", model.start_timeout.is_some()),
        ("stop_timeout", model.stop_timeout.is_some()),
    ];
    all.into_iter().filter(|(_, written)| *written).map(|(key, _)| key)
}

/// Texts that end up on a command line or in a path.
pub(super) fn texts_are_not_empty(raw: &Raw, out: &mut Vec<Draft>) {
    let mut check = |path: Path, text: &str| {
        if text.trim().is_empty() {
            out.push(Draft::new(path, "The text is empty.", "Write a text, or remove the key."));
        } else if text.contains('\0') {
            out.push(Draft::new(
                path,
                "The text contains a zero byte, which cannot be passed to a program.",
                "Remove it.",
            ));
        }
    };
    for (path, _, model) in models(raw) {
        if let Some(source) = &model.source {
            check(path.key("source"), source);
        }
        for (at, word) in model.command.iter().flatten().enumerate() {
            check(path.key("command").index(at), word);
        }
        for (name, source) in model.adapters() {
            check(path.key("lora").key(name), source);
        }
    }
    let Some(folder) = raw.state_dir.as_ref().map(|folder| folder.to_string_lossy()) else { return };
    check(Path::of(&["state_dir"]), &folder);
    if let Some(rest) = folder.strip_prefix('~') {
        let reason = "Only a shell replaces `~`; here it would be a folder of that name.";
        out.push(Draft::new(Path::of(&["state_dir"]), reason, format!("Write ${{HOME}}{rest}.")));
    }
}

pub(super) fn gpus_split_evenly(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, _, model) in models(raw) {
        let gpus = model.listed_gpus();
        let replicas = model.replicas.unwrap_or(1).max(1);
        if !gpus.len().is_multiple_of(replicas) {
            let reason = format!("{} GPUs cannot be split evenly among {replicas} replicas.", gpus.len());
            let remedy = format!("List {replicas} GPUs (or a multiple of it), or change `replicas`.");
            out.push(Draft::new(path.key("gpus"), reason, remedy));
            continue;
        }
        for engine in gpus.chunks((gpus.len() / replicas).max(1)) {
            let names: Vec<String> = engine.iter().map(RawGpu::text).collect();
            if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
                let reason = format!("GPU {} is listed twice for one engine.", twice.1);
                let finding = Draft::new(path.key("gpus"), reason, "List each GPU of an engine once.");
                out.push(finding.given([path.key("replicas")]));
                break;
            }
        }
    }
}

/// What is wrong with a share of GPU memory.
pub(super) fn share(share: f64) -> Option<Draft> {
    if share > 0.0 && share <= LARGEST_SHARE {
        return None;
    }
    let reason = format!("A share of GPU memory is more than 0 and at most {LARGEST_SHARE}.");
    // Most often it is written in percent.
    let guess = if share > 1.0 && share <= 95.0 { share / 100.0 } else { 0.9 };
    Some(Draft::of_text(reason, format!("Write a fraction, such as {guess}.")))
}

/// Which model claims which share of one GPU.
type Claims<'a> = Vec<(&'a str, f64)>;

pub(super) fn gpu_shares_add_up(raw: &Raw, out: &mut Vec<Draft>) {
    let mut claimed: BTreeMap<String, [Claims<'_>; 2]> = BTreeMap::new();
    for (path, name, model) in models(raw) {
        let Some(claim) = merged(&raw.profiles, model).gpu_memory else { continue };
        if let Some(draft) = share(claim) {
            // That of a profile is reported once, where it is written.
            out.extend(model.gpu_memory.map(|_| draft.at(path.key("gpu_memory"))));
            continue;
        }
        for gpu in model.listed_gpus() {
            let [kept, in_turns] = claimed.entry(gpu.text()).or_default();
            let list = if model.load == Some(RawLoad::OnDemand) { in_turns } else { kept };
            list.push((name, claim));
        }
    }
    // GPUs with the same claims are reported together.
    let mut reported: Vec<(Claims<'_>, Vec<String>)> = Vec::new();
    let together = claimed.into_iter().flat_map(|(gpu, claims)| {
        let sets = at_once(claims).into_iter();
        sets.map(move |claims| (gpu.clone(), claims)).collect::<Vec<_>>()
    });
    for (gpu, claims) in together {
        match reported.iter_mut().find(|(other, _)| *other == claims) {
            Some((_, gpus)) => gpus.push(gpu),
            None => reported.push((claims, vec![gpu])),
        }
    }
    for (claims, gpus) in reported {
        let total = total(&claims);
        let Some((last, _)) = claims.last().filter(|_| claims.len() > 1 && total > LARGEST_SHARE + ROUNDING) else {
            continue;
        };
        let each = claims.iter().map(|(name, share)| format!("{name} {share}")).collect::<Vec<_>>().join(", ");
        let (gpus, word) = (gpus.join(", "), if gpus.len() == 1 { "GPU" } else { "GPUs" });
        let reason =
            format!("{word} {gpus}: the models claim {total:.2} of the memory ({each}); the limit is {LARGEST_SHARE}.");
        let remedy = "Lower `gpu_memory` of one of them, give them different `gpus`, or have them take turns (`load: on_demand` at each).";
        let path = Path::of(&["models", last]);
        out.push(Draft::new(path.key("gpu_memory"), reason, remedy).given([path.key("profile")]));
    }
}

/// Which claims of one GPU hold at the same time: those of all models that keep it, with each of those that have it in turns.
fn at_once<'a>([kept, in_turns]: [Claims<'a>; 2]) -> Vec<Claims<'a>> {
    if in_turns.is_empty() || total(&kept) > LARGEST_SHARE + ROUNDING {
        return vec![kept];
    }
    in_turns.into_iter().map(|one| kept.iter().copied().chain([one]).collect()).collect()
}

fn total(claims: &Claims<'_>) -> f64 {
    claims.iter().map(|(_, share)| share).sum()
}

pub(super) fn variables_are_legal(raw: &Raw, out: &mut Vec<Draft>) {
    for bundle in bundles(raw) {
        for (name, value) in bundle.env.iter().flat_map(|env| env.iter()) {
            let path = bundle.path.key("env").key(name);
            if !is_variable(name) {
                let reason = format!("{name:?} cannot be the name of an environment variable.");
                out.push(Draft::new(path, reason, "Use letters, digits and _, not beginning with a digit.").hidden());
            } else if value.0.contains('\0') {
                let reason = "The value has a zero byte, which cannot be passed to a program.";
                out.push(Draft::new(path, reason, "Remove it.").hidden());
            } else if name == "CUDA_VISIBLE_DEVICES" && bundle.model.is_none() {
                let reason = "A profile is for any number of models; all of them would run on the same GPUs.";
                out.push(Draft::new(path, reason, "Write `gpus` at each model."));
            } else if name == "CUDA_VISIBLE_DEVICES" && bundle.model.is_some_and(|model| model.gpus.is_some()) {
                let reason = "`gpus` sets CUDA_VISIBLE_DEVICES, too; one of the two would be ignored.";
                out.push(Draft::new(path, reason, "Keep `gpus` and remove this."));
            } else if name == "VLLM_API_KEY" {
                let whose = if bundle.model.is_some() { "this model" } else { "each model" };
                let reason = "Enginehouse must know the engine's key; otherwise the engine refuses every request.";
                out.push(Draft::new(path, reason, format!("Write it as `api_key` of {whose}.")));
            }
        }
    }
}
