//! The header of a safetensors file: names, types and sizes of its tensors, without reading them.

use std::io::Read;

use safetensors::tensor::Metadata;

/// Largest header that is read, the same bound as the format's own library sets (`safetensors` `MAX_HEADER_SIZE`).
const LARGEST: u64 = 100_000_000;

/// One tensor as a header names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Such as `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// Such as `BF16`, `F32`, `F8_E4M3`, `U8`.
    pub dtype: String,
    /// Extents, outermost first.
    pub shape: Vec<u64>,
    /// Bytes in the file.
    pub bytes: u64,
}

/// Reads the header of a file of `size` bytes: eight bytes of little-endian length, then JSON.
///
/// # Errors
/// In words, when this is no safetensors file or it ends before its last tensor (a download that broke off).
pub(super) fn read(mut file: impl Read, size: u64) -> Result<Vec<Tensor>, String> {
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| "is too short for a safetensors file".to_owned())?;
    let length = u64::from_le_bytes(length);
    let data = size.checked_sub(8).and_then(|rest| rest.checked_sub(length));
    let Some(data) = data.filter(|_| length <= LARGEST) else {
        return Err(format!("is no safetensors file, or broken: its header claims {length} bytes"));
    };
    // `take` and no allocation up front: the length is a claim.
    let mut json = Vec::new();
    file.take(length).read_to_end(&mut json).map_err(|err| format!("cannot be read: {err}"))?;
    let header: Metadata =
        serde_json::from_slice(&json).map_err(|err| format!("has a header that is not understood: {err}"))?;
    let names = header.offset_keys();
    match names.last() {
        Some(last) if header.data_len() as u64 > data => {
            return Err(format!("ends before its tensor `{last}`: the download is incomplete or the file broken"));
        }
        _ => {}
    }
    let tensor = |name: String| {
        let info = header.info(&name)?;
        let (begin, end) = info.data_offsets;
        let shape = info.shape.iter().map(|extent| *extent as u64).collect();
        Some(Tensor { dtype: info.dtype.to_string(), shape, bytes: (end - begin) as u64, name })
    };
    Ok(names.into_iter().filter_map(tensor).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(json: &str, data: usize) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Vec<Tensor>, String> {
        read(bytes, bytes.len() as u64)
    }

    #[test]
    fn names_types_and_sizes_are_read() {
        let json =
            r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}  "#;
        let want = Tensor { name: "a.weight".into(), dtype: "BF16".into(), shape: vec![2, 3], bytes: 12 };
        assert_eq!(parse(&file(json, 12)), Ok(vec![want]));
        assert_eq!(parse(&file("{}", 0)), Ok(vec![]));
    }

    #[test]
    fn broken_files_are_said_to_be_broken() {
        let one = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(parse(&file(one, 7)).unwrap_err().contains("download is incomplete"));
        let backwards = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#;
        assert!(parse(&file(backwards, 8)).unwrap_err().contains("`w`"));
        assert!(parse(b"1234").unwrap_err().contains("too short"));
        assert!(parse(&file("nonsense", 0)).unwrap_err().contains("not understood"));
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
        assert!(parse(pointer).unwrap_err().contains("no safetensors file"));
        let huge = [&(LARGEST + 1).to_le_bytes()[..], b"{"].concat();
        assert!(read(&huge[..], u64::MAX).unwrap_err().contains("claims 100000001 bytes"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in any::<u64>()) {
            let _ = parse(&bytes);
            let _ = read(&bytes[..], size);
        }

        #[test]
        fn no_header_panics(json in "[\\[\\]{}\":,0-9a-z_ ]{0,120}", begin in any::<u64>(), end in any::<u64>(), extent in any::<u64>()) {
            let _ = parse(&file(&json, 3));
            let json = format!(r#"{{"w":{{"dtype":"F32","shape":[{extent},{extent}],"data_offsets":[{begin},{end}]}}}}"#);
            let _ = read(&file(&json, 0)[..], u64::MAX);
        }
    }
}
