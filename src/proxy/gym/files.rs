//! Reads audio that a Gym client names by its path: from below one folder, wherever links may lead.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most of a file that is read.
const MOST: u64 = 64 << 20;

/// The file at `path`, which must lie below `root` also after all links are followed.
pub(super) fn read(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let (root, path) = (root.canonicalize()?, path.canonicalize()?);
    if !path.starts_with(&root) {
        return Err(io::Error::other("a link leads out of `gym.audio_root`"));
    }
    // Opening a pipe waits for a writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    let size = File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if size as u64 > MOST {
        return Err(io::Error::other(format!("it is larger than {MOST} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_anywhere_below_the_root_and_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["real/inside", "real-too", "outside"] {
            fs::create_dir_all(at(path)).expect("made");
        }
        for path in ["real/inside/a.wav", "real-too/b.wav", "outside/c.wav"] {
            fs::write(at(path), path).expect("written");
        }
        for (to, link) in [
            // The root may be a link itself: the configuration means the folder that it leads to.
            ("real", "root"),
            ("inside/a.wav", "real/file.wav"),
            ("inside", "real/folder"),
            ("../outside/c.wav", "real/out.wav"),
            ("../outside", "real/out"),
            ("../real-too/b.wav", "real/near.wav"),
            ("nowhere.wav", "real/broken.wav"),
            ("circle.wav", "real/circle.wav"),
        ] {
            symlink(to, at(link)).expect("linked");
        }
        symlink(at("outside/c.wav"), at("real/absolute.wav")).expect("linked");
        let read = |path: &str| read(&at("root"), &at("root").join(path));
        for path in ["inside/a.wav", "file.wav", "folder/a.wav"] {
            assert_eq!(read(path).expect(path), b"real/inside/a.wav");
        }
        for path in ["out.wav", "out/c.wav", "near.wav", "absolute.wav"] {
            let why = read(path).expect_err(path);
            assert!(why.to_string().contains("leads out"), "{path}: {why}");
        }
        for path in ["broken.wav", "circle.wav", "inside", ".", "no.wav"] {
            read(path).expect_err(path);
        }
    }

    #[test]
    fn what_is_no_file_or_too_large_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let large = folder.path().join("large.wav");
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket.wav")).expect("bound");
        File::create(&large).and_then(|file| file.set_len(MOST + 1)).expect("a file without content");
        for (name, why) in [("large.wav", "larger"), ("socket.wav", "not a file")] {
            let error = read(folder.path(), &folder.path().join(name)).expect_err(name);
            assert!(error.to_string().contains(why), "{name}: {error}");
        }
    }
}
