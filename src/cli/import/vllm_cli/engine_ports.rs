//! Ports of engines: those that the gateway has, or another engine, are moved.

use super::super::document::Section;
use super::super::draft::Draft;

/// The ports that are taken.
pub(super) struct EnginePorts(Vec<u16>);

impl EnginePorts {
    /// With those of the gateway.
    pub(super) fn new(of_gateway: &[u16]) -> Self {
        Self(of_gateway.to_vec())
    }

    /// Writes where the engine at `path` was to listen; says so if that is elsewhere now.
    pub(super) fn write(&mut self, draft: &mut Draft, path: &str, wish: Option<u64>, out: &mut Section) {
        let Some(wish) = wish else { return };
        let path = format!("{path}.port");
        let Some(port) = u16::try_from(wish).ok().filter(|port| *port > 0).and_then(|port| self.free(port)) else {
            draft.notes.say(out, &path, "was left out: it is no port that can be used.");
            return;
        };
        if u64::from(port) != wish {
            draft.notes.say(
                out,
                &path,
                format!("{wish} is {port} now: the gateway itself or another engine has {wish}."),
            );
        }
        self.0.push(port);
        out.comment(format!(
            "port {port}: the gateway chooses the ports of its engines (`ports`), and clients need none of them."
        ));
    }

    fn free(&self, from: u16) -> Option<u16> {
        (from..=u16::MAX).find(|port| !self.0.contains(port))
    }
}
