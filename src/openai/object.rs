//! An object of a body, opened only as far as rules look into it; what they change is kept beside the bytes, which stay.

use std::borrow::Cow;
use std::ops::Deref;
use std::rc::Rc;

use bytes::BytesMut;

use super::json::{Member, Scanner, Span, SyntaxError};
use super::patch::{Edit, Edits, patch};
use super::text::{decode, quoted};
use super::{BadBody, Peek};

/// Most members of an object that rules look into: far above what templates take. The top level has its own bound.
const MAX_MEMBERS: usize = 4096;

/// An object that rules look into has more than [`MAX_MEMBERS`] members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyMembers;

impl From<SyntaxError> for TooManyMembers {
    /// All of it was checked before.
    fn from(_: SyntaxError) -> Self {
        Self
    }
}

impl From<TooManyMembers> for BadBody {
    fn from(_: TooManyMembers) -> Self {
        Self::TooManyNested
    }
}

/// Where an object's bytes are.
#[derive(Clone, Debug)]
enum Source<'b> {
    Body(&'b [u8]),
    Owned(Rc<[u8]>),
}

impl Deref for Source<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Body(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// An object with the changes to its members.
#[derive(Clone, Debug)]
pub(super) struct Object<'b, 'r> {
    source: Source<'b>,
    /// Braces included.
    span: Span,
    entries: Vec<Entry<'b, 'r>>,
}

#[derive(Clone, Debug)]
struct Entry<'b, 'r> {
    key: Key<'b, 'r>,
    /// Where it stands; `None`: it is new.
    place: Option<Member>,
    value: Item<'b, 'r>,
    /// The client has not sent it, or null: a default may take its place.
    defaulted: bool,
    removed: bool,
}

#[derive(Clone, Debug)]
enum Key<'b, 'r> {
    /// As sent, decoded; `None`: half of a surrogate pair, which no rule names.
    Sent(Option<Cow<'b, str>>),
    /// As a rule says.
    New(&'r str),
}

impl Key<'_, '_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Sent(text) => text.as_deref(),
            Self::New(text) => Some(text),
        }
    }
}

#[derive(Clone, Debug)]
enum Item<'b, 'r> {
    /// As it was.
    Kept(Span),
    /// Replaced by this JSON.
    New(Cow<'r, [u8]>),
    /// As it was, with these pieces put in, in order of their places.
    Inserted(Span, Vec<(u32, Vec<u8>)>),
    /// Looked into; in the same source as the object around it, or (`true`) in its own.
    Open(Box<Object<'b, 'r>>, bool),
}

impl<'b, 'r> Object<'b, 'r> {
    /// The object that `peek` saw in `body`.
    pub(super) fn of(body: &'b [u8], peek: &Peek) -> Self {
        let entries = peek.members.iter().map(|member| entry(&Source::Body(body), *member, false)).collect();
        Self { source: Source::Body(body), span: peek.object, entries }
    }

    /// The object that the JSON `text` is.
    pub(super) fn parse(text: &[u8]) -> Result<Self, TooManyMembers> {
        Self::read(Source::Owned(text.into()), Span::new(0, text.len()), false)
    }

    fn read(source: Source<'b>, span: Span, defaulted: bool) -> Result<Self, TooManyMembers> {
        let mut entries = Vec::new();
        let text = source.get(..span.end as usize).unwrap_or_default();
        Scanner::new(text, span.start as usize).members(|member| {
            if entries.len() == MAX_MEMBERS {
                return Err(TooManyMembers);
            }
            entries.push(entry(&source, member, defaulted));
            Ok(())
        })?;
        Ok(Self { source, span, entries })
    }

    /// The last of the members called `key`: the one that counts.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.entries.iter().rposition(|entry| !entry.removed && entry.key.text() == Some(key))
    }

    /// The same; members of that name before it are taken out, lest an engine take one of them for the one that counts.
    pub(super) fn only(&mut self, key: &str) -> Option<usize> {
        let last = self.find(key)?;
        for entry in self.entries.iter_mut().take(last) {
            entry.removed |= entry.key.text() == Some(key);
        }
        Some(last)
    }

    /// The object that the member at `at` is; `None` when it is something else.
    pub(super) fn child(&mut self, at: usize) -> Result<Option<&mut Self>, TooManyMembers> {
        let Some(entry) = self.entries.get_mut(at) else { return Ok(None) };
        let opened = match &entry.value {
            Item::Kept(span) if span.of(&self.source).first() == Some(&b'{') => {
                let object = Self::read(self.source.clone(), *span, entry.defaulted)?;
                Some(Item::Open(Box::new(object), false))
            }
            Item::New(text) if text.first() == Some(&b'{') => {
                let source = Source::Owned(text.as_ref().into());
                Some(Item::Open(Box::new(Self::read(source, Span::new(0, text.len()), entry.defaulted)?), true))
            }
            _ => None,
        };
        if let Some(opened) = opened {
            entry.value = opened;
        }
        Ok(match &mut entry.value {
            Item::Open(object, _) => Some(object),
            _ => None,
        })
    }

    /// Whether the member at `at` was added where the client was silent.
    pub(super) fn is_default(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.defaulted)
    }

    /// The JSON of the member at `at`, as it is now.
    pub(super) fn json(&self, at: usize) -> Cow<'_, [u8]> {
        match self.entries.get(at).map(|entry| &entry.value) {
            None => Cow::Borrowed(b""),
            Some(Item::Kept(span)) => Cow::Borrowed(span.of(&self.source)),
            Some(Item::New(text)) => Cow::Borrowed(text),
            Some(Item::Inserted(span, pieces)) => Cow::Owned(inserted(&self.source, *span, pieces)),
            Some(Item::Open(object, _)) => Cow::Owned(object.clone().render()),
        }
    }

    /// Whether the member at `at` is an object or array; tells without rendering it.
    pub(super) fn first_byte(&self, at: usize) -> Option<u8> {
        match &self.entries.get(at)?.value {
            Item::Kept(span) | Item::Inserted(span, _) => span.of(&self.source).first().copied(),
            Item::New(text) => text.first().copied(),
            Item::Open(..) => Some(b'{'),
        }
    }

    /// Replaces the value of the member at `at`; `defaulted`: the client has not sent it.
    pub(super) fn set(&mut self, at: usize, json: Cow<'r, [u8]>, defaulted: bool) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.value = Item::New(json);
            entry.defaulted = defaulted;
        }
    }

    /// Puts pieces into the value of the member at `at`, at these offsets in its JSON, in order.
    pub(super) fn insert(&mut self, at: usize, pieces: Vec<(usize, Vec<u8>)>) {
        let source = &self.source;
        let Some(entry) = self.entries.get_mut(at) else { return };
        let text = match &entry.value {
            Item::Kept(span) => {
                let absolute = |(offset, piece)| (Span::new(span.start as usize + offset, 0).start, piece);
                entry.value = Item::Inserted(*span, pieces.into_iter().map(absolute).collect());
                return;
            }
            Item::New(text) => text.to_vec(),
            Item::Inserted(span, earlier) => inserted(source, *span, earlier),
            Item::Open(..) => return,
        };
        let pieces: Vec<_> = pieces.into_iter().map(|(offset, piece)| (Span::new(offset, 0).start, piece)).collect();
        entry.value = Item::New(Cow::Owned(inserted(&text, Span::new(0, text.len()), &pieces)));
    }

    /// Adds a member: in the place of one of that name that was taken out, or at the end.
    pub(super) fn push(&mut self, key: &'r str, json: Cow<'r, [u8]>, defaulted: bool) {
        let value = Item::New(json);
        match self.entries.iter().rposition(|entry| entry.place.is_some() && entry.key.text() == Some(key)) {
            Some(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    (entry.value, entry.defaulted, entry.removed) = (value, defaulted, false);
                }
            }
            None => {
                self.entries.push(Entry { key: Key::New(key), place: None, value, defaulted, removed: false });
            }
        }
    }

    /// Takes out the member at `at`.
    pub(super) fn take_out(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.removed = true;
        }
    }

    /// What has to change in the source.
    pub(super) fn edits(self, out: &mut Edits<'r>) {
        let mut list = MemberEdits { edits: out, gap: None, kept_end: None, end: self.span.start + 1 };
        let mut extra = Vec::new();
        for Entry { key, place, value, removed, .. } in self.entries {
            match place {
                Some(member) if removed => list.drop(member),
                Some(member) => {
                    list.keep(member);
                    match value {
                        Item::Kept(_) => {}
                        Item::New(text) => list.replace(&self.source, member.value, text),
                        Item::Inserted(_, pieces) => pieces.into_iter().for_each(|(at, piece)| {
                            list.edits.push(Edit { old: Span { start: at, end: at }, new: Cow::Owned(piece) });
                        }),
                        Item::Open(object, false) => object.edits(list.edits),
                        Item::Open(object, true) => {
                            list.replace(&self.source, member.value, Cow::Owned(object.render()));
                        }
                    }
                }
                None if removed => {}
                None => {
                    extra.push(b',');
                    extra.extend_from_slice(&quoted(key.text().unwrap_or_default()));
                    extra.push(b':');
                    match value {
                        Item::New(text) => extra.extend_from_slice(&text),
                        Item::Open(object, _) => extra.extend_from_slice(&object.render()),
                        // New members come with new values.
                        Item::Kept(_) | Item::Inserted(..) => extra.extend_from_slice(b"null"),
                    }
                }
            }
        }
        list.finish(extra);
    }

    /// The JSON of the object, as it is now.
    pub(super) fn render(self) -> Vec<u8> {
        let (source, span) = (self.source.clone(), self.span);
        let mut edits = Edits::new();
        self.edits(&mut edits);
        let shift = |at: u32| at.saturating_sub(span.start);
        for edit in &mut edits {
            edit.old = Span { start: shift(edit.old.start), end: shift(edit.old.end) };
        }
        let mut text = BytesMut::from(span.of(&source));
        patch(&mut text, &edits);
        text.into()
    }
}

fn entry<'b, 'r>(source: &Source<'b>, member: Member, defaulted: bool) -> Entry<'b, 'r> {
    let key = match source {
        Source::Body(body) => decode(member.key.of(body)),
        Source::Owned(bytes) => decode(member.key.of(bytes)).map(|key| Cow::Owned(key.into_owned())),
    };
    // A client that sends null has said nothing: to an engine it is the same as no member.
    let is_silent = matches!(source, Source::Body(body) if member.value.of(body) == b"null");
    let defaulted = defaulted || is_silent;
    Entry { key: Key::Sent(key), place: Some(member), value: Item::Kept(member.value), defaulted, removed: false }
}

/// The piece `span` of `source` with pieces put in at absolute places.
fn inserted(source: &[u8], span: Span, pieces: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut from = span.start;
    for (at, piece) in pieces {
        out.extend_from_slice(Span { start: from, end: *at }.of(source));
        out.extend_from_slice(piece);
        from = *at;
    }
    out.extend_from_slice(Span { start: from, end: span.end }.of(source));
    out
}

/// Edits of one object, member by member, with the commas right.
struct MemberEdits<'e, 'r> {
    edits: &'e mut Edits<'r>,
    /// Where the members dropped last begin, when no member was kept since.
    gap: Option<u32>,
    /// Where the member kept last ends.
    kept_end: Option<u32>,
    /// Where the last member ends, or the place after the brace.
    end: u32,
}

impl<'r> MemberEdits<'_, 'r> {
    /// Drops `member`, with one comma: the one after it here, or in [`MemberEdits::finish`] the one before it.
    fn drop(&mut self, member: Member) {
        self.gap.get_or_insert(member.key.start.saturating_sub(1));
        self.end = member.value.end;
    }

    fn keep(&mut self, member: Member) {
        if let Some(start) = self.gap.take() {
            let old = Span { start, end: member.key.start.saturating_sub(1) };
            self.edits.push(Edit { old, new: Cow::Borrowed(b"") });
        }
        self.kept_end = Some(member.value.end);
        self.end = member.value.end;
    }

    /// Replaces `value`, unless `new` is the same.
    fn replace(&mut self, source: &[u8], value: Span, new: Cow<'r, [u8]>) {
        if *new != *value.of(source) {
            self.edits.push(Edit { old: value, new });
        }
    }

    /// Drops what is still to be dropped and appends `extra`, which begins with a comma.
    fn finish(self, mut extra: Vec<u8>) {
        if let Some(gap) = self.gap {
            let old = Span { start: self.kept_end.unwrap_or(gap), end: self.end };
            self.edits.push(Edit { old, new: Cow::Borrowed(b"") });
        }
        if !extra.is_empty() {
            if self.kept_end.is_none() {
                extra.remove(0);
            }
            self.edits.push(Edit { old: Span { start: self.end, end: self.end }, new: Cow::Owned(extra) });
        }
    }
}
