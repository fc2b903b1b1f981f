//! Tells HTTP/2 from HTTP/1.1 by how a connection begins, without taking a byte of it.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the connection begins like HTTP/2; decided as soon as a byte differs.
///
/// # Errors
/// The peer closed or broke the connection before that.
pub async fn begins_like_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut buffer = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut buffer).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(&buffer[..seen]) {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        // A torn preface: `peek` would return the same bytes at once.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn seen(pieces: &[&[u8]]) -> io::Result<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        let looking = tokio::spawn(async move { begins_like_http2(&stream).await });
        for piece in pieces {
            client.write_all(piece).await.expect("written");
            tokio::task::yield_now().await;
        }
        drop(client);
        looking.await.expect("no panic")
    }

    #[tokio::test]
    async fn a_preface_is_known_in_any_pieces_and_anything_else_at_its_first_byte() {
        assert!(seen(&[PREFACE]).await.expect("seen"));
        assert!(seen(&[&PREFACE[..3], &PREFACE[3..]]).await.expect("seen"));
        assert!(!seen(&[b"POST / HTTP/1.1\r\n"]).await.expect("seen"));
        assert!(!seen(&[b"PRI * HTTP/1.1\r\n"]).await.expect("seen"));
        assert!(seen(&[]).await.is_err());
    }
}
