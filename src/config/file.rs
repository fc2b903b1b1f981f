//! The text of one configuration file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::diagnostic::Diagnostics;

/// Larger files are not configurations: bytes.
pub const LARGEST_FILE: u64 = 8 << 20;

/// Where to begin, for remedies.
pub(super) const START: &str = "Start from conf/demo.yaml or conf/vllm.yaml; conf/reference.yaml shows every key.";

/// The text of the configuration in the file at `path`.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn read_file(path: &Path) -> Result<String, Diagnostics> {
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
