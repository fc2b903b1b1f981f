//! What a scan finds: models, adapters, and what could not be read.

use serde::Serialize;

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Found {
    /// Models, by `source`.
    pub models: Vec<LocalModel>,
    /// LoRA adapters, by `source`.
    pub adapters: Vec<LocalAdapter>,
    /// Where was looked, in that order.
    pub places: Vec<Place>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A model: a repository of the hub's cache, a folder, or a GGUF file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LocalModel {
    /// What `source:` of a model takes: its id on the hub, or a path.
    pub source: String,
    /// Its id on the hub, where it came from there.
    pub hub_id: Option<String>,
    /// The folder or file that is described.
    pub path: String,
    /// In which form its weights are.
    pub format: Format,
    /// Whether it can be loaded from this disk.
    pub state: State,
    /// Bytes on disk, of all its revisions; what several share is counted once.
    pub bytes: u64,
    /// The commit that is described; of the hub's cache only.
    pub revision: Option<String>,
    /// All commits of which there are files, the one that is described first.
    pub revisions: Vec<Revision>,
    /// Such as `Qwen3ForCausalLM`; of a GGUF file such as `qwen3`.
    pub architecture: Option<String>,
    /// `model_type` of its config, such as `qwen3`.
    pub model_type: Option<String>,
    /// Tokens of the longest request by default.
    pub context_length: Option<u64>,
    /// Type of what is not quantised, such as `bfloat16`.
    pub dtype: Option<String>,
    /// How its weights are quantised on disk, such as `awq 4-bit`, `fp8` or `Q4_K_M`; `None`: they are not, or it is unknown.
    pub quantization: Option<String>,
    /// Number of parameters, as its weights' headers tell.
    pub parameters: Option<u64>,
    /// What one GPU needs for it, by default flags.
    pub memory: Memory,
    /// What a person should know, a sentence each.
    pub notes: Vec<String>,
}

/// A LoRA adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LocalAdapter {
    /// What `lora:` of a model takes: its id on the hub, or a path.
    pub source: String,
    /// Its id on the hub, where it came from there.
    pub hub_id: Option<String>,
    /// The folder that is described.
    pub path: String,
    /// Whether it can be loaded from this disk.
    pub state: State,
    /// Bytes on disk.
    pub bytes: u64,
    /// The commit that is described; of the hub's cache only.
    pub revision: Option<String>,
    /// All commits of which there are files, the one that is described first.
    pub revisions: Vec<Revision>,
    /// The model that it was made for, as its makers call it.
    pub base: Option<String>,
    /// [`LocalModel::source`] of that model, where it is on this machine.
    pub base_source: Option<String>,
    /// Such as `LORA`.
    pub kind: Option<String>,
    /// Its rank.
    pub rank: Option<u64>,
    /// What a person should know, a sentence each.
    pub notes: Vec<String>,
}

/// A commit of a repository of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// Its hash.
    pub commit: String,
    /// Branches and tags that name it.
    pub refs: Vec<String>,
    /// Files that are here.
    pub files: usize,
    /// Bytes of these files; other revisions may share them.
    pub bytes: u64,
}

/// In which form weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `*.safetensors`.
    Safetensors,
    /// `*.gguf`.
    Gguf,
    /// `*.bin`, `*.pt`: their headers are not read.
    Pytorch,
    /// There are none.
    None,
}

/// Whether something can be loaded from this disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As far as can be seen.
    Complete,
    /// Files are missing, or broken off: a download runs or was interrupted.
    Incomplete,
    /// There are only small files, such as the tokenizer's.
    NoWeights,
}

/// What one GPU needs, in bytes; `None`: unknown, and a note says why. Activations, CUDA graphs and libraries are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Weights.
    pub weights: Option<u64>,
    /// KV cache of one token.
    pub cache_per_token: Option<u64>,
    /// KV cache of one request of the greatest length.
    pub cache_per_request: Option<u64>,
}

/// A place that was looked in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its path.
    pub path: String,
    /// Whether it is the cache of the hub.
    pub is_hub: bool,
    /// Whether it is there and can be read.
    pub is_there: bool,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    pub path: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// A problem at `path`.
    pub(super) fn new(path: &std::path::Path, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.display().to_string(), reason: reason.into(), remedy: remedy.into() }
    }

    /// A path that no configuration can name.
    pub(super) fn no_text(path: &std::path::Path) -> Self {
        Self::new(path, "its name is not UTF-8: no configuration can name it", "Rename it.")
    }
}
