//! A chain of files and overrides to one tree: includes first, then who includes them, the command line last.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::overrides::Override;
use super::resolve::{lookup, whole_path};
use super::yaml;

/// The key under which a file names others.
const INCLUDES: &str = "config_paths";

/// What overrides are written in.
pub(super) const COMMAND_LINE: &str = "the command line";

/// More files than this are no configuration.
const MOST_FILES: usize = 1000;

/// Where files are found and how they are read.
pub(super) struct Disk<'a> {
    /// Folders that paths inside files are relative to, before any other.
    pub(super) roots: &'a [PathBuf],
    /// The text of a file.
    pub(super) read: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// Everything in one tree.
#[derive(Debug, Default)]
pub(super) struct Composed {
    /// The tree, interpolations and all.
    pub(super) tree: Map<String, Value>,
    /// Who wrote a key last, by its path with dots.
    pub(super) origins: BTreeMap<String, String>,
    /// How many files went into it.
    pub(super) files: usize,
}

impl Composed {
    /// The file (or the command line) that wrote the key at `path`, or what is nearest above it.
    pub(super) fn origin(&self, path: &[String]) -> Option<&str> {
        (1..=path.len()).rev().find_map(|len| self.origins.get(&path[..len].join("."))).map(String::as_str)
    }
}

/// A file that is part of the chain.
struct Included {
    path: PathBuf,
    tree: Map<String, Value>,
    /// The files it brought in, those excepted that were there already.
    brings: Vec<usize>,
}

/// Reads `files`, everything they include, and puts `overrides` on top.
///
/// # Errors
/// Every file that cannot be used, in words.
pub(super) fn compose(files: &[String], overrides: Vec<Override>, disk: &Disk<'_>) -> Result<Composed, Vec<String>> {
    let mut faults = Vec::new();
    let mut top = Value::Object(Map::new());
    for one in overrides {
        let base = top.clone();
        merge(&mut top, one.tree(), &base, &mut Vec::new(), &mut faults);
    }
    let mut asked: Vec<(String, Option<PathBuf>)> = files.iter().map(|file| (file.clone(), None)).collect();
    match includes(top.get(INCLUDES)) {
        Ok(more) => asked.extend(more.into_iter().map(|file| (file, Some(PathBuf::new())))),
        Err(why) => faults.push(format!("{COMMAND_LINE}: {why}")),
    }
    let roots = asked.len();
    let chain = read_all(asked, disk, &mut faults);

    let mut out = Composed { files: chain.iter().flatten().count(), ..Composed::default() };
    let mut tree = Value::Object(Map::new());
    let mut add = |label: String, more: Map<String, Value>, faults: &mut Vec<String>| {
        let before = faults.len();
        note_origins(&mut Vec::new(), &more, &label, &mut out.origins);
        let base = tree.clone();
        merge(&mut tree, Value::Object(more), &base, &mut Vec::new(), faults);
        faults.iter_mut().skip(before).for_each(|fault| *fault = format!("{label}: {fault}"));
    };
    let mut chain: Vec<Option<Included>> = chain;
    for at in merge_order(&chain, roots) {
        if let Some(file) = chain[at].take() {
            add(file.path.display().to_string(), file.tree, &mut faults);
        }
    }
    if let Value::Object(top) = top {
        add(COMMAND_LINE.into(), top, &mut faults);
    }
    if let Value::Object(mut tree) = tree {
        tree.remove(INCLUDES);
        out.tree = tree;
    }
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

/// Reads every file asked for, breadth first, each once; `None` where it could not be used.
fn read_all(
    mut asked: Vec<(String, Option<PathBuf>)>,
    disk: &Disk<'_>,
    faults: &mut Vec<String>,
) -> Vec<Option<Included>> {
    let mut chain: Vec<Option<Included>> = Vec::new();
    // `asked` grows while it is walked, in step with `chain`.
    while let Some((name, folder)) = asked.get(chain.len()).cloned() {
        let found = find(&name, folder.as_deref(), disk).and_then(|(path, text)| {
            let tree = yaml::read(&text).map_err(|why| format!("{}: not usable YAML: {why}.", path.display()))?;
            let more = includes(tree.get(INCLUDES)).map_err(|why| format!("{}: {why}", path.display()))?;
            Ok((path, tree, more))
        });
        let (path, tree, more) = match found {
            Ok(found) => found,
            Err(why) => {
                faults.push(why);
                chain.push(None);
                continue;
            }
        };
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let mut brings = Vec::new();
        for name in more {
            if asked.len() >= MOST_FILES {
                faults.push(format!("{}: more than {MOST_FILES} files are included.", path.display()));
                break;
            }
            // The same name means the same file, as Gym has it: whoever asked first has brought it in.
            if !asked.iter().any(|(other, _)| *other == name) {
                brings.push(asked.len());
                asked.push((name, Some(folder.clone())));
            }
        }
        chain.push(Some(Included { path, tree, brings }));
    }
    chain
}

/// The files that a `config_paths` names.
fn includes(value: Option<&Value>) -> Result<Vec<String>, String> {
    let wrong = || format!("`{INCLUDES}` must be a list of paths. Write `{INCLUDES}: [a.yaml, b.yaml]`.");
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// The first file of that name that is there: as it is said, where it was said on the command line; otherwise under one
/// of the roots, in the folder of the file that names it or above, or here.
fn find(name: &str, folder: Option<&Path>, disk: &Disk<'_>) -> Result<(PathBuf, String), String> {
    let mut places: Vec<PathBuf> = Vec::new();
    let roots = disk.roots.iter().map(|root| root.join(name));
    match folder {
        None => places.extend(std::iter::once(PathBuf::from(name)).chain(roots)),
        Some(folder) => {
            places.extend(roots);
            places.extend(folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()).map(|up| up.join(name)));
            places.push(PathBuf::from(name));
        }
    }
    let mut looked: Vec<PathBuf> = Vec::new();
    for place in places {
        if looked.contains(&place) {
            continue;
        }
        match (disk.read)(&place) {
            Ok(text) => return Ok((place, text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                looked.push(place);
            }
            Err(error) => return Err(format!("{}: cannot be read: {error}.", place.display())),
        }
    }
    let looked = looked.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(format!(
        "{name}: there is no such file (looked for {looked}). Check the path, or give Gym's folder: --root DIR."
    ))
}

/// Every file after those it brought in; those asked for, and each with what it brought, one after another.
fn merge_order(chain: &[Option<Included>], roots: usize) -> Vec<usize> {
    let mut order = Vec::new();
    let mut pending: Vec<(usize, bool)> = (0..roots.min(chain.len())).rev().map(|at| (at, false)).collect();
    while let Some((at, ready)) = pending.pop() {
        if ready {
            order.push(at);
            continue;
        }
        pending.push((at, true));
        let brings = chain[at].iter().flat_map(|file| &file.brings);
        pending.extend(brings.rev().map(|child| (*child, false)));
    }
    order
}

/// Puts `from` over `into`: mappings merge deeply, everything else is replaced, `???` says nothing. `base` is the whole
/// tree as it was before, where interpolations that stand for mappings are looked up.
fn merge(into: &mut Value, from: Value, base: &Value, path: &mut Vec<String>, faults: &mut Vec<String>) {
    if matches!(&from, Value::Object(_)) {
        // What stands for a mapping is one, of its own, once something is added to it.
        for _ in 0..8 {
            let Some(target) = into.as_str().and_then(whole_path).and_then(|path| lookup(base, &path)) else { break };
            *into = target.clone();
        }
    }
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(old) => {
                        path.push(key);
                        merge(old, value, base, path, faults);
                        path.pop();
                    }
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (_, Value::String(text)) if text == "???" => {}
        (into @ Value::Object(_), from @ Value::Array(_)) | (into @ Value::Array(_), from @ Value::Object(_)) => {
            *into = from;
            let key = path.join(".");
            faults.push(format!("`{key}` is a list in one place and a mapping in another. Make them agree."));
        }
        (into, from) => *into = from,
    }
}

/// Puts `from` over `into`, whatever they are.
pub(super) fn layer(into: &mut Value, from: Value) {
    merge(into, from, &Value::Null, &mut Vec::new(), &mut Vec::new());
}

fn note_origins(path: &mut Vec<String>, map: &Map<String, Value>, label: &str, out: &mut BTreeMap<String, String>) {
    for (key, value) in map {
        path.push(key.clone());
        out.insert(path.join("."), label.to_owned());
        if let Value::Object(inner) = value {
            note_origins(path, inner, label, out);
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::overrides;
    use super::*;

    fn composed(disk: &[(&str, &str)], files: &[&str], words: &[&str]) -> Result<Value, Vec<String>> {
        rooted(disk, &[], files, words).map(|composed| Value::Object(composed.tree))
    }

    fn rooted(disk: &[(&str, &str)], roots: &[&str], files: &[&str], words: &[&str]) -> Result<Composed, Vec<String>> {
        let read = |path: &Path| {
            let found = disk.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        let roots: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        let overrides = words.iter().map(|word| overrides::parse(word).expect("an override")).collect();
        compose(&files, overrides, &Disk { roots: &roots, read: &read })
    }

    #[test]
    fn mappings_merge_lists_are_replaced_and_the_command_line_wins() {
        let disk = [("a.yaml", "m: {x: 1, y: [1, 2]}\nn: 1\n"), ("b.yaml", "m: {y: [3], z: ???, x: ???}\nn: {k: 1}\n")];
        let all = composed(&disk, &["a.yaml", "b.yaml"], &["++m.x=5", "+m.q={r:1}", "m.q={s: 2}"]);
        assert_eq!(all, Ok(json!({"m": {"x": 5, "y": [3], "z": "???", "q": {"r": 1, "s": 2}}, "n": {"k": 1}})));
    }

    #[test]
    fn a_file_wins_over_what_it_includes_and_over_earlier_siblings() {
        let disk = [
            ("top.yaml", "config_paths: [one.yaml, two.yaml]\nv: {top: top}\n"),
            ("one.yaml", "config_paths: [deep.yaml]\nv: {top: one, both: one, deep: one}\n"),
            ("two.yaml", "v: {both: two}\n"),
            ("deep.yaml", "config_paths: [top.yaml]\nv: {deep: deep, both: deep, only: deep}\n"),
        ];
        let all = composed(&disk, &["top.yaml"], &[]).expect("composed");
        assert_eq!(all["v"], json!({"top": "top", "both": "two", "deep": "one", "only": "deep"}));
        let all = composed(&disk, &[], &["+config_paths=[two.yaml,one.yaml]"]).expect("composed");
        assert_eq!(all["v"]["both"], "one");
    }

    #[test]
    fn paths_are_under_the_root_beside_the_file_above_it_or_here() {
        let disk = [
            ("gym/models/m.yaml", "a: root"),
            ("work/x/top.yaml", "config_paths: [models/m.yaml, near.yaml, here.yaml]"),
            ("work/models/m.yaml", "a: above"),
            ("work/x/near.yaml", "b: near"),
            ("here.yaml", "c: here"),
        ];
        assert_eq!(composed(&disk, &["work/x/top.yaml"], &[]), Ok(json!({"a": "above", "b": "near", "c": "here"})));
        let all = rooted(&disk, &["gym"], &["work/x/top.yaml"], &[]).expect("composed");
        assert_eq!(all.tree["a"], "root");
        assert_eq!(all.origin(&["a".into(), "deeper".into()]), Some("gym/models/m.yaml"));
        assert_eq!(all.files, 4);
    }

    #[test]
    fn every_fault_is_told_with_its_file() {
        let disk =
            [("a.yaml", "config_paths: [no.yaml, b.yaml, c.yaml]\nl: [1]\n"), ("b.yaml", "{"), ("c.yaml", "l: {}")];
        let faults = composed(&disk, &["a.yaml", "gone.yaml"], &["+config_paths=x"]).expect_err("faults").join("\n");
        for part in [
            "the command line: `config_paths` must",
            "no.yaml: there is no such file",
            "b.yaml: not usable",
            "gone.yaml: there",
            "a.yaml: `l` is a list",
        ] {
            assert!(faults.contains(part), "{part} in {faults}");
        }
    }

    #[test]
    fn what_stands_for_a_mapping_is_added_to() {
        let disk = [("a.yaml", "x: {b: 1}\na: ${x}\n"), ("b.yaml", "a: {c: 2}")];
        let all = composed(&disk, &["a.yaml", "b.yaml"], &[]);
        assert_eq!(all, Ok(json!({"x": {"b": 1}, "a": {"b": 1, "c": 2}})));
    }
}
