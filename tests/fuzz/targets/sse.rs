//! A stream of events: however it is cut, the scanner and the finder of usage see the same.
#![no_main]

use enginehouse::openai::{SseScanner, Usage, UsageFinder};
use enginehouse_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

/// Events, whether they end whole, whether the stream said it is over, and the tokens it told.
type Seen = (usize, bool, bool, Option<Usage>);

fn seen<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let (mut scanner, mut finder, mut events) = (SseScanner::new(), UsageFinder::new(), 0);
    for chunk in chunks {
        events += scanner.feed(chunk);
        finder.feed(chunk);
    }
    (events, scanner.at_boundary(), scanner.done(), finder.usage())
}

fuzz_target!(|stream: &[u8]| {
    let whole = seen([stream]);
    assert_eq!(whole, seen(pieces(stream)), "cut somewhere");
    assert_eq!(whole, seen(stream.chunks(1)), "byte by byte");
});
