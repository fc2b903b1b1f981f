//! From a file to a validated configuration, or to everything that is wrong with it.

use std::fs::File;
use std::io::Read;
use std::path::Path as FilePath;

use serde::Deserialize;

use super::convert::convert;
use super::diagnostic::{Diagnostic, Diagnostics, Draft};
use super::document::{self, Env, Kind, Node, Resolver, SourceMap};
use super::path::Path;
use super::raw::Raw;
use super::types::{Config, without_nulls};
use super::{foreign, rules, schema};

/// The name of a gateway whose configuration has no file name.
const NAME: &str = "gateway";

/// Larger files are not configurations: bytes.
pub const LARGEST_FILE: u64 = 8 << 20;

/// Where to begin, for remedies.
const START: &str = "Start from conf/demo.yaml or conf/vllm.yaml; conf/reference.yaml shows every key.";

/// Reads, expands and validates the configuration in the file at `path`; `env` looks up environment variables.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(path: &FilePath, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
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
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Diagnostics::file(format!("{} is not UTF-8 text (line {line}).", path.display()), "Save it as UTF-8.")
    })?;
    parse_as(path, &text, env)
}

/// The same for a text that is, or would be, in the file at `path`.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse_as(path: &FilePath, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    read_text(text, env, &gateway_name(&stem.unwrap_or_default()))
}

/// A name for the gateway, made from a file's: characters that cannot be in one become `-`.
fn gateway_name(stem: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(fit).skip_while(|c| !c.is_ascii_alphanumeric()).take(64).collect();
    if name.is_empty() { NAME.to_owned() } else { name }
}

/// The same for a text without a file.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Diagnostics> {
    read_text(text, env, NAME)
}

fn read_text(text: &str, env: Env<'_>, name: &str) -> Result<Config, Diagnostics> {
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
        Ok(config) if found.is_empty() => Ok(config),
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
    let (source_map, mut drafts) = (resolver.source_map, resolver.drafts);
    without_nulls(&mut value);
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
