//! The text of one configuration file.

use std::fs::File;
use std::io::{self, Read};
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
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    read(&path.display().to_string(), file).map_err(|why| match why {
        Unusable::Unreadable(error) => unreadable(path, &error),
        Unusable::NoConfiguration(told) => told,
    })
}

/// The text of the configuration that `from` gives, which is called `name`.
///
/// # Errors
/// When it cannot be read, is too large, or is no text.
pub fn read_from(name: &str, from: impl Read) -> Result<String, Diagnostics> {
    read(name, from).map_err(|why| match why {
        Unusable::Unreadable(error) => {
            Diagnostics::file(format!("{name} cannot be read: {error}."), "Send a configuration.")
        }
        Unusable::NoConfiguration(told) => told,
    })
}

/// Why there is no text.
enum Unusable {
    Unreadable(io::Error),
    NoConfiguration(Diagnostics),
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostics {
    Diagnostics::file(
        format!("{} cannot be read: {error}.", path.display()),
        format!("Give the path of a configuration file that this user may read. {START}"),
    )
}

fn read(name: &str, from: impl Read) -> Result<String, Unusable> {
    let mut bytes = Vec::new();
    from.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(Unusable::Unreadable)?;
    let not = |what: String, remedy: &str| Unusable::NoConfiguration(Diagnostics::file(what, remedy));
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(not(format!("{name} is larger than 8 MiB."), "Give a configuration: none is so large."));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        not(format!("{name} is not UTF-8 text (line {line})."), "Save it as UTF-8.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_refused_and_never_cut() {
        let most = usize::try_from(LARGEST_FILE).expect("fits");
        assert_eq!(read_from("-", &vec![b'#'; most][..]).map(|text| text.len()), Ok(most));
        let told = read_from("Standard input", std::io::repeat(b'#')).expect_err("endless").to_string();
        assert!(told.contains("Standard input is larger than 8 MiB"), "{told}");
        assert!(read_from("x", &b"a\n\xff"[..]).expect_err("no text").to_string().contains("(line 2)"));
    }
}
