//! The file in the state directory that holds what operators added, changed and removed while gateways ran.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Overlay;
use crate::{private_file, supervisor};

/// The shape of the file. A higher one is not understood.
const VERSION: u32 = 1;

/// What is in it.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    entries: Overlay,
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("overlay.json")
}

/// Reads what was changed. What is not understood is set aside as `….bad`, and told: nothing was changed then. Blocks.
pub(super) fn read(state_dir: &Path) -> Overlay {
    let path = path(state_dir);
    let why = match private_file::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Overlay::default(),
        Err(error) => error.to_string(),
        Ok(bytes) => match serde_json::from_slice::<Document>(&bytes) {
            Ok(document) if document.version == VERSION => return document.entries,
            Ok(document) => format!("its version is {}, not {VERSION}", document.version),
            Err(error) => error.to_string(),
        },
    };
    match private_file::set_aside(&path) {
        Ok(aside) => tracing::error!(
            path = %aside.display(), why,
            "models, aliases and callers that were added while earlier gateways ran cannot be read; the file was set aside, and \
             what the configuration file says counts"
        ),
        Err(error) => tracing::error!(
            path = %path.display(), why, %error,
            "models, aliases and callers that were added while earlier gateways ran cannot be read, and the file cannot be set \
             aside: what the configuration file says counts. Move that path away and restart the gateway"
        ),
    }
    Overlay::default()
}

/// Writes `overlay` in place of the one before. Blocks.
///
/// # Errors
/// What the system says.
pub(super) fn write(state_dir: &Path, overlay: &Overlay) -> io::Result<()> {
    supervisor::make_state_dir(state_dir)?;
    private_file::replace(&path(state_dir), &Document { version: VERSION, entries: overlay.clone() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::OverlayEntry;
    use crate::ids::EntryKind;

    #[test]
    fn an_overlay_comes_back_is_private_and_what_is_not_understood_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path()), Overlay::default());
        let entry = OverlayEntry {
            kind: EntryKind::Alias,
            name: "a".into(),
            value: Some(serde_json::json!({ "model": "m" })),
            since: "2026-01-01T00:00:00Z".into(),
        };
        let overlay = Overlay::default().with(entry);
        write(folder.path(), &overlay).expect("written");
        assert_eq!(read(folder.path()), overlay);
        let mode = fs::metadata(path(folder.path())).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for bad in ["{", r#"{"version":2,"entries":[]}"#, r#"{"version":1,"entries":[{"kind":"x"}]}"#] {
            fs::write(path(folder.path()), bad).expect("written");
            assert_eq!(read(folder.path()), Overlay::default(), "{bad}");
            assert_eq!(fs::read_to_string(folder.path().join("overlay.json.bad")).expect("set aside"), bad);
        }
    }
}
