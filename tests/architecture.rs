//! The layers of `src/lib.rs` hold: a module uses only lower layers, no files import each other in a circle, and every
//! file says what it is for.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Crate, ModulePath};

/// Layer of each top-level module; modules of one layer do not import each other.
const LAYERS: &[(&str, u8)] = &[
    ("cli", 8),
    ("app", 7),
    ("admin", 6),
    ("tui", 6),
    ("proxy", 5),
    ("supervisor", 5),
    ("discovery", 5),
    ("dispatch", 4),
    ("routing", 3),
    ("engines", 2),
    ("admission", 2),
    ("telemetry", 2),
    ("placement", 2),
    ("flags", 2),
    ("dialects", 2),
    ("local_models", 2),
    ("config", 1),
    ("openai", 1),
    ("inventory", 1),
    ("estimate", 1),
    ("api", 1),
    ("net", 1),
    ("http1", 0),
    ("ids", 0),
    ("secret", 0),
    ("outcome", 0),
    ("settings", 0),
    ("similar", 0),
    ("gpu", 0),
    ("private_file", 0),
    ("text_table", 0),
    ("sim", 0),
];

/// What `sim` may use although it stands aside of the layers.
const SIM_MAY_USE: [&str; 3] = ["openai", "ids", "sim"];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All `.rs` files that lie under `folder`.
fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable").map(|entry| entry.expect("entry").path()) {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.insert(entry);
        }
    }
}

/// The crate as it is read; what lies on disk is what is declared, so that no file escapes the tests below.
fn sources() -> Crate {
    let read = Crate::read(&src());
    let declared: BTreeSet<PathBuf> = read.sources.values().map(|source| source.file.clone()).collect();
    let mut lie = BTreeSet::new();
    files(&src(), &mut lie);
    lie.remove(&src().join("main.rs"));
    assert_eq!(declared, lie, "files that `mod` declarations lead to, and files in src/");
    assert_eq!(
        LAYERS.iter().filter(|(name, _)| read.sources.contains_key(&[(*name).to_owned()][..])).count(),
        LAYERS.len()
    );
    assert!(read.sources.len() > 450, "{} files", read.sources.len());
    read
}

#[test]
fn no_arrow_points_up() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let layer_of = |module: &str| *layers.get(module).unwrap_or_else(|| panic!("add `{module}` to LAYERS"));
    for (module, source) in &sources().sources {
        let Some(own) = module.first() else { continue };
        let others = source.uses.iter().filter_map(|used| Crate::top_level(module, used));
        for other in others.filter(|other| other != own) {
            let allowed = match (own.as_str(), other.as_str()) {
                ("sim", other) => SIM_MAY_USE.contains(&other),
                ("cli", "sim") => true,
                (_, "sim") => false,
                // Said in `src/lib.rs`.
                ("settings", "ids") => true,
                (own, other) => layer_of(other) < layer_of(own),
            };
            let (file, above, below) = (source.file.display(), layer_of(own), layer_of(&other));
            assert!(allowed, "{file}: `{own}` (layer {above}) uses `{other}` (layer {below})");
        }
    }
}

/// Files that reach each other: each circle with its arrows.
fn cycles(needs: &BTreeMap<&ModulePath, BTreeSet<ModulePath>>) -> Vec<BTreeSet<ModulePath>> {
    let reach = |start: &ModulePath| {
        let (mut reached, mut left) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(module) = left.pop() {
            let next = needs.get(&module).into_iter().flatten();
            left.extend(next.filter(|module| reached.insert((*module).clone())).cloned());
        }
        reached
    };
    let all: BTreeMap<_, _> = needs.keys().map(|module| (*module, reach(module))).collect();
    let in_circle = |module: &ModulePath| {
        let others = all[module].iter().filter(|other| all.get(other).is_some_and(|back| back.contains(module)));
        others.cloned().collect::<BTreeSet<_>>()
    };
    let found: BTreeSet<_> = needs.keys().map(|module| in_circle(module)).filter(|circle| !circle.is_empty()).collect();
    found.into_iter().collect()
}

/// The folder that all files of a circle lie in, from `src/` on.
fn folder(circle: &BTreeSet<ModulePath>, read: &Crate) -> String {
    let parents = circle.iter().map(|module| read.sources[module].file.parent().expect("a folder"));
    let common =
        parents.reduce(|one, other| one.ancestors().find(|folder| other.starts_with(folder)).expect("src at least"));
    let common = common.and_then(|folder| folder.strip_prefix(src()).ok()).expect("under src");
    common.to_str().expect("UTF-8").to_owned()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let read = sources();
    let needs = read.needs();
    let mut report = String::new();
    for circle in cycles(&needs) {
        let folder = folder(&circle, &read);
        report += &format!("\n{} files of src/{folder} import each other in a circle:\n", circle.len());
        for module in &circle {
            let into: Vec<_> = needs[module].intersection(&circle).map(|other| other.join("::")).collect();
            report += &format!("  {} uses {}\n", module.join("::"), into.join(", "));
        }
    }
    assert!(report.is_empty(), "{report}Move what both sides need to a file that neither of them is.");
}

/// A cruder look at the same files: every line that begins with `use crate::` or the like was read, and leads somewhere.
#[test]
fn the_reader_misses_no_use() {
    let read = sources();
    let needs = read.needs();
    for (module, source) in &read.sources {
        let text = fs::read_to_string(&source.file).expect("UTF-8");
        let starts = ["use crate::", "use super::", "use self::"];
        let lines = || text.lines().filter(|line| starts.iter().any(|start| line.trim_start().starts_with(start)));
        let seen =
            source.uses.iter().filter(|used| matches!(used.path[0].as_str(), "crate" | "super" | "self")).count();
        assert!(seen >= lines().count(), "{}: {seen} uses were seen", source.file.display());
        // Not indented: no test's.
        let needed = needs.get(module).map_or(1, BTreeSet::len);
        assert!(needed > 0 || lines().all(|line| line.starts_with(' ')), "{}: leads nowhere", source.file.display());
    }
}

#[test]
fn circles_are_found_through_re_exports_and_inline_paths_but_not_in_tests() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
    };
    write("lib.rs", "pub mod a;\npub mod plain;");
    // Re-exports and declares: no part of a circle.
    write(
        "a/mod.rs",
        "mod one; mod two; mod three; mod four; pub use self::one::One; pub(crate) use two::{Two as Second};",
    );
    write("a/one.rs", "use super::Second;\npub struct One(Second);\n// use super::three;\n");
    write(
        "a/two.rs",
        "pub(in crate::a::four) struct Two;\nfn f() -> String { format!(\"super::four {}\", [super::three::Three::new()]) }",
    );
    write("a/three.rs", "pub struct Three; impl Three { pub fn new() { crate::a::One; } }");
    // Uses itself, its user in a test only, and the file above by a glob.
    write(
        "a/four.rs",
        "use super::one::{self, One}; use self::x; fn x() {} #[cfg(test)] mod tests { use super::super::plain; }",
    );
    write("plain.rs", "use crate::a::One; #[cfg(test)] fn t() { crate::cli::x() }\n#[cfg(test)]\nmod tests;");
    write("plain/tests.rs", "use super::super::a::*;");
    let read = Crate::read(folder.path());
    let found = cycles(&read.needs());
    let names: Vec<Vec<String>> =
        found.iter().map(|circle| circle.iter().map(|module| module.join("::")).collect()).collect();
    assert_eq!(names, [["a::one", "a::three", "a::two"]]);
    let plain = &read.sources[&["plain".to_owned()][..]];
    let tops: Vec<_> = plain.uses.iter().filter_map(|used| Crate::top_level(&["plain".into()], used)).collect();
    assert_eq!(tops, ["a", "cli"], "tests count for the layers");

    // A file that declares modules and also has code of its own is a file like others.
    write(
        "a/mod.rs",
        "mod one; mod two; mod three; mod four; pub use one::One; pub use two::Two as Second; pub fn f() { Second; }",
    );
    write("a/two.rs", "pub struct Two; use super::f;");
    let found = cycles(&Crate::read(folder.path()).needs());
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [BTreeSet::from([vec!["a".into()], vec!["a".into(), "two".into()]])]
    );
}

#[test]
fn every_file_opens_with_its_one_job() {
    for source in sources().sources.values() {
        let text = fs::read_to_string(&source.file).expect("UTF-8");
        assert!(text.starts_with("//! "), "{} does not open with a `//! ` sentence", source.file.display());
    }
}

#[test]
fn only_cli_uses_app_and_main_only_cli() {
    let main = fs::read_to_string(src().join("main.rs")).expect("UTF-8");
    assert!(main.contains("enginehouse::cli::main()"));
    assert_eq!(main.matches("enginehouse::").count(), 1, "main.rs only calls cli");
}

/// Fields that one struct of the data path may have: more are several things, and belong into several structs.
const FIELDS: usize = 12;

#[test]
fn no_struct_of_the_data_path_has_too_many_fields() {
    let mut seen = 0;
    for (module, source) in &sources().sources {
        if !module.first().is_some_and(|top| ["proxy", "dispatch", "admission"].contains(&&**top)) {
            continue;
        }
        for (name, fields) in imports::structs::fields(&fs::read_to_string(&source.file).expect("UTF-8")) {
            assert!(fields <= FIELDS, "{}: `{name}` has {fields} fields", source.file.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} structs were counted");
}

#[test]
fn fields_are_counted_whatever_their_types_are() {
    let text = "struct Unit; struct Pair(u8, u8); pub(crate) struct One<'a, T: Into<u8>> where T: Copy { \
                #[doc = \"a: b\"] pub(super) a: std::sync::Arc<T>, b: Box<dyn Fn(&'a u8) -> u8 + 'a> } \
                mod inside { struct Two { r#type: [u8; { let x: u8 = 1; 2 }] } } fn f() { struct Three {} }";
    let counted: Vec<_> = [("One", 2), ("Two", 1), ("Three", 0)].map(|(name, count)| (name.to_owned(), count)).into();
    assert_eq!(imports::structs::fields(text), counted);
}
