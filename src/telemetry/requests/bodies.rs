//! The bodies of a request that are kept for operators.

use std::fmt;
use std::sync::Arc;

use super::captured::{Captured, Gathered};
use super::mask;
use crate::api::{BodyView, Omitted, RequestView};
use crate::config::Capture;
use crate::ids::Name;
use crate::settings::FieldPath;

/// The bodies of a request and of its answer.
#[derive(Debug)]
pub(super) struct KeptBodies {
    pub(super) alias: Name,
    /// What they were kept by.
    pub(super) terms: Arc<Capture>,
    request: KeptBody,
    answer: KeptBody,
}

/// A body, or why there is none.
struct KeptBody {
    size: usize,
    is_cut: bool,
    text: Result<Box<str>, Omitted>,
}

impl fmt::Debug for KeptBody {
    /// Nothing that it says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptBody").field("size", &self.size).finish_non_exhaustive()
    }
}

impl KeptBodies {
    /// Masks what was gathered. That takes as long as reading it: nothing for the data path.
    pub(super) fn of(captured: &Captured) -> Self {
        let mask = &captured.terms.mask;
        let request = KeptBody::of(&captured.request, mask);
        let answer = KeptBody::of(&captured.answer, mask);
        Self { alias: captured.alias.clone(), terms: captured.terms.clone(), request, answer }
    }

    /// Adds them to what operators are told of their request.
    pub(super) fn show(&self, view: &mut RequestView) {
        view.request_body = Some(self.request.view());
        view.response_body = Some(self.answer.view());
    }
}

impl KeptBody {
    fn of(gathered: &Gathered, mask: &[FieldPath]) -> Self {
        let text = text(gathered);
        let (text, is_cut) = match text {
            Ok(text) if !mask.is_empty() && !text.is_empty() => masked(text, gathered.is_cut(), mask),
            other => (other.map(Into::into), gathered.is_cut()),
        };
        Self { size: gathered.size, is_cut: is_cut && text.is_ok(), text }
    }

    fn view(&self) -> BodyView {
        let text = self.text.as_deref().ok().map(ToOwned::to_owned);
        BodyView { bytes: self.size, cut: self.is_cut, text, omitted: self.text.as_ref().err().copied() }
    }
}

fn text(gathered: &Gathered) -> Result<&str, Omitted> {
    if gathered.is_refused {
        return Err(Omitted::NoRoom);
    }
    match std::str::from_utf8(&gathered.bytes) {
        Ok(text) => Ok(text),
        // It was cut in the middle of a character.
        Err(error) if error.error_len().is_none() && gathered.is_cut() => {
            std::str::from_utf8(&gathered.bytes[..error.valid_up_to()]).map_err(|_| Omitted::Binary)
        }
        Err(_) => Err(Omitted::Binary),
    }
}

/// `text` without the values of masked members, and whether it is only the beginning.
fn masked(text: &str, is_cut: bool, mask: &[FieldPath]) -> (Result<Box<str>, Omitted>, bool) {
    if !is_cut && let Some(json) = mask::json(text, mask) {
        return (Ok(json.into()), false);
    }
    match mask::events(text, mask) {
        Some((events, is_left_out)) if !events.is_empty() => (Ok(events.into()), is_cut || is_left_out),
        _ => (Err(if is_cut { Omitted::Incomplete } else { Omitted::NotJson }), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: &[u8], size: usize, mask: &[&str]) -> BodyView {
        let mask: Vec<FieldPath> = mask.iter().map(|name| vec![(*name).to_owned()]).collect();
        KeptBody::of(&Gathered { bytes: bytes.to_vec(), size, is_refused: false }, &mask).view()
    }

    fn told(view: &BodyView) -> (Option<&str>, bool, Option<Omitted>) {
        (view.text.as_deref(), view.cut, view.omitted)
    }

    #[test]
    fn text_is_kept_as_it_is_up_to_its_last_whole_character() {
        assert_eq!(told(&kept("{ü}".as_bytes(), 4, &[])), (Some("{ü}"), false, None));
        assert_eq!(told(&kept(&"{ü}".as_bytes()[..2], 4, &[])), (Some("{"), true, None));
        assert_eq!(told(&kept(&"{ü}".as_bytes()[..2], 2, &[])), (None, false, Some(Omitted::Binary)));
        assert_eq!(told(&kept(b"\xff\xd8", 4, &[])), (None, false, Some(Omitted::Binary)));
        assert_eq!(told(&kept(b"", 0, &["a"])), (Some(""), false, None));
    }

    #[test]
    fn what_cannot_be_masked_is_not_kept() {
        let secret = br#"{"a":"secret","b":1}"#;
        assert_eq!(told(&kept(secret, 20, &["a"])), (Some(r#"{"a":"***","b":1}"#), false, None));
        assert_eq!(told(&kept(&secret[..18], 20, &["a"])), (None, false, Some(Omitted::Incomplete)));
        assert_eq!(told(&kept(secret, 21, &["a"])), (None, false, Some(Omitted::Incomplete)));
        assert_eq!(told(&kept(b"secret", 6, &["a"])), (None, false, Some(Omitted::NotJson)));
        let stream = b"data: {\"a\":\"secret\"}\n\ndata: {\"a\":\"sec";
        let whole = "data: {\"a\":\"***\"}\n\n";
        assert_eq!(told(&kept(stream, 100, &["a"])), (Some(whole), true, None));
        assert_eq!(told(&kept(stream, stream.len(), &["a"])), (Some(whole), true, None), "its engine died");
        assert_eq!(told(&kept(&stream[..10], 100, &["a"])), (None, false, Some(Omitted::Incomplete)));
        let refused = KeptBody::of(&Gathered { bytes: vec![], size: 9, is_refused: true }, &[]).view();
        assert_eq!(told(&refused), (None, false, Some(Omitted::NoRoom)));
    }
}
