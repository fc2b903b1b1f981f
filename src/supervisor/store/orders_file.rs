//! The file of what operators ordered, so that the next gateway does as they wanted.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::orders::Orders;
use crate::private_file;

/// The shape of the file. A higher one is not understood.
const VERSION: u32 = 1;

/// What is in it.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    models: Orders,
}

/// Reads what was ordered on `state_dir`. What is not understood is set aside as `….bad`, and told: nothing was ordered
/// then.
///
/// # Errors
/// When the file is there and cannot be read: what is in it may be right.
pub(crate) fn read(state_dir: &Path) -> io::Result<Orders> {
    let path = path(state_dir);
    let understand = |bytes: &[u8]| match serde_json::from_slice::<Document>(bytes) {
        Ok(document) if document.version == VERSION && document.models.are_plausible() => Ok(document.models),
        Ok(document) if document.version == VERSION => Err("it has a number of engines that cannot be".into()),
        Ok(document) => Err(format!("its version is {}, not {VERSION}", document.version)),
        Err(error) => Err(error.to_string()),
    };
    let why = match private_file::understood(&path, understand)? {
        None => return Ok(Orders::default()),
        Some(Ok(orders)) => return Ok(orders),
        Some(Err(why)) => why,
    };
    match private_file::set_aside(&path) {
        Ok(aside) => tracing::warn!(
            path = %aside.display(), why,
            "the orders of an earlier gateway (numbers of replicas, stopped engines) cannot be read and were set aside: what \
             the configuration says counts"
        ),
        Err(error) => tracing::error!(
            path = %path.display(), why, %error,
            "the orders of an earlier gateway (numbers of replicas, stopped engines) cannot be read nor set aside: what the \
             configuration says counts, and new orders may last only as long as this gateway. Move that path away and restart \
             the gateway"
        ),
    }
    Ok(Orders::default())
}

/// Where the orders of `state_dir` are.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("orders.json")
}

/// Writes `orders` in place of those before. Blocks.
fn write(state_dir: &Path, orders: &Orders) -> io::Result<()> {
    private_file::replace(&path(state_dir), &Document { version: VERSION, models: orders.clone() })
}

/// Keeps the file of a state directory as the fleet has it, off the async workers.
pub(crate) struct OrdersWriter {
    /// What is to be written, and how often that has changed.
    orders: watch::Sender<(u64, Orders)>,
    /// Up to which change all was written, or cannot be.
    written: watch::Receiver<u64>,
    writing: JoinHandle<()>,
}

impl OrdersWriter {
    /// For the file of `state_dir`, which holds `orders`.
    pub(crate) fn start(state_dir: PathBuf, orders: Orders) -> Self {
        let (orders, mut changes) = watch::channel((0, orders));
        let (done, written) = watch::channel(0);
        let writing = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let (state_dir, (change, now)) = (state_dir.clone(), changes.borrow_and_update().clone());
                let written = tokio::task::spawn_blocking(move || write(&state_dir, &now)).await;
                if let Err(error) = written.unwrap_or_else(|error| Err(io::Error::other(error))) {
                    tracing::warn!(%error, "what was ordered cannot be written down: it counts until this gateway ends; make room or correct the permissions");
                }
                done.send_replace(change);
            }
        });
        Self { orders, written, writing }
    }

    /// Writes `orders` soon, if they are others than before.
    pub(crate) fn keep(&self, orders: &Orders) {
        self.orders.send_if_modified(|(change, before)| {
            let is_new = before != orders;
            before.clone_from(orders);
            *change += u64::from(is_new);
            is_new
        });
    }

    /// Returns when all that was to be kept until now is on disk, or cannot be written, which the log tells.
    pub(crate) fn written(&self) -> impl Future<Output = ()> + Send + use<> {
        let (change, mut written) = (self.orders.borrow().0, self.written.clone());
        async move { _ = written.wait_for(|written| *written >= change).await }
    }

    /// Returns when all is written.
    pub(crate) async fn finish(self) {
        drop(self.orders);
        let _ = self.writing.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn orders_come_back_and_what_is_not_understood_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path()).expect("readable"), Orders::default());
        let some: Orders = serde_json::from_str(r#"{"m":{"stopped":[1]}}"#).expect("orders");
        let writer = OrdersWriter::start(folder.path().into(), Orders::default());
        writer.keep(&some);
        writer.finish().await;
        assert_eq!(read(folder.path()).expect("readable"), some);
        let implausible = r#"{"version":1,"models":{"m":{"replicas":{"ordered":1000000,"file_value":1}}}}"#;
        let far = r#"{"version":1,"models":{"m":{"stopped":[18446744073709551615]}}}"#;
        for bad in ["{", "[]", r#"{"version":2,"models":{}}"#, implausible, far] {
            fs::write(path(folder.path()), bad).expect("written");
            assert_eq!(read(folder.path()).expect("readable"), Orders::default(), "{bad}");
            assert_eq!(fs::read_to_string(folder.path().join("orders.json.bad")).expect("set aside"), bad);
        }
    }

    #[tokio::test]
    async fn what_is_no_file_holds_no_orders_and_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path(folder.path());
        fs::create_dir(&path).expect("made");
        assert_eq!(read(folder.path()).expect("readable"), Orders::default());
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("made");
        assert_eq!(read(folder.path()).expect("readable"), Orders::default());
        // Where the one before was set aside is a folder, which cannot be replaced: the pipe stays.
        assert!(folder.path().join("orders.json.bad").is_dir() && path.exists());
        let writer = OrdersWriter::start(folder.path().into(), Orders::default());
        let some: Orders = serde_json::from_str(r#"{"m":{"stopped":[1]}}"#).expect("orders");
        writer.keep(&some);
        writer.written().await;
        assert_eq!(read(folder.path()).expect("readable"), some);
    }

    #[test]
    fn what_cannot_be_read_is_no_reason_to_forget_what_is_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("orders.json", path(folder.path())).expect("a link to itself");
        read(folder.path()).expect_err("a system error");
        assert!(fs::symlink_metadata(path(folder.path())).is_ok(), "it is where it was");
    }
}
