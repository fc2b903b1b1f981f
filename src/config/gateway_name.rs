//! The name of a gateway whose configuration says none.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The name of a gateway whose configuration has no file name.
const NAME: &str = "gateway";

/// Characters of a file's name that are kept in its gateway's, which may have 64: the hash and a hyphen take nine.
const MOST_OF_STEM: usize = 55;

/// The name of the gateway of these files: that of the first, and a hash of where they are. Two projects may both have a
/// `config.yaml`, and neither is to find, and to end, the engines of the other.
pub(super) fn gateway_name(paths: &[&Path]) -> String {
    let named: Vec<&Path> = paths.iter().copied().filter(|path| !path.as_os_str().is_empty()).collect();
    let Some(first) = named.first() else { return NAME.to_owned() };
    let stem = first.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let fit = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(fit).skip_while(|c| !c.is_ascii_alphanumeric()).take(MOST_OF_STEM).collect();
    let name = if name.is_empty() { NAME } else { &name };
    let mut places = Vec::new();
    for path in &named {
        if !places.is_empty() {
            // No path has it.
            places.push(0);
        }
        places.extend_from_slice(place(path).as_os_str().as_encoded_bytes());
    }
    let hash = Sha256::digest(&places);
    let digits: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{digits}")
}

/// Where the file at `path` is. Links on the way stay as they are: each new version of a deployment may replace them, as in a
/// Kubernetes ConfigMap or behind `current -> releases/42`, and where they point to says nothing of whose the file is.
fn place(path: &Path) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, parse_layers};

    #[test]
    fn gateways_are_named_after_their_file_and_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = |name: &str| {
            std::fs::create_dir(folder.path().join(name)).expect("made");
            folder.path().join(name).join("config.yaml")
        };
        let (one, two) = (project("one"), project("two"));
        let name = gateway_name(&[&one]);
        assert!(name.starts_with("config-") && name.len() == "config-".len() + 8, "{name}");
        assert_ne!(name, gateway_name(&[&two]), "another project");
        assert_eq!(name, gateway_name(&[&folder.path().join("two/../one/config.yaml")]), "the same file");
        let (link, by_link) = (folder.path().join("current"), folder.path().join("current/config.yaml"));
        std::os::unix::fs::symlink(folder.path().join("one"), &link).expect("linked");
        let first = gateway_name(&[&by_link]);
        std::fs::remove_file(&link).expect("removed");
        std::os::unix::fs::symlink(folder.path().join("two"), &link).expect("linked");
        assert_eq!(first, gateway_name(&[&by_link]), "a link to a release is exchanged");
        std::os::unix::fs::symlink(&two, &one).expect("linked");
        assert_eq!(name, gateway_name(&[&one]), "a link to a version of the file is exchanged");
        let long = gateway_name(&[&folder.path().join(format!("_{}.yaml", "x y".repeat(40)))]);
        assert!(long.starts_with("x-yx-y") && long.len() == 64, "{long}");
        assert!(gateway_name(&[&folder.path().join("ä.yaml")]).starts_with("gateway-"));
        let both = gateway_name(&[&one, &two]);
        assert!(both.starts_with("config-") && both != gateway_name(&[&two, &one]) && both != name, "{both}");
        let mine = Layers::of(&one, "name: mine\nmodels: {m: {source: s}}");
        let in_file = parse_layers(&mine, &|_| None).expect("valid");
        assert_eq!(in_file.name, "mine", "it says so itself");
    }
}
