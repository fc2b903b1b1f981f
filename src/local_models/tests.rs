//! Caches and folders as they are found on real machines, and as nobody wants to find them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::testing::{Gguf, Repository, config, gguf, safetensors, write};
use super::*;

fn hub(folder: &Path) -> Found {
    scan(&Places { hub: Some(folder.to_owned()), directories: vec![] })
}

fn given(folder: &Path) -> Found {
    scan(&Places { hub: None, directories: vec![folder.to_owned()] })
}

/// Tensors of a model that fits [`config`].
const TENSORS: [(&str, &[u64]); 3] = [
    ("model.embed_tokens.weight", &[128, 64]),
    ("model.layers.0.mlp.up_proj.weight", &[256, 64]),
    ("model.layers.1.mlp.up_proj.weight", &[256, 64]),
];

/// The repository of a small model with one commit.
fn repository(hub: &Path, id: &str) -> Repository {
    let repository = Repository::new(hub, id);
    write(&repository.blob("c0"), config().to_string());
    safetensors(&repository.blob("w0"), &TENSORS);
    repository.link("aaa", "config.json", "c0");
    repository.link("aaa", "model.safetensors", "w0");
    repository.names("main", "aaa");
    repository
}

#[test]
fn a_model_of_the_hub_tells_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(folder.path(), "org/small");
    let found = hub(folder.path());
    let [model] = &found.models[..] else { panic!("{found:?}") };
    assert_eq!((model.source.as_str(), model.hub_id.as_deref()), ("org/small", Some("org/small")));
    assert_eq!((model.format, model.state), (Format::Safetensors, State::Complete));
    assert_eq!(model.architecture.as_deref(), Some("Qwen3ForCausalLM"));
    assert_eq!((model.context_length, model.dtype.as_deref()), (Some(4096), Some("bfloat16")));
    assert_eq!(model.parameters, Some(128 * 64 + 2 * 256 * 64));
    assert_eq!(model.memory.weights, Some(2 * (128 * 64 + 2 * 256 * 64)));
    assert_eq!(model.memory.cache_per_token, Some(2 * 2 * 16 * 2 * 2));
    let bytes = ["c0", "w0"].map(|name| fs::metadata(repository.blob(name)).unwrap().len()).iter().sum::<u64>();
    assert_eq!(model.bytes, bytes);
    assert_eq!(model.revision.as_deref(), Some("aaa"));
    assert_eq!(found.problems, []);
    assert_eq!(model.notes, Vec::<String>::new());
}

#[test]
fn blobs_that_revisions_share_are_counted_once_and_main_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(folder.path(), "org/small");
    write(&repository.blob("c1"), config().to_string().replace("4096", "8192"));
    repository.link("bbb", "config.json", "c1");
    repository.link("bbb", "model.safetensors", "w0");
    repository.names("pr/1", "bbb");
    repository.names("v1", "aaa");
    let found = hub(folder.path());
    let [model] = &found.models[..] else { panic!("{found:?}") };
    let size = |name: &str| fs::metadata(repository.blob(name)).unwrap().len();
    assert_eq!(model.bytes, size("c0") + size("c1") + size("w0"));
    assert_eq!(model.context_length, Some(4096));
    let revisions: Vec<_> = model.revisions.iter().map(|one| (one.commit.as_str(), one.refs.join(" "))).collect();
    assert_eq!(revisions, [("aaa", "main v1".to_owned()), ("bbb", "pr/1".to_owned())]);
    assert_eq!(model.revisions[1].bytes, size("c1") + size("w0"));
    repository.names("main", "ccc");
    let found = hub(folder.path());
    assert!(found.models[0].notes[0].contains("`main` is not on this disk"), "{found:?}");
}

#[test]
fn downloads_that_run_or_broke_off_are_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let sharded = Repository::new(folder.path(), "org/sharded");
    write(&sharded.blob("c0"), config().to_string());
    safetensors(&sharded.blob("w1"), &TENSORS[..1]);
    write(&sharded.blob("w2.incomplete"), [0; 100]);
    sharded.link("aaa", "config.json", "c0");
    sharded.link("aaa", "model-00001-of-00002.safetensors", "w1");
    sharded.names("main", "aaa");
    let first = Repository::new(folder.path(), "org/first");
    write(&first.blob("w1.incomplete"), [0; 7]);
    let gone = repository(folder.path(), "org/gone");
    fs::remove_file(gone.blob("w0")).unwrap();
    let short = repository(folder.path(), "org/short");
    fs::OpenOptions::new().write(true).open(short.blob("w0")).unwrap().set_len(300).unwrap();
    let small = Repository::new(folder.path(), "org/tokenizer");
    write(&small.blob("t"), "{}");
    small.link("aaa", "tokenizer.json", "t");
    let found = hub(folder.path());
    let states: Vec<_> = found.models.iter().map(|model| (model.source.as_str(), model.state)).collect();
    let want = [
        ("org/first", State::Incomplete),
        ("org/gone", State::Incomplete),
        ("org/sharded", State::Incomplete),
        ("org/short", State::Incomplete),
        ("org/tokenizer", State::NoWeights),
    ];
    assert_eq!(states, want);
    let notes = |index: usize| found.models[index].notes.join("; ");
    assert!(notes(0).contains("broken off (*.incomplete): 1"), "{}", notes(0));
    assert!(notes(1).contains("1 of its files are links to files that are gone"), "{}", notes(1));
    assert!(notes(2).contains("1 of its weight files are not on disk"), "{}", notes(2));
    assert!(notes(3).contains("download is incomplete"), "{}", notes(3));
    assert_eq!(found.models[2].parameters, None, "of a part of it nothing is told");
    assert_eq!(found.models[0].bytes, 7);
}

#[test]
fn adapters_know_their_base() {
    let folder = tempfile::tempdir().unwrap();
    let base = repository(folder.path(), "org/small");
    let adapter = Repository::new(folder.path(), "me/sql");
    write(
        &adapter.blob("a"),
        json!({"peft_type": "LORA", "r": 64, "base_model_name_or_path": "Org/small"}).to_string(),
    );
    safetensors(&adapter.blob("w"), &[("a", &[2, 2])]);
    adapter.link("aaa", "adapter_config.json", "a");
    adapter.link("aaa", "adapter_model.safetensors", "w");
    adapter.names("main", "aaa");
    let found = hub(folder.path());
    assert_eq!(found.models.len(), 1, "an adapter is no model");
    let [one] = &found.adapters[..] else { panic!("{found:?}") };
    assert_eq!((one.source.as_str(), one.rank, one.state), ("me/sql", Some(64), State::Complete));
    assert_eq!((one.base.as_deref(), one.base_source.as_deref()), (Some("Org/small"), Some("org/small")));
    assert!(one.notes[0].contains("max-lora-rank: 64"), "{:?}", one.notes);
    fs::remove_dir_all(&base.0).unwrap();
    fs::remove_file(adapter.blob("w")).unwrap();
    let found = hub(folder.path());
    assert_eq!((found.adapters[0].base_source.as_deref(), found.adapters[0].state), (None, State::Incomplete));
}

#[test]
fn folders_are_searched_and_each_model_is_met_once() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    write(&at("org/full/config.json"), config().to_string());
    safetensors(&at("org/full/model.safetensors"), &TENSORS);
    write(&at("org/full/original/params.json"), [0; 10]);
    write(&at("org/full/sql/adapter_config.json"), json!({"base_model_name_or_path": at("org/full/")}).to_string());
    write(&at("org/full/sql/adapter_model.bin"), [0; 5]);
    write(&at("readme.md"), "");
    write(&at("pipe/model_index.json"), "{}");
    write(&at("pipe/unet/config.json"), "{}");
    write(&at("pipe/unet/model.safetensors"), "");
    write(&at("deep/1/2/3/4/5/config.json"), "{}");
    repository(&at("hub"), "org/small");
    symlink(at("org"), at("again")).unwrap();
    symlink(root.path(), at("org/loop")).unwrap();
    symlink("nowhere", at("broken")).unwrap();
    let found = given(root.path());
    let sources: Vec<&str> = found.models.iter().map(|model| model.source.as_str()).collect();
    let snapshot = at("hub/models--org--small/snapshots/aaa");
    // By the name that came first.
    let full = at("again/full");
    assert_eq!(sources, [full.to_str().unwrap(), snapshot.to_str().unwrap()]);
    assert_eq!(
        found.models[1].hub_id.as_deref(),
        Some("org/small"),
        "an id that engines do not find in their own cache"
    );
    let files = ["config.json", "model.safetensors"].map(|name| fs::metadata(full.join(name)).unwrap().len());
    assert_eq!(found.models[0].bytes, files.iter().sum::<u64>() + 10, "without the adapter, which is one of its own");
    let [adapter] = &found.adapters[..] else { panic!("{found:?}") };
    assert_eq!(adapter.source, full.join("sql").to_str().unwrap());
    assert_eq!(found.problems, []);
    assert_eq!(
        given(&at("nowhere")).places,
        [Place { path: at("nowhere").display().to_string(), is_hub: false, is_there: false }]
    );
    assert_eq!(given(&at("nowhere")).problems[0].remedy, "Correct the path.");
    let itself = given(&at("org/full"));
    assert_eq!((itself.models.len(), itself.adapters.len()), (1, 1));
}

#[test]
fn gguf_files_are_models_of_their_own_and_their_parts_are_one() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let header = |kind: u32| {
        let entries = [
            ("general.architecture", Gguf::Text("llama")),
            ("llama.context_length", Gguf::Number(8192)),
            ("general.file_type", Gguf::Number(kind)),
        ];
        let mut bytes = gguf(&entries, &[("a", &[100, 10]), ("b", &[24])]);
        bytes.resize(bytes.len() + 64, 0);
        bytes
    };
    write(&at("m-q4.gguf"), header(15));
    write(&at("m-f16-00001-of-00002.gguf"), header(1));
    write(&at("m-f16-00002-of-00002.gguf"), header(1));
    write(&at("half-00001-of-00002.gguf"), header(7));
    write(&at("mmproj-f16.gguf"), header(1));
    write(&at("lora.gguf"), gguf(&[("general.type", Gguf::Text("adapter"))], &[]));
    write(&at("junk.gguf"), "GGUF");
    let found = given(root.path());
    let told: Vec<_> = found
        .models
        .iter()
        .map(|model| {
            (model.source.rsplit('/').next().unwrap(), model.state, model.quantization.as_deref(), model.parameters)
        })
        .collect();
    let want = [
        ("half-00001-of-00002.gguf", State::Incomplete, Some("Q8_0"), None),
        ("junk.gguf", State::Incomplete, None, None),
        ("m-f16-00001-of-00002.gguf", State::Complete, None, Some(2048)),
        ("m-q4.gguf", State::Complete, Some("Q4_K_M"), Some(1024)),
    ];
    assert_eq!(told, want);
    assert_eq!(found.models[2].dtype.as_deref(), Some("float16"));
    assert_eq!(found.models[3].memory.weights, Some(found.models[3].bytes));
    let one = given(&at("m-q4.gguf"));
    assert_eq!((one.models.len(), one.models[0].context_length), (1, Some(8192)));
}

#[test]
fn what_is_hostile_is_told_or_left_out_and_never_followed_for_ever() {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("hub");
    let big = repository(&cache, "org/big");
    fs::File::create(big.blob("c0")).unwrap().set_len(1 << 40).unwrap();
    let odd = repository(&cache, "org/odd");
    write(&odd.blob("c0"), "[".repeat(100_000));
    let pipe = repository(&cache, "org/pipe");
    fs::remove_file(pipe.blob("c0")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(pipe.blob("c0")).status().unwrap().success());
    let endless = repository(&cache, "org/proc");
    fs::remove_file(endless.blob("c0")).unwrap();
    symlink("/proc/kmsg", endless.blob("c0")).unwrap();
    symlink("loop", big.blob("loop")).unwrap();
    symlink("../..", big.0.join("snapshots/aaa/up")).unwrap();
    fs::create_dir_all(cache.join("models--a--b--c/blobs")).unwrap();
    fs::write(cache.join("models--file"), "").unwrap();
    let bytes = std::ffi::OsStr::from_bytes(b"models--org--\xff\xfe");
    fs::create_dir_all(cache.join(bytes).join("blobs")).unwrap();
    let found = hub(&cache);
    let sources: Vec<_> = found.models.iter().map(|model| (model.source.as_str(), model.state)).collect();
    let whole = ["org/big", "org/odd", "org/pipe", "org/proc"].map(|source| (source, State::Complete));
    assert_eq!(sources, whole);
    let notes = |index: usize| found.models[index].notes.join("; ");
    assert!(notes(0).contains("config.json has 1048576 MiB"), "{}", notes(0));
    assert!(notes(1).contains("config.json is not understood"), "{}", notes(1));
    assert!(notes(2).contains("config.json is not a regular file"), "{}", notes(2));
    assert!(notes(3).contains("config.json is empty"), "{}", notes(3));
    assert_eq!(found.problems.len(), 2, "{:?}", found.problems);
    assert!(serde_json::to_string(&found).is_ok());
}

#[test]
fn what_may_not_be_read_is_told_and_the_rest_is_found() {
    let root = tempfile::tempdir().unwrap();
    repository(root.path(), "org/small");
    let closed = repository(root.path(), "org/closed").0.join("snapshots");
    let mode = |path: &PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&closed, 0o000);
    let found = hub(root.path());
    mode(&closed, 0o700);
    // Root may read everything.
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(found.models.len(), if is_root { 2 } else { 1 });
    assert_eq!(found.problems.len(), usize::from(!is_root), "{:?}", found.problems);
}

#[test]
fn thousands_of_models_are_found_in_seconds() {
    let root = tempfile::tempdir().unwrap();
    for index in 0..500 {
        repository(root.path(), &format!("org/m{index}"));
    }
    let begun = std::time::Instant::now();
    let found = hub(root.path());
    assert_eq!(found.models.len(), 500);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn the_environment_says_where_the_cache_is() {
    let env = |name: &str| match name {
        "HF_HOME" => Some("/big/hf".to_owned()),
        "HOME" => Some("/home/me".to_owned()),
        _ => None,
    };
    let places = Places::new(&env, vec!["/models".into()]);
    assert_eq!(places, Places { hub: Some("/big/hf/hub".into()), directories: vec!["/models".into()] });
    assert_eq!(Places::new(&|_| None, vec![]).hub, None);
}
