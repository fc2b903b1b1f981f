//! From a file to a validated configuration, or to everything that is wrong with it.

use std::fs::File;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::convert::convert;
use super::diagnostic::{Diagnostic, Diagnostics, Draft};
use super::document::{self, Env, Kind, Node, Resolver, SourceMap};
use super::overlay::{self, Merged, Overlay};
use super::path::Path;
use super::raw::Raw;
use super::types::{Config, without_nulls};
use super::{foreign, rules, schema};

/// The name of a gateway whose configuration has no file name.
const NAME: &str = "gateway";

/// Characters of a file's name that are kept in its gateway's, which may have 64: the hash and a hyphen take nine.
const MOST_OF_STEM: usize = 55;

/// Larger files are not configurations: bytes.
pub const LARGEST_FILE: u64 = 8 << 20;

/// Where to begin, for remedies.
const START: &str = "Start from conf/demo.yaml or conf/vllm.yaml; conf/reference.yaml shows every key.";

/// Reads, expands and validates the configuration in the file at `path`; `env` looks up environment variables.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(path: &FilePath, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
    parse_as(path, &read_file(path)?, env)
}

/// The text of the configuration in the file at `path`.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn read_file(path: &FilePath) -> Result<String, Diagnostics> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(Diagnostics::file(
            format!("{} cannot be read: {error}.", path.display()),
            format!("Give the path of a configuration file that this user may read. {START}"),
        ));
    }
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Diagnostics::file(
            format!("{} is larger than 8 MiB.", path.display()),
            "Give the path of a configuration file.",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Diagnostics::file(format!("{} is not UTF-8 text (line {line}).", path.display()), "Save it as UTF-8.")
    })
}

/// The same for a text that is, or would be, in the file at `path`.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse_as(path: &FilePath, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
    read_text(text, env, &gateway_name(path)).map(|(_, config)| config)
}

/// The same with `overlay` on it. The file must be valid by itself; entries of the overlay that are not are disabled.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn parse_with(
    path: &FilePath,
    text: &str,
    overlay: &Overlay,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Merged, Diagnostics> {
    let name = gateway_name(path);
    let (root, config) = read_text(text, env, &name)?;
    Ok(overlay::merge((&root, config), overlay, |root| assemble(root, env, &name).map_err(Diagnostics)))
}

/// The name of the gateway of the file at `path`: the file's, and a hash of where the file is. Two projects may both have a
/// `config.yaml`, and neither is to find, and to end, the engines of the other.
fn gateway_name(path: &FilePath) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let fit = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(fit).skip_while(|c| !c.is_ascii_alphanumeric()).take(MOST_OF_STEM).collect();
    let name = if name.is_empty() { NAME } else { &name };
    let hash = Sha256::digest(place(path).as_os_str().as_encoded_bytes());
    let digits: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{digits}")
}

/// Where the file at `path` is. Links on the way stay as they are: each new version of a deployment may replace them, as in a
/// Kubernetes ConfigMap or behind `current -> releases/42`, and where they point to says nothing of whose the file is.
fn place(path: &FilePath) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut place = PathBuf::new();
    for part in absolute.components() {
        if part == std::path::Component::ParentDir {
            place.pop();
        } else {
            place.push(part);
        }
    }
    place
}

/// The same for a text without a file.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
    read_text(text, env, NAME).map(|(_, config)| config)
}

fn read_text(text: &str, env: Env<'_>, name: &str) -> Result<(Node, Config), Diagnostics> {
    let mut found = Vec::new();
    let Some(root) = document::read(text.strip_prefix('\u{feff}').unwrap_or(text), &mut found) else {
        return Err(Diagnostics(found));
    };
    match &root.kind {
        Kind::Map(_) => {}
        Kind::Null => return Err(Diagnostics::file("The file is empty.", START)),
        _ => return Err(Diagnostics::file("The file is not a mapping of keys to values.", START)),
    }
    if let Some(told) = foreign::recognise(&root) {
        return Err(told);
    }
    match assemble(&root, env, name) {
        Ok(config) if found.is_empty() => Ok((root, config)),
        Ok(_) => Err(Diagnostics(found)),
        Err(more) => {
            // What is wrong with a mapping as a whole may only follow from a key of it that could not be read.
            let is_news = |one: &Diagnostic| found.iter().all(|known| known.path != one.path);
            let more: Vec<Diagnostic> = more.into_iter().filter(is_news).collect();
            found.extend(more);
            found.sort_by(|a, b| (a.line, &a.path).cmp(&(b.line, &b.path)));
            Err(Diagnostics(found))
        }
    }
}

fn assemble(root: &Node, env: Env<'_>, name: &str) -> Result<Config, Vec<Diagnostic>> {
    let schema = schema::schema();
    let mut resolver = Resolver { schema: &schema, env, source_map: SourceMap::default(), drafts: Vec::new() };
    let mut value = resolver.resolve(root, &Path::default(), Some(&schema)).unwrap_or_default();
    let (mut source_map, mut drafts) = (resolver.source_map, resolver.drafts);
    without_nulls(&mut value);
    source_map.note_document(root, &value);
    drafts.extend(schema::check(&schema, &value));
    // What was not understood, and what a typo was meant to be.
    let unclear: Vec<Path> =
        drafts.iter().flat_map(|draft| [Some(draft.path.setting()), draft.meant.clone()]).flatten().collect();
    schema::prune(&mut value, &schema, &unclear);
    let result = match Raw::deserialize(value) {
        Ok(raw) => {
            drafts.extend(rules::check(&raw).into_iter().filter(|draft| !is_consequence(draft, &unclear)));
            if drafts.is_empty() { convert(raw, name).map_err(|draft| drafts.push(draft)) } else { Err(()) }
        }
        // The schema is made from these types, so it has found this already; if not, this is the place to say so.
        Err(error) => {
            if drafts.is_empty() {
                drafts.push(Draft::of_text(format!("It cannot be understood: {error}."), START));
            }
            Err(())
        }
    };
    match result {
        Ok(config) => Ok(Config { source_map: source_map.into(), ..config }),
        Err(()) => Err(drafts.into_iter().map(|draft| source_map.locate(draft)).collect()),
    }
}

/// Whether a draft only follows from something that is told already.
fn is_consequence(draft: &Draft, unclear: &[Path]) -> bool {
    let of = |path: &Path| unclear.iter().any(|unclear| unclear.leads_to(path));
    // A name that nothing has may be that of an adapter or variant that was not understood.
    let keys: Vec<&str> = draft.path.keys().collect();
    let unknown_name = matches!(keys[..], ["aliases", _, "model" | "fallback" | "split" | "mirror", ..]);
    let names = |path: &Path| path.last_key() == Some("lora") || path.keys().any(|key| key == "variants");
    of(&draft.path) || draft.given.iter().any(of) || unknown_name && unclear.iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_named_after_their_file_and_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = |name: &str| {
            std::fs::create_dir(folder.path().join(name)).expect("made");
            folder.path().join(name).join("config.yaml")
        };
        let (one, two) = (project("one"), project("two"));
        let name = gateway_name(&one);
        assert!(name.starts_with("config-") && name.len() == "config-".len() + 8, "{name}");
        assert_ne!(name, gateway_name(&two), "another project");
        assert_eq!(name, gateway_name(&folder.path().join("two/../one/config.yaml")), "the same file");
        let (link, by_link) = (folder.path().join("current"), folder.path().join("current/config.yaml"));
        std::os::unix::fs::symlink(folder.path().join("one"), &link).expect("linked");
        let first = gateway_name(&by_link);
        std::fs::remove_file(&link).expect("removed");
        std::os::unix::fs::symlink(folder.path().join("two"), &link).expect("linked");
        assert_eq!(first, gateway_name(&by_link), "a link to a release is exchanged");
        std::os::unix::fs::symlink(&two, &one).expect("linked");
        assert_eq!(name, gateway_name(&one), "a link to a version of the file is exchanged");
        let long = gateway_name(&folder.path().join(format!("_{}.yaml", "x y".repeat(40))));
        assert!(long.starts_with("x-yx-y") && long.len() == 64, "{long}");
        assert!(gateway_name(&folder.path().join("ä.yaml")).starts_with("gateway-"));
        let in_file = parse_as(&one, "name: mine\nmodels: {m: {source: s}}", &|_| None).expect("valid");
        assert_eq!(in_file.name, "mine", "it says so itself");
    }
}
