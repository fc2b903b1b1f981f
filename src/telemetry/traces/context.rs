//! The place of a request in a trace, as `traceparent` and `tracestate` tell it (W3C Trace Context). Pure.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Says which span a request belongs to.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What those who traced the request before pass on with it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of `traceparent`, version 00.
const LENGTH: usize = 55;

/// The flag of traces whose spans are kept.
const SAMPLED: u8 = 1;
/// The flag of traces whose id is random (Trace Context, level 2). Whoever began the trace knows.
const RANDOM: u8 = 2;

/// Most bytes of `tracestate` that are passed on. Everybody has to take 512.
const MOST_STATE: usize = 4096;

/// The span that a request of a caller belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    flags: u8,
}

impl Parent {
    /// Reads `traceparent`; `None`: it says nothing that can be relied upon.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let version = byte(text.get(..2)?)?;
        // A later version may say more.
        let is_whole = text.len() == LENGTH || version > 0 && text.get(LENGTH) == Some(&b'-');
        if version == 0xff || !is_whole || [2, 35, 52].iter().any(|at| text.get(*at) != Some(&b'-')) {
            return None;
        }
        let (trace_id, span_id) = (hex(text.get(3..35)?)?, u64::try_from(hex(text.get(36..52)?)?).ok()?);
        let flags = byte(text.get(53..55)?)?;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }

    /// Whether the caller keeps its span.
    pub(super) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What the head of a request says.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let first = values.next()?;
        // Of two, neither can be relied upon.
        values.next().is_none().then(|| Self::parse(first.as_bytes())).flatten()
    }
}

/// Digits of a number, in lower case as the standard has it.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

fn byte(digits: &[u8]) -> Option<u8> {
    u8::try_from(hex(digits)?).ok()
}

/// The ids of one request's spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: u128,
    /// The span of the request.
    pub(super) span_id: u64,
    /// The caller's span.
    pub(super) parent: Option<u64>,
    /// Whether its spans are kept.
    pub(super) sampled: bool,
    is_random: bool,
    /// What is passed on with it.
    state: Option<HeaderValue>,
}

impl TraceContext {
    /// A request in the trace of its caller.
    pub(super) fn below(parent: Parent, span_id: u64, sampled: bool, headers: &HeaderMap) -> Self {
        let Parent { trace_id, span_id: above, flags } = parent;
        let (is_random, state) = (flags & RANDOM != 0, state(headers));
        Self { trace_id, span_id, parent: Some(above), sampled, is_random, state }
    }

    /// A request that begins a trace.
    pub(super) fn root(trace_id: u128, span_id: u64, sampled: bool) -> Self {
        Self { trace_id, span_id, parent: None, sampled, is_random: true, state: None }
    }

    /// The id of a child: of an attempt by its number, of the wait for an engine with 0. The same each time it is asked for, so
    /// that nobody has to keep it.
    pub(super) fn child(&self, number: u32) -> u64 {
        // Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014).
        let mut mixed =
            self.span_id.wrapping_add(u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).max(1)
    }

    /// The `traceparent` that an engine gets with the attempt of this number.
    #[must_use]
    pub fn traceparent(&self, attempt: u32) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let flags = (u8::from(self.sampled) * SAMPLED) | (u8::from(self.is_random) * RANDOM);
        write_hex(&mut text[3..35], self.trace_id);
        write_hex(&mut text[36..52], self.child(attempt).into());
        write_hex(&mut text[53..], flags.into());
        text
    }

    /// The `tracestate` that engines get.
    #[must_use]
    pub fn state(&self) -> Option<&HeaderValue> {
        self.state.as_ref()
    }
}

fn write_hex(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[usize::from((number & 0xf) as u8)];
        number >>= 4;
    }
}

/// `tracestate`, in one header.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next()?;
    let mut joined = first.clone();
    for value in values {
        joined = HeaderValue::from_bytes(&[joined.as_bytes(), b",", value.as_bytes()].concat()).ok()?;
    }
    (!joined.is_empty() && joined.len() <= MOST_STATE).then_some(joined)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_parent_is_read_as_the_standard_says() {
        let parent = Parent::parse(GOOD.as_bytes()).expect("valid");
        let ids = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
        assert_eq!((parent.trace_id, parent.span_id), ids);
        assert!(parent.is_sampled());
        let with = |at: usize, text: &str| {
            let mut changed = GOOD.to_owned();
            changed.replace_range(at..at + text.len(), text);
            Parent::parse(changed.as_bytes())
        };
        assert!(with(53, "00").is_some_and(|parent| !parent.is_sampled()));
        assert!(with(0, "cc").is_some(), "a later version of the same length");
        let longer = |version: &str, more: &str| {
            let text = format!("{version}{}{more}", &GOOD[2..]);
            Parent::parse(text.as_bytes()).is_some()
        };
        assert!(longer("01", "-more") && !longer("01", "more") && !longer("00", "-more"));
        for (at, wrong) in [
            (0, "ff"),
            (3, "00000000000000000000000000000000"),
            (36, "0000000000000000"),
            (3, "4BF9"),
            (2, "_"),
            (35, "0"),
            (52, " "),
            (53, "0g"),
        ] {
            assert_eq!(with(at, wrong), None, "{wrong} at {at}");
        }
    }

    #[test]
    fn two_parents_are_none_and_states_are_joined() {
        let two = headers(&[(TRACEPARENT, GOOD), (TRACEPARENT, GOOD), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")]);
        assert_eq!(Parent::of(&two), None);
        let parent = Parent::parse(GOOD.as_bytes()).expect("valid");
        let context = TraceContext::below(parent, 7, true, &two);
        assert_eq!(context.state().map(HeaderValue::as_bytes), Some(&b"a=1,b=2"[..]));
        assert_eq!(TraceContext::below(parent, 7, true, &headers(&[(TRACESTATE, "")])).state(), None);
    }

    #[test]
    fn children_have_ids_of_their_own_which_engines_are_told() {
        let context = TraceContext::root(5, 6, true);
        let ids: std::collections::BTreeSet<u64> = (0..1000).map(|number| context.child(number)).collect();
        assert_eq!(ids.len(), 1000);
        assert!(!ids.contains(&0) && !ids.contains(&6));
        let told = Parent::parse(&context.traceparent(3)).expect("valid");
        assert_eq!((told.trace_id, told.span_id, told.is_sampled()), (5, context.child(3), true));
        let unsampled = Parent::parse(&TraceContext::root(5, 6, false).traceparent(1)).expect("valid");
        assert!(!unsampled.is_sampled());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Parent::parse(&bytes);
        }

        #[test]
        fn what_looks_like_a_parent_is_what_it_says(text in "(00|01|ff)-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?") {
            let parent = Parent::parse(text.as_bytes());
            let (trace, span) = (&text[3..35], &text[36..52]);
            let is_good = !text.starts_with("ff")
                && trace.bytes().any(|byte| byte != b'0')
                && span.bytes().any(|byte| byte != b'0')
                && (text.len() == LENGTH || text.starts_with("01"));
            prop_assert_eq!(parent.is_some(), is_good);
            if let Some(parent) = parent {
                prop_assert_eq!(format!("{:032x}-{:016x}", parent.trace_id, parent.span_id), format!("{trace}-{span}"));
            }
        }

        #[test]
        fn what_is_written_is_read(trace_id in 1_u128.., span_id in 1_u64.., number in any::<u32>(), sampled in any::<bool>()) {
            let context = TraceContext::root(trace_id, span_id, sampled);
            let read = Parent::parse(&context.traceparent(number)).expect("valid");
            prop_assert_eq!((read.trace_id, read.is_sampled()), (trace_id, sampled));
        }
    }
}
