//! What the files of one folder or repository are: a model, an adapter, GGUF files, or several of these.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::adapter_config;
use super::config_json::{self, Description, Quantization};
use super::files::{self, FileId, Listing};
use super::types::{Format, LocalAdapter, LocalModel, Memory, Revision, State};
use super::{gguf, gguf_types, parameters, shards};
use crate::estimate::{self, EngineFlags, Estimate, Facts};

/// What is to be examined.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// What a configuration calls it.
    pub(super) source: String,
    pub(super) hub_id: Option<String>,
    /// Where the files are that an engine would load.
    pub(super) folder: PathBuf,
    pub(super) listing: Listing,
    pub(super) revisions: Vec<Revision>,
    /// All that it takes on disk.
    pub(super) disk: BTreeMap<FileId, u64>,
    /// Downloads that run or broke off.
    pub(super) broken_off: usize,
    pub(super) notes: Vec<String>,
}

/// What it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) models: Vec<LocalModel>,
    pub(super) adapters: Vec<LocalAdapter>,
}

/// Whether a file is one of a model's weights, by its name.
pub(super) fn is_weights(name: &str) -> bool {
    let beside = ["training_args", "optimizer", "scheduler", "adapter_", "rng_state"];
    [".safetensors", ".bin", ".pt"].iter().any(|end| name.ends_with(end))
        && !name.contains('/')
        && !beside.iter().any(|start| name.starts_with(start))
}

/// Whether a file is a model in GGUF, by its name: not a part that is loaded beside one.
pub(super) fn is_gguf(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let beside = ["mmproj", "mtp-", "imatrix"];
    file.ends_with(".gguf") && !beside.iter().any(|start| file.to_lowercase().starts_with(start))
}

/// The name of the file by which an adapter is known.
pub(super) const ADAPTER: &str = "adapter_config.json";

/// Reads the small files and headers of `subject`.
pub(super) fn examine(subject: &Subject) -> Contents {
    let listing = &subject.listing;
    let is_adapter = listing.has(ADAPTER);
    // Below a folder that was given, those further down are found by themselves.
    let is_own = |name: &&str| is_gguf(name) && (subject.hub_id.is_some() || !name.contains('/'));
    let ggufs: Vec<&str> = listing.files.keys().map(String::as_str).filter(is_own).collect();
    let has_weights = listing.top().any(is_weights) || listing.has("model.safetensors.index.json");
    let mut contents = Contents::default();
    let mut apart = BTreeSet::new();
    for names in shards::groups(ggufs.into_iter()) {
        apart.extend(names.iter().filter_map(|name| Some(listing.files.get(*name)?.id)));
        contents.models.extend(gguf_model(subject, &names));
    }
    let mut subject = subject.clone();
    subject.disk.retain(|id, _| !apart.contains(id));
    if is_adapter {
        contents.adapters.push(adapter(&subject));
    }
    if has_weights || (!is_adapter && contents.models.is_empty()) {
        contents.models.push(model(&subject));
    }
    contents
}

fn model(subject: &Subject) -> LocalModel {
    let folder = &subject.folder;
    let facts = estimate::read(folder).unwrap_or_else(|why| Facts {
        shape: Err(why.clone()),
        weights: Err(why),
        notes: vec![],
    });
    let needs = estimate::estimate(&facts, &EngineFlags::default());
    let mut notes = subject.notes.clone();
    let mut config = |name: &str| {
        files::json(&folder.join(name)).unwrap_or_else(|why| {
            notes.push(why);
            None
        })
    };
    let (config, quant) = (config("config.json"), config("hf_quant_config.json"));
    let description = config.map(|config| config_json::read(&config, quant.as_ref())).unwrap_or_default();
    let Description { architecture, model_type, dtype, quantization } = description;
    let (state, why) = state(subject, &facts);
    notes.extend(why);
    notes.extend(needs.notes.iter().cloned());
    let weights = facts.weights.as_ref().ok();
    let bits = quantization.as_ref().and_then(|found| found.bits);
    let parameters = weights
        .filter(|weights| state == State::Complete && weights.unnamed == 0)
        .and_then(|weights| parameters::count(&weights.tensors, bits));
    let shape = facts.shape.as_ref().ok().filter(|shape| !shape.max_len_guessed);
    let format = format(&subject.listing);
    LocalModel {
        source: subject.source.clone(),
        hub_id: subject.hub_id.clone(),
        path: folder.display().to_string(),
        format,
        state,
        bytes: subject.disk.values().sum(),
        revision: subject.revisions.first().map(|revision| revision.commit.clone()),
        revisions: subject.revisions.clone(),
        architecture,
        model_type,
        context_length: shape.map(|shape| shape.max_len),
        dtype: dtype.or_else(|| weights.and_then(|weights| most_used_type(&weights.tensors))),
        quantization: quantization.as_ref().map(Quantization::text),
        parameters,
        memory: if state == State::NoWeights { Memory::default() } else { memory(&needs) },
        notes: if state == State::NoWeights { subject.notes.clone() } else { deduplicated(notes) },
    }
}

fn memory(needs: &Estimate) -> Memory {
    Memory {
        weights: needs.weights,
        cache_per_token: needs.cache.as_ref().map(estimate::Cache::per_token),
        cache_per_request: needs.per_request(),
    }
}

/// Whether a model can be loaded from this disk, and why not.
fn state(subject: &Subject, facts: &Facts) -> (State, Vec<String>) {
    let listing = &subject.listing;
    let weights: Vec<&str> = listing.top().filter(|name| is_weights(name)).collect();
    let broken_off = subject.broken_off.max(listing.broken_off());
    let downloads = || format!("downloads that run or were broken off (*.incomplete): {broken_off}");
    let mut why = Vec::new();
    if listing.dangling > 0 {
        why.push(format!("{} of its files are links to files that are gone", listing.dangling));
    }
    let missing = shards::missing(weights.iter().copied());
    if missing > 0 {
        why.push(format!("{missing} of its weight files are not on disk"));
    }
    let is_short = match &facts.weights {
        Ok(weights) => weights.missing > 0,
        // That there are none is no fault of those that are there.
        Err(_) if weights.is_empty() => broken_off > 0 || subject.listing.has("model.safetensors.index.json"),
        Err(_) => true,
    };
    if broken_off > 0 {
        why.push(downloads());
    }
    if listing.is_cut {
        why.push("it has more files than are listed".to_owned());
    }
    match () {
        () if is_short || missing > 0 || listing.dangling > 0 => (State::Incomplete, why),
        () if weights.is_empty() => (State::NoWeights, why),
        () => (State::Complete, why),
    }
}

fn format(listing: &Listing) -> Format {
    let names: Vec<&str> = listing.top().filter(|name| is_weights(name)).collect();
    match () {
        () if names.iter().any(|name| name.ends_with(".safetensors")) => Format::Safetensors,
        () if !names.is_empty() => Format::Pytorch,
        () => Format::None,
    }
}

/// The type that most bytes have, where it is one that is not quantised.
fn most_used_type(tensors: &[estimate::Tensor]) -> Option<String> {
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for tensor in tensors {
        let sum = bytes.entry(tensor.dtype.as_str()).or_default();
        *sum = sum.saturating_add(tensor.bytes);
    }
    let most = bytes.into_iter().max_by_key(|(_, bytes)| *bytes)?.0;
    let name = match most {
        "BF16" => "bfloat16",
        "F16" => "float16",
        "F32" => "float32",
        _ => return None,
    };
    Some(name.to_owned())
}

fn adapter(subject: &Subject) -> LocalAdapter {
    let listing = &subject.listing;
    let mut notes = subject.notes.clone();
    let config = files::json(&subject.folder.join(ADAPTER)).unwrap_or_else(|why| {
        notes.push(why);
        None
    });
    let config = config.map(|config| adapter_config::read(&config)).unwrap_or_default();
    notes.extend(config.notes);
    let is_there = ["adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt"]
        .iter()
        .any(|name| listing.files.get(*name).is_some_and(|file| file.bytes > 0));
    if !is_there {
        notes.push("its weights (adapter_model.safetensors) are not on disk".to_owned());
    }
    LocalAdapter {
        source: subject.source.clone(),
        hub_id: subject.hub_id.clone(),
        path: subject.folder.display().to_string(),
        state: if is_there && listing.dangling == 0 { State::Complete } else { State::Incomplete },
        bytes: subject.disk.values().sum(),
        revision: subject.revisions.first().map(|revision| revision.commit.clone()),
        revisions: subject.revisions.clone(),
        base: config.base,
        base_source: None,
        kind: config.kind,
        rank: config.rank,
        notes: deduplicated(notes),
    }
}

/// The model in these files of a folder, the first of which has the header that counts; `None` where they are something else,
/// such as an adapter.
fn gguf_model(subject: &Subject, names: &[&str]) -> Option<LocalModel> {
    let path = subject.folder.join(names.first()?);
    let bytes: u64 = names.iter().filter_map(|name| subject.listing.files.get(*name)).map(|file| file.bytes).sum();
    let mut notes = Vec::new();
    let mut header = gguf::Header::default();
    let mut parameters = Some(0_u64);
    let mut is_whole = true;
    for (index, name) in names.iter().enumerate() {
        let length = subject.listing.files.get(*name).map_or(0, |file| file.bytes);
        match gguf_header(&subject.folder.join(name), length) {
            Ok(found) => {
                parameters = parameters.zip(found.parameters).and_then(|(sum, more)| sum.checked_add(more));
                is_whole &= length > found.smaller_than || found.parameters.is_none();
                if index == 0 {
                    header = found;
                }
            }
            Err(why) => {
                (parameters, is_whole) = (None, false);
                notes.push(format!("{name} {why}"));
            }
        }
    }
    if header.kind.as_deref().is_some_and(|kind| kind != "model") {
        return None;
    }
    let missing = shards::missing(names.iter().copied());
    if missing > 0 {
        notes.push(format!("{missing} of its weight files are not on disk"));
    } else if !is_whole && notes.is_empty() {
        notes.push("it ends before its last tensor: the download is incomplete or the file broken".to_owned());
    }
    let is_complete = is_whole && missing == 0;
    Some(LocalModel {
        source: files::text(&path)?,
        hub_id: subject.hub_id.clone(),
        path: path.display().to_string(),
        format: Format::Gguf,
        state: if is_complete { State::Complete } else { State::Incomplete },
        bytes,
        revision: subject.revisions.first().map(|revision| revision.commit.clone()),
        revisions: subject.revisions.clone(),
        architecture: header.architecture,
        model_type: None,
        context_length: header.context_length,
        dtype: header.file_type.and_then(gguf_types::dtype).map(str::to_owned),
        quantization: header.file_type.and_then(gguf_types::quantization).map(str::to_owned),
        parameters: parameters.filter(|_| is_complete),
        memory: Memory { weights: Some(bytes).filter(|_| is_complete), ..Memory::default() },
        notes,
    })
}

fn gguf_header(path: &Path, length: u64) -> Result<gguf::Header, String> {
    if length == 0 {
        return Err("is empty".to_owned());
    }
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    gguf::read(BufReader::with_capacity(1 << 16, file))
}

fn deduplicated(notes: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    notes.into_iter().filter(|note| seen.insert(note.clone())).collect()
}
