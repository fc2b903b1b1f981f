//! Audio named in `metadata`: inlined as data URIs before the text of the last user message.

use std::io;
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::errors::unsupported;
use crate::config::Gym;
use crate::openai::ApiError;

/// Reads a file, unless a link leads out of `audio_root`. A turn itself reads no disk.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The members of `metadata` that carry audio.
pub(super) const KEYS: [&str; 3] = ["audio_data", "audio_path", "audio_paths"];

/// Media subtypes by file extension. Decoders choose by the subtype: a guess would decode noise.
const SUBTYPES: [(&str, &str); 6] =
    [("wav", "wav"), ("flac", "flac"), ("mp3", "mpeg"), ("m4a", "mp4"), ("ogg", "ogg"), ("opus", "opus")];

/// Moves audio from `metadata` into the messages.
///
/// # Errors
/// More than one kind, a file outside of `audio_root` or of an unknown kind, or one that cannot be read.
pub(super) fn inline(body: &mut Map<String, Value>, gym: &Gym, read_file: ReadFile<'_>) -> Result<(), ApiError> {
    let Some(Value::Object(metadata)) = body.get_mut("metadata") else { return Ok(()) };
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or("");
    let present: Vec<&str> = KEYS.into_iter().filter(|key| !text(key).is_empty()).collect();
    let key = match present.as_slice() {
        [] => return Ok(()),
        [key] => *key,
        _ => return Err(unsupported(format!("Send only one of `metadata.{}`.", present.join("`, `metadata.")))),
    };
    let text = text(key).to_owned();
    let url = match key {
        "audio_data" => text,
        "audio_path" => data_uri(&text, gym.audio_root.as_deref(), read_file)?,
        _ => {
            return Err(unsupported(
                "`metadata.audio_paths` is not supported: values of metadata are strings, not lists. Send `audio_path`.",
            ));
        }
    };
    metadata.shift_remove(key);
    if metadata.is_empty() {
        body.shift_remove("metadata");
    }
    let block = json!({ "type": "audio_url", "audio_url": { "url": url } });
    match body.entry("messages").or_insert_with(|| Value::Array(Vec::new())) {
        Value::Array(messages) => prepend(messages, block),
        _ => return Err(unsupported("`messages` must be an array.")),
    }
    Ok(())
}

fn prepend(messages: &mut Vec<Value>, block: Value) {
    let user = messages.iter_mut().rev().find(|message| message["role"] == "user");
    let Some(Value::Object(user)) = user else {
        messages.push(json!({ "role": "user", "content": [block] }));
        return;
    };
    let mut parts = vec![block];
    match user.get_mut("content").map(Value::take) {
        Some(Value::String(text)) => parts.push(json!({ "type": "text", "text": text })),
        Some(Value::Array(content)) => parts.extend(content),
        _ => {}
    }
    user.insert("content".into(), Value::Array(parts));
}

fn data_uri(path: &str, root: Option<&Path>, read_file: ReadFile<'_>) -> Result<String, ApiError> {
    let confined = confined(path, root)?;
    let extension = confined.extension().and_then(|it| it.to_str()).unwrap_or("").to_ascii_lowercase();
    let Some((_, subtype)) = SUBTYPES.iter().find(|(known, _)| *known == extension) else {
        let known: Vec<&str> = SUBTYPES.iter().map(|(known, _)| *known).collect();
        return Err(unsupported(format!(
            "`{path}` is not an audio file of a known type. Known extensions: {}.",
            known.join(", ")
        )));
    };
    let bytes = read_file(&confined).map_err(|error| {
        let why = error.get_ref().map_or_else(|| error.kind().to_string(), ToString::to_string);
        unsupported(format!("`metadata.audio_path` {path:?} cannot be read: {why}."))
    })?;
    Ok(format!("data:audio/{subtype};base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
}

/// The path below `root`, with every `..` resolved. Links are the reader's to check.
fn confined(path: &str, root: Option<&Path>) -> Result<PathBuf, ApiError> {
    let Some(root) = root else {
        return Err(unsupported(
            "`metadata.audio_path` names a file, and the alias has no `gym.audio_root` to read files from. \
             Set it, or send `metadata.audio_data`.",
        ));
    };
    let outside = || {
        unsupported(format!(
            "`metadata.audio_path` {path:?} is not below the alias' `gym.audio_root`; other files are not read."
        ))
    };
    if path.contains('\0') {
        return Err(outside());
    }
    let mut resolved = PathBuf::new();
    for component in root.join(path).components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    if resolved.starts_with(root) && resolved != root { Ok(resolved) } else { Err(outside()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_of_the_root_is_read() {
        let root = Some(Path::new("/data/audio"));
        for path in [
            "/etc/passwd",
            "../x.wav",
            "a/../../x.wav",
            "/data/audio2/x.wav",
            "/data/audio/../x.wav",
            "",
            ".",
            "a\0.wav",
        ] {
            assert!(confined(path, root).is_err(), "{path:?}");
        }
        for path in ["a.wav", "/data/audio/a.wav", "b/../a.wav", "./a.wav"] {
            assert_eq!(confined(path, root).expect(path), Path::new("/data/audio/a.wav"));
        }
        assert!(confined("/data/audio/a.wav", None).is_err() && confined("a.wav", None).is_err());
    }

    #[test]
    fn audio_comes_before_the_text_of_the_last_user_message() {
        let gym = Gym { audio_root: Some("/r".into()), ..Gym::default() };
        let read: ReadFile<'_> = &|path| {
            if path == Path::new("/r/a.WAV") { Ok(b"RIFF".to_vec()) } else { Err(io::ErrorKind::NotFound.into()) }
        };
        let mut body = json!({
            "messages": [{ "role": "user", "content": "a" }, { "role": "user", "content": "b" }, { "role": "assistant", "content": "c" }],
            "metadata": { "audio_path": "a.WAV" },
        });
        inline(body.as_object_mut().expect("object"), &gym, read).expect("read");
        let block = json!({ "type": "audio_url", "audio_url": { "url": "data:audio/wav;base64,UklGRg==" } });
        assert_eq!(body["messages"][1]["content"], json!([block, { "type": "text", "text": "b" }]));
        assert!(body.get("metadata").is_none() && body["messages"][0]["content"] == "a");
        for path in ["b.wav", "a.txt", "a"] {
            let mut body = json!({ "messages": [], "metadata": { "audio_path": path } });
            assert_eq!(inline(body.as_object_mut().expect("object"), &gym, read).expect_err(path).status, 400);
        }
        let mut body = json!({ "messages": [], "metadata": { "audio_path": "a.wav" } });
        let refused = inline(body.as_object_mut().expect("object"), &gym, &|_| Err(io::Error::other("a link")));
        assert!(refused.expect_err("refused").message.ends_with("cannot be read: a link."));
    }

    #[test]
    fn without_a_user_message_one_is_added() {
        let mut body = json!({ "messages": [], "metadata": { "audio_data": "data:x", "k": "v" } });
        inline(body.as_object_mut().expect("object"), &Gym::default(), &|_| Err(io::ErrorKind::NotFound.into()))
            .expect("data");
        assert_eq!(body["messages"][0]["role"], "user");
        assert_eq!(body["metadata"], json!({ "k": "v" }));
    }
}
