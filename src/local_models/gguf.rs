//! The header of a GGUF file: what it says of the model, and the sizes of its tensors, without reading them.

use std::io::{Read, Take, copy, sink};

/// Bytes of a header that are read at most; the largest ones, which hold a tokenizer, have some 10 MB.
const LARGEST: u64 = 64 << 20;

/// Longest text that is kept.
const LONGEST_TEXT: u64 = 4096;

/// Arrays within arrays that are understood.
const DEEPEST: u32 = 4;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// `general.architecture`, such as `llama`.
    pub(super) architecture: Option<String>,
    /// `general.type`: `model` where it is not said.
    pub(super) kind: Option<String>,
    /// `general.file_type`.
    pub(super) file_type: Option<u64>,
    /// `….context_length`.
    pub(super) context_length: Option<u64>,
    /// Elements of all tensors.
    pub(super) parameters: Option<u64>,
    /// A file that is not larger than this breaks off before its last tensor.
    pub(super) smaller_than: u64,
}

/// A value, as far as it is of use.
enum Value {
    Number(u64),
    Text(String),
    Other,
}

/// Reads the header that `file` begins with.
///
/// # Errors
/// In words, when this is no GGUF file or it ends within its header.
pub(super) fn read(file: impl Read) -> Result<Header, String> {
    let mut reader = Reader(file.take(LARGEST));
    if reader.bytes::<4>()? != *b"GGUF" {
        return Err("is no GGUF file".to_owned());
    }
    match reader.u32()? {
        2 | 3 => {}
        version => return Err(format!("has version {version} of GGUF, which is not understood (2 and 3 are)")),
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    let (mut header, mut alignment) = (Header::default(), 32);
    // Each entry takes bytes of a limited number, whatever the counts claim.
    for _ in 0..entries {
        let key = reader.text()?;
        match (key.as_str(), reader.value()?) {
            ("general.architecture", Value::Text(text)) => header.architecture = Some(text),
            ("general.type", Value::Text(text)) => header.kind = Some(text),
            ("general.file_type", Value::Number(number)) => header.file_type = Some(number),
            ("general.alignment", Value::Number(number)) if number > 0 => alignment = number,
            (key, Value::Number(number)) if key.ends_with(".context_length") => header.context_length = Some(number),
            _ => {}
        }
    }
    let (mut sum, mut last) = (Some(0_u64), 0);
    for _ in 0..tensors {
        reader.text()?;
        let mut elements = Some(1_u64);
        for _ in 0..reader.u32()? {
            let extent = reader.u64()?;
            elements = elements.and_then(|product| product.checked_mul(extent));
        }
        reader.u32()?;
        last = last.max(reader.u64()?);
        sum = sum.zip(elements).and_then(|(sum, elements)| sum.checked_add(elements));
    }
    header.parameters = sum.filter(|sum| *sum > 0);
    let read = LARGEST - reader.0.limit();
    header.smaller_than =
        if tensors == 0 { read } else { read.div_ceil(alignment).saturating_mul(alignment).saturating_add(last) };
    Ok(header)
}

struct Reader<R>(Take<R>);

impl<R: Read> Reader<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).map_err(|_| self.ended())?;
        Ok(bytes)
    }

    fn ended(&self) -> String {
        match self.0.limit() {
            0 => format!("has a header of more than {} MiB", LARGEST >> 20),
            _ => "ends within its header: the download is incomplete or the file broken".to_owned(),
        }
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), String> {
        match copy(&mut self.0.by_ref().take(bytes), &mut sink()) {
            Ok(read) if read == bytes => Ok(()),
            _ => Err(self.ended()),
        }
    }

    /// A text; one that is too long is skipped and empty.
    fn text(&mut self) -> Result<String, String> {
        let length = self.u64()?;
        if length > LONGEST_TEXT {
            self.skip(length)?;
            return Ok(String::new());
        }
        let mut bytes = Vec::new();
        let read = self.0.by_ref().take(length).read_to_end(&mut bytes);
        if read.ok().is_none_or(|read| read as u64 != length) {
            return Err(self.ended());
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn value(&mut self) -> Result<Value, String> {
        let kind = self.u32()?;
        let number = match kind {
            0 => u64::from(self.bytes::<1>()?[0]),
            2 => u64::from(u16::from_le_bytes(self.bytes()?)),
            4 => u64::from(self.u32()?),
            10 => self.u64()?,
            // Signed ones are counts too.
            5 => u64::try_from(i32::from_le_bytes(self.bytes()?)).unwrap_or(0),
            11 => u64::try_from(i64::from_le_bytes(self.bytes()?)).unwrap_or(0),
            8 => return self.text().map(Value::Text),
            kind => return self.skip_value(kind, DEEPEST).map(|()| Value::Other),
        };
        Ok(Value::Number(number))
    }

    fn skip_value(&mut self, kind: u32, deepest: u32) -> Result<(), String> {
        if let Some(bytes) = size(kind) {
            return self.skip(bytes);
        }
        if kind == 8 {
            let length = self.u64()?;
            return self.skip(length);
        }
        if kind != 9 || deepest == 0 {
            return Err(format!("has a value of type {kind}, which is not understood"));
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        if let Some(bytes) = size(kind) {
            return self.skip(bytes.saturating_mul(count));
        }
        (0..count).try_for_each(|_| self.skip_value(kind, deepest - 1))
    }
}

/// Bytes of a value of this type, where all have the same.
fn size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Gguf, gguf};
    use super::*;

    #[test]
    fn what_a_header_says_is_read() {
        let bytes = gguf(
            &[
                ("general.architecture", Gguf::Text("qwen3")),
                ("tokenizer.ggml.tokens", Gguf::Texts(&["a", "bc", ""])),
                ("tokenizer.ggml.scores", Gguf::Floats(&[1.0, 2.0])),
                ("qwen3.context_length", Gguf::Number(40960)),
                ("general.file_type", Gguf::Number(15)),
            ],
            &[("blk.0.w", &[64, 32]), ("out", &[64])],
        );
        let header = read(&bytes[..]).unwrap();
        assert_eq!(header.architecture.as_deref(), Some("qwen3"));
        assert_eq!((header.file_type, header.context_length), (Some(15), Some(40960)));
        assert_eq!(header.parameters, Some(64 * 32 + 64));
        assert_eq!(header.smaller_than, bytes.len().next_multiple_of(32) as u64 + 1);
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn what_is_no_gguf_file_is_told() {
        assert!(read(&b"GGML"[..]).unwrap_err().contains("no GGUF"));
        assert!(read(&b"GGUF\x01\0\0\0"[..]).unwrap_err().contains("version 1"));
        let huge = [&b"GGUF\x03\0\0\0"[..], &[0xff; 16], &[0xff; 64]].concat();
        assert!(read(&huge[..]).unwrap_err().contains("ends within"), "counts are claims");
    }

    #[test]
    fn arrays_in_arrays_end_somewhere() {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.push(b'k');
        for _ in 0..10_000 {
            bytes.extend(9_u32.to_le_bytes());
            bytes.extend(if bytes.len() > 40 { 1_u64 } else { u64::MAX }.to_le_bytes());
        }
        assert!(read(&bytes[..]).unwrap_err().contains("not understood"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes[..]);
            let _ = read(&[&b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"[..], &bytes].concat()[..]);
        }
    }
}
