//! The data of server-sent events, line by line, however the bytes are cut.

use memchr::memchr;

/// Longest line that is kept: an event of more is no answer of a model.
const LONGEST: usize = 64 * 1024 * 1024;

/// Cuts a stream into lines. Holds no more than a line that is not here as a whole.
#[derive(Debug, Default)]
pub(in crate::cli) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Calls `each` for every line with data that ends in `chunk`, with its data, but not for `[DONE]`.
    pub(in crate::cli) fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8])) {
        let mut left = chunk;
        while let Some(end) = memchr(b'\n', left) {
            let (line, rest) = (&left[..end], &left[end + 1..]);
            if self.rest.is_empty() {
                data(line, &mut each);
            } else {
                self.rest.extend_from_slice(line);
                data(&self.rest, &mut each);
                self.rest.clear();
            }
            left = rest;
        }
        if self.rest.len() + left.len() <= LONGEST {
            self.rest.extend_from_slice(left);
        }
    }
}

fn data(line: &[u8], each: &mut impl FnMut(&[u8])) {
    if let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii)
        && data != b"[DONE]"
    {
        each(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let stream = b": hello\n\ndata: {\"a\":1}\r\n\r\nevent: x\ndata:{}\n\ndata: [DONE]\n\ndata: cut";
        for size in 1..stream.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for chunk in stream.chunks(size) {
                lines.feed(chunk, |data| found.push(data.to_vec()));
            }
            assert_eq!(found, [b"{\"a\":1}".to_vec(), b"{}".to_vec()], "in pieces of {size}");
        }
    }
}
