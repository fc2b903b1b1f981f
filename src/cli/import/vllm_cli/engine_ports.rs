//! Ports of engines: those that the gateway has, or another engine, are moved.

use std::ops::RangeInclusive;

use super::super::document::Section;
use super::super::draft::Draft;

/// `ports`, where it is not written: those of engines without a port of their own.
const SHARED: RangeInclusive<u16> = 21000..=21999;

/// The ports that are taken.
pub(super) struct EnginePorts(Vec<u16>);

impl EnginePorts {
    /// With those of the gateway.
    pub(super) fn new(of_gateway: &[u16]) -> Self {
        Self(of_gateway.to_vec())
    }

    /// Writes where the engine at `path` listens; says so if that is elsewhere now.
    pub(super) fn write(&mut self, draft: &mut Draft, path: &str, wish: u64, out: &mut Section) {
        let path = format!("{path}.port");
        let Some(port) = u16::try_from(wish).ok().filter(|port| *port > 0).and_then(|port| self.free(port)) else {
            let text = "was left out: it is no port that can be used. The gateway chooses one.";
            return draft.notes.say(out, &path, text);
        };
        if u64::from(port) != wish {
            let text =
                format!("{wish} is {port} now, because the gateway or another engine has {wish}, or may get it.");
            draft.notes.say(out, &path, text);
        }
        self.0.push(port);
        out.put("port", port);
    }

    fn free(&self, from: u16) -> Option<u16> {
        (from..=u16::MAX).find(|port| !self.0.contains(port) && !SHARED.contains(port))
    }
}
