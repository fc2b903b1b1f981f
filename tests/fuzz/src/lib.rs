//! What the fuzz targets share: cutting bytes into pieces, and settings out of bytes.

use enginehouse::config::LateSystem;
use enginehouse::dialects::{ClientApi, to_chat};
use serde_json::{Map, Value};

/// Settings of an alias, out of the first line of `data`; what is left is the body.
///
/// The line is a JSON object with `remove`, `defaults`, `limits` and `overrides`, as in a configuration; anything else
/// in it is ignored.
pub fn settings(data: &[u8]) -> Option<(Settings, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let Ok(Value::Object(mut written)) = serde_json::from_slice(&data[..end]) else { return None };
    let mut section = |name: &str| match written.remove(name) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let (defaults, limits, overrides) = (section("defaults"), section("limits"), section("overrides"));
    let remove = match written.get("remove") {
        Some(Value::Array(names)) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    Some((Settings { remove, defaults, limits, overrides }, &data[end + 1..]))
}

/// What an alias changes, as a user writes it.
pub struct Settings {
    pub remove: Vec<String>,
    pub defaults: Map<String, Value>,
    pub limits: Map<String, Value>,
    pub overrides: Map<String, Value>,
}

impl Settings {
    /// As the gateway uses them.
    pub fn rules(&self) -> enginehouse::openai::Rules {
        use enginehouse::settings::Settings;
        enginehouse::openai::Rules::new(&[Settings {
            remove: self.remove.iter().map(|path| path.split('.').map(str::to_owned).collect()).collect(),
            defaults: self.defaults.clone(),
            limits: self.limits.clone(),
            overrides: self.overrides.clone(),
            ..Settings::default()
        }])
    }

    /// The top-level members that they name.
    pub fn top_level(&self) -> impl Iterator<Item = &str> {
        let sections = [&self.defaults, &self.limits, &self.overrides];
        let keys = sections.into_iter().flat_map(|section| section.keys());
        self.remove.iter().chain(keys).map(String::as_str)
    }

    /// Whether a top-level member of that name may come out changed.
    pub fn names(&self, key: &str) -> bool {
        self.top_level().any(|name| name.split('.').next() == Some(key))
    }
}

/// `data` in pieces, cut where its own last bytes say: the same input is always cut the same way.
pub fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let cuts = &data[data.len().saturating_sub(8)..];
    let (mut pieces, mut rest) = (Vec::new(), data);
    for cut in cuts.iter().cycle().take(64) {
        if rest.is_empty() {
            break;
        }
        let (piece, more) = rest.split_at(usize::from(*cut % 61).min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}

/// A request in another API than the engine's, and an answer to it: nothing panics, and where the stream is cut changes
/// nothing.
pub fn translate(api: ClientApi, request: &[u8], answer: &[u8]) {
    let Ok((chat, translator)) = to_chat(api, request, LateSystem::default()) else { return };
    assert!(matches!(serde_json::from_slice(&chat), Ok(Value::Object(_))), "the engine is sent an object");
    let stream = |chunks: Vec<&[u8]>| {
        let (mut translator, mut out) = (translator.clone(), Vec::new());
        chunks.into_iter().for_each(|chunk| translator.feed(chunk, &mut out));
        translator.end(&mut out);
        assert!(translator.done());
        out
    };
    let whole = stream(vec![answer]);
    assert!(whole == stream(pieces(answer)) && whole == stream(answer.chunks(1).collect()), "cut somewhere");
    assert!(std::str::from_utf8(&whole).is_ok() && whole.ends_with(b"\n\n"), "events are text and end");
    if let Ok(told) = translator.clone().answer(answer) {
        assert!(matches!(serde_json::from_slice(&told), Ok(Value::Object(_))), "an answer is an object");
    }
    let refused = translator.error(400, answer);
    assert!(matches!(serde_json::from_slice(&refused), Ok(Value::Object(_))), "a refusal is an object");
}
