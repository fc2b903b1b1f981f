//! The layers of `src/lib.rs` hold: a module uses only lower layers, and every file says what it is for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Layer of each top-level module; modules of one layer are strangers.
const LAYERS: [(&str, u8); 18] = [
    ("cli", 6),
    ("app", 5),
    ("admin", 4),
    ("proxy", 3),
    ("supervisor", 3),
    ("routing", 2),
    ("engines", 2),
    ("telemetry", 2),
    ("dialects", 2),
    ("flags", 2),
    ("placement", 2),
    ("config", 1),
    ("openai", 1),
    ("inventory", 1),
    ("estimate", 1),
    ("ids", 0),
    ("secret", 0),
    ("sim", 0),
];

/// What `sim` may use although it stands aside of the layers.
const SIM_MAY_USE: [&str; 3] = ["openai", "ids", "sim"];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("readable").map(|entry| entry.expect("entry").path()) {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 40, "only {} sources were found", found.len());
    found
}

/// The top-level module a file belongs to; `None` for `lib.rs` and `main.rs`.
fn module_of(file: &Path) -> Option<String> {
    let relative = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("under src");
    let first = relative.components().next()?.as_os_str().to_str()?.trim_end_matches(".rs").to_owned();
    (first != "lib" && first != "main").then_some(first)
}

/// Top-level modules named after `crate::` in code, braces included.
fn used(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => {
                let (mut depth, mut item) = (0, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => names.push(std::mem::take(&mut item)),
                        _ if depth == 0 => item.push(c),
                        _ => {}
                    }
                }
                names.push(item);
            }
            None => names.push(after.to_owned()),
        }
    }
    let ident = |name: &String| name.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
    names.iter().filter_map(ident).filter(|name| !name.is_empty()).collect()
}

#[test]
fn no_arrow_points_up() {
    let layers: BTreeMap<_, _> = LAYERS.into_iter().collect();
    let mut arrows = 0;
    for file in sources() {
        let Some(own) = module_of(&file) else { continue };
        let layer = *layers.get(own.as_str()).unwrap_or_else(|| panic!("`{own}` has no layer: add it to LAYERS"));
        for other in used(&fs::read_to_string(&file).expect("UTF-8")) {
            let Some(&below) = layers.get(other.as_str()) else { continue };
            arrows += 1;
            let allowed = match (own.as_str(), other.as_str()) {
                ("sim", other) => SIM_MAY_USE.contains(&other),
                ("cli", "sim") => true,
                (_, "sim") => false,
                (own, other) => own == other || below < layer,
            };
            assert!(allowed, "{}: `{own}` (layer {layer}) uses `{other}` (layer {below})", file.display());
        }
    }
    assert!(arrows > 50, "only {arrows} uses were seen: the reader of imports is broken");
}

#[test]
fn the_reader_of_imports_sees_groups() {
    let text =
        "use crate::{ids::Name, engines::{House, Pool}, secret};\n// use crate::cli;\nlet x = crate::sim::run();";
    assert_eq!(used(text), ["ids", "engines", "secret", "sim"]);
}

#[test]
fn every_file_opens_with_its_one_job() {
    for file in sources() {
        let text = fs::read_to_string(&file).expect("UTF-8");
        assert!(text.starts_with("//! "), "{} does not open with a `//! ` sentence", file.display());
    }
}

#[test]
fn only_cli_uses_app_and_main_only_cli() {
    let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).expect("UTF-8");
    assert!(main.contains("enginehouse::cli::main()"));
    assert_eq!(main.matches("enginehouse::").count(), 1, "main.rs only calls cli");
}
