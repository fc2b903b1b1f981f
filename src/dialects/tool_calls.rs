//! Numbers the tool calls of an answer: finds the call that a delta belongs to.

/// The tool calls of one answer, in the order of their first delta.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolCalls {
    calls: Vec<(u64, String)>,
}

impl ToolCalls {
    /// How many calls there are.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The number of the call with the engine's `index`. A second id under one index is another call: some tool parsers
    /// count from 0 again.
    pub(super) fn number(&mut self, index: u64, id: Option<&str>) -> usize {
        let id = id.unwrap_or_default();
        if let Some(at) = self.calls.iter().rposition(|(known, _)| *known == index) {
            let known = &mut self.calls[at].1;
            if id.is_empty() || known == id {
                return at;
            }
            if known.is_empty() {
                id.clone_into(known);
                return at;
            }
        }
        self.calls.push((index, id.to_owned()));
        self.calls.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_find_their_call() {
        let mut calls = ToolCalls::default();
        assert_eq!(calls.number(0, Some("a")), 0);
        assert_eq!(calls.number(1, Some("b")), 1);
        assert_eq!(calls.number(0, None), 0);
        assert_eq!(calls.number(0, Some("")), 0);
        assert_eq!(calls.number(1, Some("b")), 1);
        assert_eq!(calls.number(0, Some("c")), 2, "the same index, another id");
        assert_eq!(calls.number(0, None), 2);
        assert_eq!(calls.number(7, None), 3);
        assert_eq!(calls.number(7, Some("d")), 3, "an id that comes late");
    }
}
