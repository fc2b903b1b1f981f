//! Reads the inventory once, without waiting for a driver that hangs.

use std::ffi::{OsStr, OsString};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::nvml::Driver;
use crate::gpu::Inventory;

/// How long a driver may take for one whole reading until it counts as hanging. Without its persistence daemon it wakes
/// each card first, which takes a second or two a card.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The driver's library, where `ENGINEHOUSE_NVML` in the environment names one because it is not found by itself.
#[must_use]
pub fn named_library() -> Option<OsString> {
    std::env::var_os("ENGINEHOUSE_NVML").filter(|path| !path.is_empty())
}

/// Loads the driver's library, from `library` when given, and reads everything once; a driver that hangs is left alone
/// after some seconds.
#[must_use]
pub fn read(library: Option<&OsStr>) -> Inventory {
    let library = library.map(OsStr::to_owned);
    let (told, answer) = mpsc::channel();
    let reader = thread::Builder::new().name("nvml".into()).spawn(move || {
        // The receiver is gone: too late.
        let _ = told.send(match Driver::load(library.as_deref()) {
            Ok(driver) => driver.read(),
            Err(fault) => Inventory::fault(fault),
        });
    });
    match reader {
        Ok(_) => answer.recv_timeout(LIMIT).unwrap_or_else(|_| Inventory::fault(hangs(LIMIT))),
        Err(error) => {
            Inventory::fault(format!("no GPU is known, because no thread can be started to ask the driver: {error}"))
        }
    }
}

/// The fault that is reported when the driver does not answer.
pub(super) fn hangs(limit: Duration) -> String {
    format!(
        "NVIDIA's driver has not answered for more than {}: what is known of the GPUs is old; see whether `nvidia-smi` \
         answers and what `dmesg` says, and restart the machine if neither helps",
        humantime::format_duration(limit)
    )
}
