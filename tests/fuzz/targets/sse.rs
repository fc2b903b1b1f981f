//! A stream of events: however it is cut, the scanner and the finder of usage see the same.
#![no_main]

use enginehouse::openai::{SseScanner, UsageFinder};
use enginehouse_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

fn seen<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> impl PartialEq + std::fmt::Debug {
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
