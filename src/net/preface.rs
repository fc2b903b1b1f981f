//! Tells HTTP/2 from HTTP/1.1 by how a connection begins.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a connection begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Like HTTP/2.
    pub is_http2: bool,
    /// What was taken of it, to be put back: nothing, unless it came in several pieces that could be HTTP/2.
    pub taken: Vec<u8>,
}

/// How the connection begins; decided as soon as a byte differs from HTTP/2. `patience`: from the first byte on.
///
/// # Errors
/// The peer closed or broke the connection before that, or took too long.
pub async fn beginning(stream: &mut TcpStream, patience: Duration) -> io::Result<Beginning> {
    let mut buffer = [0; PREFACE.len()];
    let seen = stream.peek(&mut buffer).await?;
    if seen == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if let Some(is_http2) = decide(&buffer[..seen]) {
        return Ok(Beginning { is_http2, taken: Vec::new() });
    }
    timeout(patience, rest(stream)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// How a connection begins whose first bytes could be HTTP/2.
async fn rest(stream: &mut TcpStream) -> io::Result<Beginning> {
    let mut buffer = [0; PREFACE.len()];
    let (mut decided, mut taken) = (None, 0);
    while decided.is_none() {
        // `peek` would return the same bytes again at once, whether more come or not.
        match stream.read(&mut buffer[taken..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => taken += more,
        }
        decided = decide(&buffer[..taken]);
    }
    Ok(Beginning { is_http2: decided == Some(true), taken: buffer[..taken].to_vec() })
}

/// Whether a connection that begins with `seen` is HTTP/2; `None`: it may be.
fn decide(seen: &[u8]) -> Option<bool> {
    match PREFACE.starts_with(seen) {
        false => Some(false),
        true => (seen.len() == PREFACE.len()).then_some(true),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What is seen of a connection that brings `pieces`, and what can be read of it afterwards.
    async fn seen(pieces: &[&[u8]]) -> io::Result<(bool, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        client.set_nodelay(true).expect("set");
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let looking = tokio::spawn(async move {
            let Beginning { is_http2, mut taken } = beginning(&mut stream, Duration::from_secs(9)).await?;
            stream.read_to_end(&mut taken).await?;
            Ok((is_http2, taken))
        });
        for piece in pieces {
            client.write_all(piece).await.expect("written");
            tokio::task::yield_now().await;
        }
        drop(client);
        looking.await.expect("no panic")
    }

    #[tokio::test]
    async fn a_preface_is_known_in_any_pieces_and_anything_else_at_its_first_byte_and_nothing_is_lost() {
        for (pieces, is_http2) in [
            (vec![PREFACE], true),
            (vec![&PREFACE[..3], &PREFACE[3..]], true),
            (PREFACE.chunks(1).collect(), true),
            (vec![b"POST / HTTP/1.1\r\n"], false),
            (vec![b"P", b"O", b"ST / HTTP/1.1\r\n"], false),
            (vec![b"PRI * HTTP/1.1\r\n"], false),
        ] {
            assert_eq!(seen(&pieces).await.expect("seen"), (is_http2, pieces.concat()));
        }
        assert!(seen(&[]).await.is_err());
        assert!(seen(&[b"PRI"]).await.is_err(), "its end is noticed");
    }
}
