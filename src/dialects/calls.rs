//! Numbers an engine's tool calls: which call does a delta belong to?

/// The calls of one answer, in the order of their first delta.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    seen: Vec<(u64, String)>,
}

impl Calls {
    /// How many calls there are.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// The number of the call with the engine's `index`. A second id under one index is another call: some tool parsers
    /// count from 0 again.
    pub(super) fn slot(&mut self, index: u64, id: Option<&str>) -> usize {
        let id = id.unwrap_or_default();
        if let Some(at) = self.seen.iter().rposition(|(seen, _)| *seen == index) {
            let known = &mut self.seen[at].1;
            if id.is_empty() || known == id {
                return at;
            }
            if known.is_empty() {
                id.clone_into(known);
                return at;
            }
        }
        self.seen.push((index, id.to_owned()));
        self.seen.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_find_their_call() {
        let mut calls = Calls::default();
        assert_eq!(calls.slot(0, Some("a")), 0);
        assert_eq!(calls.slot(1, Some("b")), 1);
        assert_eq!(calls.slot(0, None), 0);
        assert_eq!(calls.slot(0, Some("")), 0);
        assert_eq!(calls.slot(1, Some("b")), 1);
        assert_eq!(calls.slot(0, Some("c")), 2, "the same index, another id");
        assert_eq!(calls.slot(0, None), 2);
        assert_eq!(calls.slot(7, None), 3);
        assert_eq!(calls.slot(7, Some("d")), 3, "an id that comes late");
    }
}
