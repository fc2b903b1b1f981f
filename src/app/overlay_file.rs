//! The file in the state directory that holds what operators added, changed and removed while gateways ran.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::AppError;
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
///
/// # Errors
/// When the file is there and cannot be read: what is in it may be right.
pub(super) fn read(state_dir: &Path) -> Result<Overlay, AppError> {
    let path = path(state_dir);
    let understand = |bytes: &[u8]| match serde_json::from_slice::<Document>(bytes) {
        Ok(document) if document.version == VERSION => Ok(document.entries),
        Ok(document) => Err(format!("its version is {}, not {VERSION}", document.version)),
        Err(error) => Err(error.to_string()),
    };
    let why = match private_file::understood(&path, understand) {
        Err(why) => return Err(AppError::Overlay { path, why }),
        Ok(None) => return Ok(Overlay::default()),
        Ok(Some(Ok(overlay))) => return Ok(overlay),
        Ok(Some(Err(why))) => why,
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
    Ok(Overlay::default())
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
        assert_eq!(read(folder.path()).expect("nothing is there"), Overlay::default());
        let entry = OverlayEntry {
            kind: EntryKind::Alias,
            name: "a".into(),
            value: Some(serde_json::json!({ "model": "m" })),
            since: "2026-01-01T00:00:00Z".into(),
        };
        let overlay = Overlay::default().with(entry);
        write(folder.path(), &overlay).expect("written");
        assert_eq!(read(folder.path()).expect("kept"), overlay);
        let mode = fs::metadata(path(folder.path())).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for bad in ["{", r#"{"version":2,"entries":[]}"#, r#"{"version":1,"entries":[{"kind":"x"}]}"#] {
            fs::write(path(folder.path()), bad).expect("written");
            assert_eq!(read(folder.path()).expect("set aside"), Overlay::default(), "{bad}");
            assert_eq!(fs::read_to_string(folder.path().join("overlay.json.bad")).expect("set aside"), bad);
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_reason_to_forget_what_is_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("overlay.json", path(folder.path())).expect("a link to itself");
        let told = read(folder.path()).expect_err("a system error").to_string();
        assert!(told.contains("overlay.json` cannot be read: ") && told.contains("set `state_dir`"), "{told}");
        assert!(fs::symlink_metadata(path(folder.path())).is_ok(), "it is where it was");
        let none = read(&folder.path().join("none/at all")).expect("nothing is there");
        assert_eq!(none, Overlay::default());
    }
}
