//! `enginehouse models` through the real binary, over a cache of the hub as its library writes it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A file whose header is real and whose tensors, of 16 bits, are a hole.
fn safetensors(path: &Path, tensors: &[(&str, &[u64])]) {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors {
        let begin = end;
        end += shape.iter().product::<u64>() * 2;
        header.insert((*name).to_owned(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}));
    }
    let text = Value::from(header).to_string();
    let mut file = File::create(path).expect("a file");
    file.write_all(&(text.len() as u64).to_le_bytes()).expect("written");
    file.write_all(text.as_bytes()).expect("written");
    file.set_len(8 + text.len() as u64 + end).expect("a hole");
}

/// Two layers of Qwen3-8B, whose config otherwise is the real one's.
const CONFIG: &str = r#"{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 4096,
    "num_hidden_layers": 2, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    "max_position_embeddings": 40960, "tie_word_embeddings": true, "torch_dtype": "bfloat16"}"#;

/// A cache with a model in two revisions, a download that broke off, and an adapter.
fn cache() -> TempDir {
    let cache = tempfile::tempdir().expect("a folder");
    let repository = |name: &str| {
        let folder = cache.path().join(name);
        for part in ["blobs", "refs", "snapshots"] {
            fs::create_dir_all(folder.join(part)).expect("made");
        }
        folder
    };
    let link = |repository: &Path, commit: &str, name: &str, blob: &str| {
        let snapshot = repository.join("snapshots").join(commit);
        fs::create_dir_all(&snapshot).expect("made");
        symlink(format!("../../blobs/{blob}"), snapshot.join(name)).expect("linked");
    };
    let qwen = repository("models--Qwen--Qwen3-8B");
    fs::write(qwen.join("blobs/c"), CONFIG).expect("written");
    fs::write(qwen.join("blobs/r"), "# Qwen3").expect("written");
    safetensors(
        &qwen.join("blobs/w"),
        &[("model.embed_tokens.weight", &[151_936, 4096]), ("model.layers.0.mlp.up_proj.weight", &[12288, 4096])],
    );
    for commit in ["b968826d9c46dd6066d109eabc6255188de91218", "895c8d171bc03c30e113cd7a28c02494b5e068b7"] {
        link(&qwen, commit, "config.json", "c");
        link(&qwen, commit, "model.safetensors", "w");
    }
    link(&qwen, "b968826d9c46dd6066d109eabc6255188de91218", "README.md", "r");
    fs::write(qwen.join("refs/main"), "b968826d9c46dd6066d109eabc6255188de91218").expect("written");
    let broken = repository("models--org--broken-off");
    fs::write(broken.join("blobs/c"), CONFIG).expect("written");
    fs::write(broken.join("blobs/w.incomplete"), [0; 1024]).expect("written");
    link(&broken, "aaa", "config.json", "c");
    let adapter = repository("models--me--sql-lora");
    let config =
        json!({"base_model_name_or_path": "Qwen/Qwen3-8B", "peft_type": "LORA", "r": 32, "target_modules": ["q_proj"]});
    fs::write(adapter.join("blobs/a"), config.to_string()).expect("written");
    safetensors(&adapter.join("blobs/w"), &[("lora_A.weight", &[32, 4096])]);
    link(&adapter, "bbb", "adapter_config.json", "a");
    link(&adapter, "bbb", "adapter_model.safetensors", "w");
    fs::write(adapter.join("refs/main"), "bbb\n").expect("written");
    fs::create_dir_all(cache.path().join("datasets--org--data/blobs")).expect("made");
    fs::create_dir_all(cache.path().join(".locks/models--Qwen--Qwen3-8B")).expect("made");
    cache
}

fn models(cache: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enginehouse"));
    command.arg("models").args(args).env_remove("HF_HOME").env("HF_HUB_CACHE", cache);
    command.output().expect("the binary runs")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn models_and_adapters_of_the_hubs_cache_are_shown() {
    let cache = cache();
    let found = models(cache.path(), &[]);
    assert_eq!((found.status.code(), found.stderr.as_slice()), (Some(0), &b""[..]), "{found:?}");
    let expected = format!(
        "\
MODEL           SIZE     PARAMETERS  ARCHITECTURE      CONTEXT  DTYPE     QUANTIZED  WEIGHTS  KV CACHE  STATE
Qwen/Qwen3-8B   1.3 GiB  672.7 M     Qwen3ForCausalLM  40960    bfloat16  -          1.3 GiB  0.3 GiB   complete
org/broken-off  1.3 KiB  -           Qwen3ForCausalLM  40960    bfloat16  -          -        0.3 GiB   incomplete

WEIGHTS, KV CACHE: GPU memory, estimated, for the weights and for one request of CONTEXT tokens. Activations and CUDA graphs take some GiB more.

ADAPTER      SIZE     RANK  BASE           BASE IS HERE  STATE
me/sql-lora  0.3 MiB  32    Qwen/Qwen3-8B  yes           complete

Qwen/Qwen3-8B: 2 revisions are here
org/broken-off: its branch `main` is not on this disk: an engine downloads that, unless it has `args: {{revision: aaa}}`; downloads that \
run or were broken off (*.incomplete): 1; weights unknown: no weights (*.safetensors, *.gguf, *.bin) are on disk
me/sql-lora: its model needs `args: {{max-lora-rank: 32}}` or more: vLLM takes 16 unless told

Looked in the cache of the Hugging Face hub, {}
2 models, 1 adapter, 1.3 GiB
",
        cache.path().display()
    );
    assert_eq!(out(&found), expected);
}

#[test]
fn programs_get_bytes_and_revisions() {
    let cache = cache();
    let found: Value = serde_json::from_str(&out(&models(cache.path(), &["--json"]))).expect("JSON");
    let model = &found["models"][0];
    let blobs = cache.path().join("models--Qwen--Qwen3-8B/blobs");
    let size = |name: &str| fs::metadata(blobs.join(name)).expect("a blob").len();
    assert_eq!(model["bytes"], json!(size("c") + size("w") + size("r")), "each blob counts once");
    assert_eq!(model["revision"], "b968826d9c46dd6066d109eabc6255188de91218");
    assert_eq!(model["revisions"][0]["refs"], json!(["main"]));
    assert_eq!(model["revisions"][1]["bytes"], json!(size("c") + size("w")));
    assert_eq!(model["parameters"], json!(151_936_u64 * 4096 + 12288 * 4096));
    assert_eq!(model["memory"]["cache_per_token"], json!(2 * 2 * 8 * 128 * 2));
    let path = model["path"].as_str().expect("a path");
    assert!(path.ends_with("snapshots/b968826d9c46dd6066d109eabc6255188de91218") && Path::new(path).is_dir(), "{path}");
    assert_eq!(found["models"][1]["state"], "incomplete");
    assert_eq!(found["adapters"][0]["base_source"], "Qwen/Qwen3-8B");
    assert_eq!(found["problems"], json!([]));
}

#[test]
fn a_word_chooses_and_folders_are_searched_too() {
    let cache = cache();
    let only = models(cache.path(), &["QWEN3-8b", "--json"]);
    let found: Value = serde_json::from_str(&out(&only)).expect("JSON");
    assert_eq!(
        (found["models"].as_array().map(Vec::len), found["adapters"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    let none = models(cache.path(), &["mistral"]);
    assert_eq!(none.status.code(), Some(4), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("`mistral`"), "{none:?}");
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("mine")).expect("made");
    fs::write(folder.path().join("mine/config.json"), CONFIG).expect("written");
    safetensors(&folder.path().join("mine/model.safetensors"), &[("model.embed_tokens.weight", &[151_936, 4096])]);
    let given = folder.path().display().to_string();
    let found = models(cache.path(), &["--dir", &given, "--json"]);
    let found: Value = serde_json::from_str(&out(&found)).expect("JSON");
    assert_eq!(found["models"][0]["source"], format!("{given}/mine"), "what `source:` takes");
    let missing = models(cache.path(), &["--dir", "/no/such/folder"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        out(&missing).contains("problem: /no/such/folder: cannot be read") && out(&missing).contains("Qwen/Qwen3-8B")
    );
    let empty = models(Path::new("/no/such/cache"), &[]);
    assert_eq!(
        (empty.status.code(), out(&empty).lines().count()),
        (Some(0), 2),
        "nothing was downloaded yet: {empty:?}"
    );
}
