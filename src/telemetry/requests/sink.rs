//! Takes the records of requests on the data path.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use prometheus::IntCounter;

use super::kept::KeptRecord;
use crate::telemetry::Record;

/// Records that may wait: those of the time between two looks at the queue, at 40,000 requests a second.
pub(super) const MOST_WAITING: usize = 4096;

/// Takes records, and waits for nobody.
#[derive(Clone, Debug)]
pub struct RequestSink {
    records: SyncSender<KeptRecord>,
    lost: IntCounter,
}

impl RequestSink {
    /// A sink, and what comes out of it; `lost` counts the records that do not.
    pub(super) fn new(lost: IntCounter) -> (Self, Receiver<KeptRecord>) {
        let (records, queue) = sync_channel(MOST_WAITING);
        (Self { records, lost }, queue)
    }

    /// Keeps a record; drops and counts it where too many wait.
    pub(in crate::telemetry) fn take(&self, record: &Record<'_>) {
        if self.records.try_send(KeptRecord::of(record, SystemTime::now())).is_err() {
            self.lost.inc();
        }
    }
}
