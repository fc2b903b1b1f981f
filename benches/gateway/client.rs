//! The client: plain HTTP/1.1 over a few connections, as cheap as it can be made, as it shares a core with the engine.

use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::process::Process;

/// Connections at a time.
const CONNECTIONS: usize = 16;

/// A chat request of about `size` bytes. `more`: further header lines, which the simulated engine understands.
pub(crate) fn request(model: &str, size: usize, stream: bool, more: &str) -> Vec<u8> {
    let mut body =
        format!("{{\"model\":\"{model}\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"");
    while body.len() < size {
        body.push_str("All work and no play makes a dull day. ");
    }
    body.push_str("\"}]}");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Sends a request and reads its whole answer; the status.
pub(crate) fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> u16 {
    try_exchange(stream, request, buffer).expect("an answer")
}

/// Sends a request and reads its whole answer, if there is one; the status.
pub(crate) fn try_exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Result<u16, Error> {
    stream.write_all(request)?;
    buffer.clear();
    let mut piece = [0; 64 * 1024];
    let mut whole = None;
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(Error::other(format!("closed early: {}", String::from_utf8_lossy(buffer))));
        }
        buffer.extend_from_slice(&piece[..read]);
        if whole.is_none()
            && let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
            whole = Some(length.map(|length| end + 4 + length));
        }
        match whole {
            Some(Some(length)) if buffer.len() >= length => break,
            Some(None) if buffer.ends_with(b"0\r\n\r\n") => break,
            _ => {}
        }
    }
    Ok(String::from_utf8_lossy(&buffer[9..12]).parse().expect("status"))
}

/// Sends `requests` in turn, again and again for `span`; microseconds of CPU that `process` used for each.
pub(crate) fn measure<R: AsRef<[u8]> + Sync>(
    process: &Process,
    address: SocketAddr,
    requests: &[R],
    span: Duration,
) -> f64 {
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let before = process.cpu();
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            // Each connection begins somewhere else.
            let mut turn = requests.iter().cycle().skip(connection * requests.len() / CONNECTIONS);
            let (done, stop) = (&done, &stop);
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).expect("connected");
                let _ = stream.set_nodelay(true);
                let mut buffer = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let request = turn.next().expect("a request");
                    let status = exchange(&mut stream, request.as_ref(), &mut buffer);
                    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&buffer));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(span);
        stop.store(true, Ordering::Relaxed);
    });
    let used = process.cpu().saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred thousand requests")]
    let requests = done.load(Ordering::Relaxed) as f64;
    used.as_secs_f64() * 1e6 / requests
}
