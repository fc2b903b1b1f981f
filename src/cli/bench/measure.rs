//! What is measured: of one request while its answer comes, and of all of them together; pure.

use std::collections::BTreeMap;

use super::samples::Samples;
use super::timeline::Timeline;

/// Most times of whole requests that are kept (4 bytes each).
const REQUESTS: usize = 4_000_000;

/// Most gaps between tokens that are kept.
const GAPS: usize = 16_000_000;

/// Most kinds of errors that are told apart.
const KINDS: usize = 50;

/// Follows one answer. Times are microseconds since the request was due.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    first: Option<u32>,
    last: u32,
    gaps: Vec<u32>,
}

impl Meter {
    /// A piece of the answer's text came.
    pub(super) fn output(&mut self, at: u32) {
        match self.first {
            None => self.first = Some(at),
            Some(_) => self.gaps.push(at.saturating_sub(self.last)),
        }
        self.last = at;
    }

    /// How many pieces came.
    pub(super) fn chunks(&self) -> u32 {
        u32::from(self.first.is_some()) + u32::try_from(self.gaps.len()).unwrap_or(u32::MAX - 1)
    }
}

/// A request that was answered in whole.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// Microseconds from the beginning of the run to the time at which it was due.
    pub(super) due: u64,
    /// Microseconds after that at which it was sent.
    pub(super) late: u32,
    /// Microseconds after it was due at which its answer had come in whole.
    pub(super) latency: u32,
    /// What came before.
    pub(super) meter: Meter,
    /// Tokens of the answer and of the prompt, as the server counts them; `None`: it did not tell.
    pub(super) tokens: Option<(u64, u64)>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It was answered in whole.
    Answered(Box<Answered>),
    /// The server said that it takes no more just now.
    Shed(Fault),
    /// Anything else that is no answer.
    Failed(Fault),
    /// The run was ended before.
    Unfinished,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The same for all faults of one kind.
    pub(super) kind: String,
    /// In words.
    pub(super) message: String,
    /// What it means for the rest of the run.
    pub(super) ends: Option<Ending>,
}

/// Faults that every further request would have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nobody listens; it ends a run only before its first answer.
    Unreachable,
    /// The alias is not known (404).
    Unknown,
    /// The key is not accepted (401, 403).
    Unauthorized,
}

/// All faults of one kind.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) count: u64,
    /// Of the first one.
    pub(super) message: String,
    pub(super) shed: bool,
}

/// All requests together.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    /// Milliseconds in microseconds, all of them.
    pub(super) ttft: Samples,
    pub(super) itl: Samples,
    pub(super) tpot: Samples,
    pub(super) latency: Samples,
    pub(super) late: Samples,
    /// Tokens of each answer.
    pub(super) lengths: Samples,
    pub(super) answered: u64,
    pub(super) shed: u64,
    pub(super) failed: u64,
    pub(super) unfinished: u64,
    /// Answers whose tokens the server did not tell: their pieces were counted.
    pub(super) untold: u64,
    pub(super) output_tokens: u64,
    pub(super) input_tokens: u64,
    pub(super) faults: BTreeMap<String, Faults>,
    /// When pieces of answers came.
    pub(super) pieces: Timeline,
    /// When answers were whole.
    pub(super) answers: Timeline,
}

impl Default for Totals {
    fn default() -> Self {
        let samples = || Samples::new(REQUESTS);
        Self {
            ttft: samples(),
            itl: Samples::new(GAPS),
            tpot: samples(),
            latency: samples(),
            late: samples(),
            lengths: samples(),
            answered: 0,
            shed: 0,
            failed: 0,
            unfinished: 0,
            untold: 0,
            output_tokens: 0,
            input_tokens: 0,
            faults: BTreeMap::new(),
            pieces: Timeline::default(),
            answers: Timeline::default(),
        }
    }
}

impl Totals {
    /// Counts one request.
    pub(super) fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Answered(answered) => self.answered(answered),
            Outcome::Shed(fault) => {
                self.shed += 1;
                self.fault(fault, true);
            }
            Outcome::Failed(fault) => {
                self.failed += 1;
                self.fault(fault, false);
            }
            Outcome::Unfinished => self.unfinished += 1,
        }
    }

    /// Requests of which it is known what became of them.
    pub(super) fn settled(&self) -> u64 {
        self.answered + self.shed + self.failed
    }

    fn answered(&mut self, one: &Answered) {
        self.answered += 1;
        let output = one.tokens.map_or(u64::from(one.meter.chunks()), |(output, _)| output);
        self.untold += u64::from(one.tokens.is_none());
        self.output_tokens += output;
        self.input_tokens += one.tokens.map_or(0, |(_, input)| input);
        self.latency.add(one.latency);
        self.late.add(one.late);
        self.lengths.add(u32::try_from(output).unwrap_or(u32::MAX));
        self.answers.add(one.due + u64::from(one.latency));
        let Some(first) = one.meter.first else { return };
        self.ttft.add(first);
        one.meter.gaps.iter().for_each(|gap| self.itl.add(*gap));
        if let Some(tpot) = tpot(one.latency, first, output) {
            self.tpot.add(tpot);
        }
        let mut at = one.due + u64::from(first);
        self.pieces.add(at);
        for gap in &one.meter.gaps {
            at += u64::from(*gap);
            self.pieces.add(at);
        }
    }

    fn fault(&mut self, fault: &Fault, shed: bool) {
        let known = self.faults.len();
        let kind = if known < KINDS || self.faults.contains_key(&fault.kind) { &fault.kind } else { "other" };
        let new = || Faults { count: 0, message: fault.message.clone(), shed };
        self.faults.entry(kind.to_owned()).or_insert_with(new).count += 1;
    }
}

/// Time per output token: (latency - TTFT) / (tokens - 1), as vLLM's own benchmark has it; `None` below two tokens.
fn tpot(latency: u32, first: u32, tokens: u64) -> Option<u32> {
    let others = tokens.checked_sub(1).filter(|others| *others > 0)?;
    Some((f64::from(latency.saturating_sub(first)) / others as f64).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(due: u64, pieces: &[u32], latency: u32, tokens: Option<(u64, u64)>) -> Outcome {
        let mut meter = Meter::default();
        pieces.iter().for_each(|at| meter.output(*at));
        Outcome::Answered(Box::new(Answered { due, late: 7, latency, meter, tokens }))
    }

    #[test]
    fn a_stream_is_measured() {
        let mut totals = Totals::default();
        // Four pieces, of which the server counts seven tokens.
        totals.add(&answered(1_000_000, &[100, 150, 150, 250], 400, Some((7, 20))));
        let one = |samples: &Samples| samples.kept().to_vec();
        assert_eq!(one(&totals.ttft), [100]);
        assert_eq!(one(&totals.itl), [50, 0, 100]);
        assert_eq!(one(&totals.tpot), [50], "(400 - 100) / (7 - 1)");
        assert_eq!((one(&totals.latency), one(&totals.late), one(&totals.lengths)), (vec![400], vec![7], vec![7]));
        assert_eq!((totals.output_tokens, totals.input_tokens, totals.untold), (7, 20, 0));
        assert_eq!((totals.pieces.total(), totals.answers.total()), (4, 1));
    }

    #[test]
    fn pieces_are_counted_where_the_server_tells_no_tokens() {
        let mut totals = Totals::default();
        totals.add(&answered(0, &[10, 20, 30], 30, None));
        assert_eq!((totals.output_tokens, totals.untold), (3, 1));
        assert_eq!(totals.tpot.kept(), [10]);
    }

    #[test]
    fn answers_of_one_token_or_in_one_piece_have_no_time_per_token() {
        let mut totals = Totals::default();
        totals.add(&answered(0, &[10], 12, Some((1, 5))));
        totals.add(&answered(0, &[], 500, Some((30, 5))));
        assert_eq!((totals.ttft.kept().len(), totals.tpot.kept().len(), totals.itl.kept().len()), (1, 0, 0));
        assert_eq!((totals.answered, totals.latency.kept().len(), totals.output_tokens), (2, 2, 31));
    }

    #[test]
    fn sheds_are_no_failures_and_kinds_are_bounded() {
        let fault = |kind: &str| Fault { kind: kind.into(), message: format!("of {kind}"), ends: None };
        let mut totals = Totals::default();
        totals.add(&Outcome::Shed(fault("429")));
        totals.add(&Outcome::Shed(fault("429")));
        (0..100).for_each(|number| totals.add(&Outcome::Failed(fault(&number.to_string()))));
        totals.add(&Outcome::Unfinished);
        assert_eq!((totals.shed, totals.failed, totals.unfinished, totals.settled()), (2, 100, 1, 102));
        assert_eq!(totals.faults.len(), KINDS + 1);
        assert!(totals.faults["429"].shed && totals.faults["429"].count == 2);
        assert_eq!(totals.faults.values().map(|faults| faults.count).sum::<u64>(), 102);
    }
}
