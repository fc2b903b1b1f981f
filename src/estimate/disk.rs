//! Reads the files of a model's folder: `config.json` and the headers of its weights, never a tensor.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json::number;
use super::{Facts, Weights, header, shape};

/// Largest JSON file that is read; DeepSeek-V3's index of 91,000 tensors has 9 MB.
const LARGEST_JSON: u64 = 100_000_000;

/// Largest `config.json`; one with the names of 21,000 classes has 1 MB.
const LARGEST_CONFIG: u64 = 4 << 20;

/// Reads what the files in `folder` tell; a single `.gguf` file is a model too.
///
/// # Errors
/// When `folder` cannot be listed. A file in it that is missing or broken is reported in [`Facts`] instead.
pub fn read(folder: &Path) -> Result<Facts, String> {
    let mut notes = Vec::new();
    if folder.is_file() {
        let weights = size(folder).map(|unnamed| Weights { unnamed, ..Weights::default() });
        return Ok(Facts {
            shape: Err(format!("{} is one file, without a config.json", folder.display())),
            weights,
            notes,
        });
    }
    let failed = |err| format!("cannot read {}: {err}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // Follows links (the hub's cache is made of them), and never opens a pipe.
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    let shape = json(&folder.join("config.json"), LARGEST_CONFIG)
        .and_then(|config| shape::read(&config, hf_quant(folder).as_ref()));
    let weights = weights(folder, &files, &mut notes);
    Ok(Facts { shape, weights, notes })
}

/// ModelOpt wrote its settings into a file of its own before `config.json` had a place for them.
fn hf_quant(folder: &Path) -> Option<Value> {
    json(&folder.join("hf_quant_config.json"), LARGEST_CONFIG).ok()
}

fn weights(folder: &Path, files: &[PathBuf], notes: &mut Vec<String>) -> Result<Weights, String> {
    let ends = |end: &str| files.iter().filter(|file| name(file).ends_with(end)).cloned().collect::<Vec<_>>();
    let index = json(&folder.join("model.safetensors.index.json"), LARGEST_JSON).ok();
    let tensors = match &index {
        Some(index) => shards(folder, index),
        None => ends(".safetensors"),
    };
    // Mistral's own format beside the usual one is the same model twice, and an adapter is no model.
    let adapter = |file: &PathBuf| name(file).starts_with("adapter_");
    let (consolidated, usual): (Vec<_>, Vec<_>) =
        tensors.into_iter().filter(|file| !adapter(file)).partition(|file| name(file).starts_with("consolidated"));
    let tensors = if usual.is_empty() { consolidated } else { usual };
    if !tensors.is_empty() {
        return safetensors(&tensors, index.as_ref(), notes);
    }
    let gguf = ends(".gguf");
    if gguf.len() > 1 && !gguf.iter().all(|file| name(file).contains("-of-")) {
        return Err(format!("{} .gguf files are there, and it is not known which one is loaded", gguf.len()));
    }
    let mut others = gguf;
    if others.is_empty() {
        others = ends(".bin").into_iter().chain(ends(".pt")).filter(|file| !beside(&name(file))).collect();
    }
    if others.is_empty() {
        return Err("no weights (*.safetensors, *.gguf, *.bin) are on disk".to_owned());
    }
    let unnamed = others.iter().map(|file| size(file)).sum::<Result<u64, String>>()?;
    notes.push("only the sizes of the weight files are known".to_owned());
    Ok(Weights { unnamed, ..Weights::default() })
}

/// Files that lie beside weights and end like them.
fn beside(name: &str) -> bool {
    ["training_args", "optimizer", "scheduler", "adapter_", "rng_state"].iter().any(|start| name.starts_with(start))
}

/// The files an index names: vLLM loads those only (`model_loader/weight_utils.py` `filter_duplicate_safetensors_files`).
fn shards(folder: &Path, index: &Value) -> Vec<PathBuf> {
    let names: BTreeSet<&str> = index
        .get("weight_map")
        .and_then(Value::as_object)
        .map(|map| map.values().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    names
        .into_iter()
        .filter(|name| !name.contains("..") && !name.starts_with('/'))
        .map(|name| folder.join(name))
        .collect()
}

fn safetensors(files: &[PathBuf], index: Option<&Value>, notes: &mut Vec<String>) -> Result<Weights, String> {
    let (mut tensors, mut missing) = (Vec::new(), 0);
    for path in files {
        if !path.is_file() {
            missing += 1;
            continue;
        }
        let bytes = size(path)?;
        if bytes == 0 {
            return Err(format!("{} is empty", name(path)));
        }
        let read = File::open(path).map_err(|err| format!("cannot be read: {err}"));
        let found = read.and_then(|file| header::read(BufReader::new(file), bytes));
        tensors.extend(found.map_err(|why| format!("{} {why}", name(path)))?);
    }
    let mut unnamed = 0;
    if missing > 0 {
        let total = index.and_then(|index| number(index.get("metadata")?, "total_size"));
        let Some(total) = total else {
            return Err(format!("{missing} of {} weight files are not on disk", files.len()));
        };
        unnamed = total.saturating_sub(tensors.iter().fold(0, |sum, tensor| tensor.bytes.saturating_add(sum)));
        notes.push(format!(
            "{missing} of {} weight files are not on disk: vLLM will download them; their sizes are those of the index",
            files.len()
        ));
    }
    Ok(Weights { tensors, unnamed, missing })
}

fn name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn size(file: &Path) -> Result<u64, String> {
    fs::metadata(file).map(|meta| meta.len()).map_err(|err| format!("{} cannot be read: {err}", name(file)))
}

fn json(file: &Path, largest: u64) -> Result<Value, String> {
    let name = name(file);
    match fs::metadata(file) {
        Ok(meta) if !meta.is_file() || meta.len() > largest => return Err(format!("{name} is no JSON file")),
        // What `/proc` shows has no length, and may never end.
        Ok(meta) if meta.len() == 0 => return Err(format!("{name} is empty")),
        Ok(_) => {}
        Err(err) => return Err(format!("{name} cannot be read: {err}")),
    }
    let text = fs::read(file).map_err(|err| format!("{name} cannot be read: {err}"))?;
    serde_json::from_slice(&text).map_err(|err| format!("{name} is not understood: {err}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::super::models::{Made, qwen3, write};
    use super::super::{EngineFlags, Verdict, estimate, fits, needs};
    use super::*;

    #[test]
    fn what_lies_on_disk_is_told_as_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let facts = read(folder.path()).unwrap();
        assert!(facts.shape.unwrap_err().contains("config.json cannot be read"));
        assert!(facts.weights.unwrap_err().contains("no weights"));
        assert!(read(&at("none")).unwrap_err().contains("cannot read"));

        fs::write(at("config.json"), qwen3(64, 2, 2, 128, false).to_string()).unwrap();
        fs::write(at("pytorch_model.bin"), [0; 100]).unwrap();
        fs::write(at("training_args.bin"), [0; 7]).unwrap();
        assert_eq!(read(folder.path()).unwrap().weights.unwrap().unnamed, 100);
        fs::write(at("q4.gguf"), [0; 50]).unwrap();
        assert_eq!(read(folder.path()).unwrap().weights.unwrap().unnamed, 50);
        assert_eq!(read(&at("q4.gguf")).unwrap().weights.unwrap().unnamed, 50);
        fs::write(at("q8.gguf"), [0; 90]).unwrap();
        assert!(read(folder.path()).unwrap().weights.unwrap_err().contains("2 .gguf files"));

        let one: Made = vec![("model.layers.0.w.weight".into(), "BF16", vec![10, 10])];
        write(&at("model-00001-of-00002.safetensors"), &one);
        write(&at("adapter_model.safetensors"), &one);
        write(&at("consolidated.safetensors"), &one);
        assert_eq!(read(folder.path()).unwrap().weights.unwrap().tensors.len(), 1);
        let index = json!({"metadata": {"total_size": 1000.0}, "weight_map": {
            "model.layers.0.w.weight": "model-00001-of-00002.safetensors",
            "model.layers.1.w.weight": "model-00002-of-00002.safetensors", "x": "../secret"}});
        fs::write(at("model.safetensors.index.json"), index.to_string()).unwrap();
        let facts = read(folder.path()).unwrap();
        assert_eq!(facts.weights.as_ref().unwrap().unnamed, 800);
        assert!(facts.notes[0].contains("1 of 2 weight files are not on disk"));
        assert_eq!(estimate(&facts, &EngineFlags::default()).weights, Some(1000));
        fs::write(at("model.safetensors.index.json"), json!({"weight_map": index["weight_map"]}).to_string()).unwrap();
        assert!(read(folder.path()).unwrap().weights.unwrap_err().contains("1 of 2 weight files"));

        fs::write(at("model-00002-of-00002.safetensors"), b"version https://git-lfs").unwrap();
        let broken = read(folder.path()).unwrap();
        assert!(broken.weights.as_ref().unwrap_err().starts_with("model-00002-of-00002.safetensors is no safetensors"));
        let got = estimate(&broken, &EngineFlags::default());
        assert!(needs(&got).starts_with("needs unknown memory for weights, "), "{}", needs(&got));
        assert!(matches!(fits(&got, 80 << 30, 0.9), Verdict::Unknown(_)));
    }
}
