//! What the tests of local models share: weight files whose headers are real and whose tensors are holes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A value of a GGUF header.
pub(super) enum Gguf<'a> {
    Text(&'a str),
    Number(u32),
    Texts(&'a [&'a str]),
    Floats(&'a [f32]),
}

/// The header of a GGUF file with these entries and tensors, the last of which is one byte further than the one before.
pub(super) fn gguf(entries: &[(&str, Gguf<'_>)], tensors: &[(&str, &[u64])]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    let array = |kind: u32, count: usize| {
        [&9_u32.to_le_bytes()[..], &kind.to_le_bytes(), &(count as u64).to_le_bytes()].concat()
    };
    for (key, value) in entries {
        bytes.extend(text(key));
        match value {
            Gguf::Text(value) => bytes.extend([&8_u32.to_le_bytes()[..], &text(value)].concat()),
            Gguf::Number(value) => bytes.extend([4_u32.to_le_bytes(), value.to_le_bytes()].concat()),
            Gguf::Texts(values) => {
                bytes.extend(array(8, values.len()));
                values.iter().for_each(|value| bytes.extend(text(value)));
            }
            Gguf::Floats(values) => {
                bytes.extend(array(6, values.len()));
                values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
            }
        }
    }
    for (index, (name, shape)) in tensors.iter().enumerate() {
        bytes.extend(text(name));
        bytes.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
        shape.iter().for_each(|extent| bytes.extend(extent.to_le_bytes()));
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend((index as u64).to_le_bytes());
    }
    bytes
}

/// Writes a file, and the folders above.
pub(super) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A safetensors file of 16-bit tensors; its length.
pub(super) fn safetensors(path: &Path, tensors: &[(&str, &[u64])]) -> u64 {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors {
        let begin = end;
        end += shape.iter().product::<u64>() * 2;
        header.insert((*name).to_owned(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}));
    }
    let text = Value::from(header).to_string();
    let length = 8 + text.len() as u64 + end;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_len(length).unwrap();
    length
}

/// The config of a small model.
pub(super) fn config() -> Value {
    json!({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 128,
        "max_position_embeddings": 4096, "torch_dtype": "bfloat16", "tie_word_embeddings": true})
}

/// The repository of a model in a cache of the hub.
pub(super) struct Repository(pub(super) PathBuf);

impl Repository {
    pub(super) fn new(hub: &Path, id: &str) -> Self {
        let folder = hub.join(format!("models--{}", id.replace('/', "--")));
        fs::create_dir_all(folder.join("blobs")).unwrap();
        Self(folder)
    }

    /// A file of a commit, as a link to the blob of this name.
    pub(super) fn link(&self, commit: &str, name: &str, blob: &str) {
        let link = self.0.join("snapshots").join(commit).join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(format!("../../blobs/{blob}"), link).unwrap();
    }

    pub(super) fn blob(&self, name: &str) -> PathBuf {
        self.0.join("blobs").join(name)
    }

    /// A branch or tag.
    pub(super) fn names(&self, branch: &str, commit: &str) {
        write(&self.0.join("refs").join(branch), commit);
    }
}
