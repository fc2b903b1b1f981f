//! From a file to a validated configuration, or to every fault in it.

use std::fs::File;
use std::io::Read;
use std::path::Path as FilePath;

use serde::Deserialize;

use super::build::build;
use super::check::{check, prune};
use super::expand::Env;
use super::fault::{Fault, Faults};
use super::finding::Finding;
use super::gym;
use super::marks::Marks;
use super::path::Path;
use super::raw::Raw;
use super::resolve::Resolver;
use super::types::Config;
use super::yaml::{Kind, Node};
use super::{rules, schema, yaml};

/// What a house is called whose configuration has no file name.
const NAME: &str = "house";

/// Larger files are not configurations.
const LARGEST: u64 = 8 << 20;

/// Where to begin, for remedies.
const START: &str = "Start from conf/demo.yaml or conf/vllm.yaml; conf/reference.yaml shows every key.";

/// Reads, expands and validates the configuration in the file at `path`; `env` looks up environment variables.
///
/// # Errors
/// Every fault at once.
pub fn load(path: &FilePath, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Faults> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(Faults::file(
            format!("{} cannot be read: {error}.", path.display()),
            format!("Give the path of a configuration file that this user may read. {START}"),
        ));
    }
    if bytes.len() as u64 > LARGEST {
        return Err(Faults::file(
            format!("{} is larger than 8 MiB.", path.display()),
            "Give the path of a configuration file.",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Faults::file(format!("{} is not UTF-8 text (line {line}).", path.display()), "Save it as UTF-8.")
    })?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    read_text(&text, env, &house_name(&stem.unwrap_or_default()))
}

/// A name for a house out of a file's: what may not be in one becomes `-`.
fn house_name(stem: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(fit).skip_while(|c| !c.is_ascii_alphanumeric()).take(64).collect();
    if name.is_empty() { NAME.to_owned() } else { name }
}

/// The same for a text.
///
/// # Errors
/// Every fault at once.
pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Faults> {
    read_text(text, env, NAME)
}

fn read_text(text: &str, env: Env<'_>, name: &str) -> Result<Config, Faults> {
    let mut faults = Vec::new();
    let Some(root) = yaml::read(text.strip_prefix('\u{feff}').unwrap_or(text), &mut faults) else {
        return Err(Faults(faults));
    };
    match &root.kind {
        Kind::Map(_) => {}
        Kind::Null => return Err(Faults::file("There is nothing in it.", START)),
        _ => return Err(Faults::file("It is not a mapping of keys to values.", START)),
    }
    let result = assemble(&root, env, name);
    match result {
        Ok(config) if faults.is_empty() => Ok(config),
        Ok(_) => Err(Faults(faults)),
        Err(more) => {
            faults.extend(more);
            faults.sort_by(|a, b| (a.line, &a.path).cmp(&(b.line, &b.path)));
            Err(Faults(faults))
        }
    }
}

fn assemble(root: &Node, env: Env<'_>, name: &str) -> Result<Config, Vec<Fault>> {
    let schema = schema::schema();
    let mut resolver = Resolver { schema: &schema, env, marks: Marks::default(), findings: Vec::new() };
    let mut value = resolver.resolve(root, &Path::default(), Some(&schema)).unwrap_or_default();
    let (marks, mut findings) = (resolver.marks, resolver.findings);
    gym::without_nulls(&mut value);
    let mut spoiled: Vec<Path> = findings.iter().map(|finding| finding.path.setting()).collect();

    let misfits = check(&schema, &value);
    prune(&mut value, &schema, &misfits.spoiled);
    findings.extend(misfits.findings);
    spoiled.extend(misfits.spoiled);

    let result = match Raw::deserialize(value) {
        Ok(raw) => {
            findings.extend(rules::breaches(&raw).into_iter().filter(|breach| !is_consequence(breach, &spoiled)));
            if findings.is_empty() { build(raw, name).map_err(|finding| findings.push(finding)) } else { Err(()) }
        }
        // The schema is made from these types, so it has found this already; if not, this is the place to say so.
        Err(error) => {
            if findings.is_empty() {
                findings.push(Finding::new(Path::default(), format!("It cannot be understood: {error}."), START));
            }
            Err(())
        }
    };
    result.map_err(|()| findings.into_iter().map(|finding| marks.fault(finding)).collect())
}

/// Whether a breach only follows from something that was told already.
fn is_consequence(breach: &Finding, spoiled: &[Path]) -> bool {
    let of = |path: &Path| spoiled.iter().any(|spoiled| spoiled.leads_to(path));
    // A name that nobody has may be that of an adapter or variant that was not understood.
    let keys: Vec<&str> = breach.path.keys().collect();
    let unknown_name = matches!(keys[..], ["aliases", _, "model" | "fallback" | "split" | "mirror", ..]);
    let names = |path: &Path| path.last_key() == Some("lora") || path.keys().any(|key| key == "variants");
    of(&breach.path) || breach.given.iter().any(of) || unknown_name && spoiled.iter().any(names)
}
