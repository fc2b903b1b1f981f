//! Takes the records of requests on the data path.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use prometheus::IntCounter;

use super::captured::{Captured, GatheringRoom};
use super::kept::KeptRecord;
use crate::config::Capture;
use crate::ids::Name;
use crate::telemetry::Record;

/// Records that may wait: those of the time between two looks at the queue, at 40,000 requests a second.
pub(super) const MOST_WAITING: usize = 4096;

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) record: KeptRecord,
    pub(super) captured: Option<Box<Captured>>,
}

/// Takes records, and waits for nobody.
#[derive(Clone, Debug)]
pub struct RequestSink {
    records: SyncSender<Ended>,
    room: GatheringRoom,
    lost: IntCounter,
}

impl RequestSink {
    /// A sink, and what comes out of it; `lost` counts the records that do not.
    pub(super) fn new(lost: IntCounter) -> (Self, Receiver<Ended>) {
        let (records, queue) = sync_channel(MOST_WAITING);
        (Self { records, room: GatheringRoom::default(), lost }, queue)
    }

    /// Gathers the bodies of a request of `alias`, by its `terms`; `request`: the whole body.
    #[must_use]
    pub fn capture(&self, alias: &Name, terms: &Arc<Capture>, request: &[u8]) -> Box<Captured> {
        Captured::new(self.room.clone(), alias, terms, request)
    }

    /// Keeps a record, and the bodies of its request; drops and counts it where too many wait.
    pub(in crate::telemetry) fn take(&self, record: &Record<'_>, captured: Option<Box<Captured>>) {
        let record = KeptRecord::of(record);
        if self.records.try_send(Ended { record, captured }).is_err() {
            self.lost.inc();
        }
    }
}
