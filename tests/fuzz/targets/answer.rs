//! An engine's answer: however its bytes are cut, it has the same head, the same body and the same end.
#![no_main]

use bytes::BytesMut;
use enginehouse::http1::{Framing, take_answer};
use http::Method;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq)]
enum End {
    NoHead,
    Refused,
    Open,
    Whole,
}

fn read(bytes: &[u8], step: usize) -> (End, String, Vec<u8>) {
    let (mut buffer, mut framing, mut head, mut body) = (BytesMut::new(), None::<Framing>, String::new(), Vec::new());
    let refused = |head: String, body| (End::Refused, head, body);
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        if framing.is_none() {
            let Ok(taken) = take_answer(&mut buffer) else { return refused(head, Vec::new()) };
            let Some(mut taken) = taken else { continue };
            head = format!("{:?} {:?} {:?}", taken.status, taken.version, taken.headers);
            match Framing::of(&Method::POST, &mut taken) {
                Ok((of, _)) => framing = Some(of),
                Err(_) => return refused(head, Vec::new()),
            }
        }
        let Some(framing) = &mut framing else { continue };
        while !framing.is_done() {
            match framing.take(&mut buffer) {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break,
                // What came before the fault depends on the cut.
                Err(_) => return refused(head, Vec::new()),
            }
        }
    }
    match framing {
        None => (End::NoHead, head, body),
        Some(framing) if framing.is_done() => (End::Whole, head, body),
        Some(_) => (End::Open, head, body),
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(step).max(1)));
    let with_head = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", bytes].concat();
    assert_eq!(read(&with_head, with_head.len()), read(&with_head, usize::from(step).max(1)));
});
