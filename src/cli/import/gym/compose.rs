//! A chain of files and overrides to one tree: includes first, then who includes them, the command line last.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::yaml;
use super::tree::layer;

/// The key under which a file names others.
const INCLUDES: &str = "config_paths";

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
    /// How many files went into it.
    pub(super) files: usize,
}

/// A file that is part of the chain.
struct Included {
    tree: Map<String, Value>,
    /// The files it brought in, those excepted that were there already.
    brings: Vec<usize>,
}

/// Reads `files`, everything they include, and puts `overrides` on top.
///
/// # Errors
/// Every file that cannot be used, in words.
pub(super) fn compose(files: &[String], overrides: Vec<Value>, disk: &Disk<'_>) -> Result<Composed, Vec<String>> {
    let mut errors = Vec::new();
    let mut top = Value::Object(Map::new());
    overrides.into_iter().for_each(|one| layer(&mut top, one));
    // A path inside a file is looked for elsewhere than one on the command line; an override counts as a file here.
    let mut asked: Vec<(String, Option<PathBuf>)> = files.iter().map(|file| (file.clone(), None)).collect();
    match includes(top.get(INCLUDES)) {
        Ok(more) => asked.extend(more.into_iter().map(|file| (file, Some(PathBuf::new())))),
        Err(why) => errors.push(format!("the command line: {why}")),
    }
    let roots = asked.len();
    let chain = read_all(asked, disk, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut tree = Value::Object(Map::new());
    (0..roots).for_each(|at| add(at, &chain, &mut tree));
    layer(&mut tree, top);
    let mut tree = if let Value::Object(tree) = tree { tree } else { Map::new() };
    tree.remove(INCLUDES);
    Ok(Composed { tree, files: chain.len() })
}

/// Puts a file over the tree, after those it brought in.
fn add(at: usize, chain: &[Included], tree: &mut Value) {
    chain[at].brings.iter().for_each(|inner| add(*inner, chain, tree));
    layer(tree, Value::Object(chain[at].tree.clone()));
}

/// Reads every file asked for, breadth first, each once; of no use where there are errors.
fn read_all(mut asked: Vec<(String, Option<PathBuf>)>, disk: &Disk<'_>, errors: &mut Vec<String>) -> Vec<Included> {
    let mut chain = Vec::new();
    let mut next = 0;
    // `asked` grows while it is walked.
    while let Some((name, folder)) = asked.get(next).cloned() {
        next += 1;
        let found = find(&name, folder.as_deref(), disk).and_then(|(path, text)| {
            let tree = yaml::read(&text).map_err(|why| format!("{}: not usable YAML: {why}.", path.display()))?;
            let more = includes(tree.get(INCLUDES)).map_err(|why| format!("{}: {why}", path.display()))?;
            Ok((path, tree, more))
        });
        let (path, tree, more) = match found {
            Ok(found) => found,
            Err(why) => {
                errors.push(why);
                continue;
            }
        };
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let mut brings = Vec::new();
        // The same name means the same file, as Gym has it: it was read when it was first named.
        for name in more {
            if !asked.iter().any(|(other, _)| *other == name) {
                brings.push(asked.len());
                asked.push((name, Some(folder.clone())));
            }
        }
        chain.push(Included { tree, brings });
    }
    chain
}

/// The files that a `config_paths` names.
fn includes(value: Option<&Value>) -> Result<Vec<String>, String> {
    let names = match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    names.ok_or_else(|| format!("`{INCLUDES}` must be a list of paths. Write `{INCLUDES}: [a.yaml, b.yaml]`."))
}

/// The first file of that name that exists: as it is written, on the command line (`folder` is none); otherwise under one
/// of the roots, in the folder of the file that names it or above, or here.
fn find(name: &str, folder: Option<&Path>, disk: &Disk<'_>) -> Result<(PathBuf, String), String> {
    let roots = disk.roots.iter().map(|root| root.join(name));
    let here = [PathBuf::from(name)];
    let places: Vec<PathBuf> = match folder {
        None => here.into_iter().chain(roots).collect(),
        Some(folder) => {
            let above = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()).map(|up| up.join(name));
            roots.chain(above).chain(here).collect()
        }
    };
    for place in &places {
        match (disk.read)(place) {
            Ok(text) => return Ok((place.clone(), text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(format!("{}: cannot be read: {error}.", place.display())),
        }
    }
    let places = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(format!(
        "{name}: there is no such file (looked for {places}). Check the path, or give Gym's folder: --root DIR."
    ))
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
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
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
        assert_eq!(all.files, 4);
    }

    #[test]
    fn every_error_is_told_with_its_file() {
        let disk = [("a.yaml", "config_paths: [no.yaml, b.yaml]"), ("b.yaml", "{")];
        let errors = composed(&disk, &["a.yaml", "gone.yaml"], &["+config_paths=x"]).expect_err("errors").join("\n");
        for part in [
            "the command line: `config_paths` must",
            "no.yaml: there is no such file",
            "b.yaml: not usable",
            "gone.yaml: there",
        ] {
            assert!(errors.contains(part), "{part} in {errors}");
        }
    }

    #[test]
    fn what_stands_for_a_mapping_is_added_to() {
        let disk = [("a.yaml", "x: {b: 1}\na: ${x}\n"), ("b.yaml", "a: {c: 2}")];
        let all = composed(&disk, &["a.yaml", "b.yaml"], &[]);
        assert_eq!(all, Ok(json!({"x": {"b": 1}, "a": {"c": 2, "_copy": "x"}})));
    }
}
