//! Applies rules to the text fields of a multipart form, in place; files are never touched.
//!
//! Scalars become their text, objects and arrays their JSON; `null`, which a form cannot say, means no field. A field that
//! holds a JSON object is looked into like a member that is one. A name may stand several times (that is how forms say
//! lists): fixed values replace all of them by one field, everything else is done to each.

use std::borrow::Cow;

use bytes::BytesMut;
use http::{HeaderName, HeaderValue};
use memchr::memmem;

use super::change::{self, Part, Trace};
use super::condition::{field_says, holds, passes, says};
use super::json::{Scanner, Span};
use super::multipart::{BadForm, FormPeek};
use super::patch::{Edit, Edits, apply};
use super::rules::{Compiled, Fill, Node, Request, Rules, Step, shown};
use super::splice::Rewritten;
use super::tree::{Flood, Object};

/// Applies `rules` to the form `body` and names it `model`, where given and other than what the client said.
///
/// `form` must come from these very bytes, and is stale afterwards if they changed.
/// In place where `body` has room for the result.
///
/// # Errors
/// [`BadForm::TooManyNested`]: rules look into an object that nobody would send. [`BadForm::BoundaryInside`]: the form's
/// boundary stands in what rules write. The body is as it was then.
pub fn rewrite_form(
    body: &mut BytesMut,
    form: &FormPeek,
    rules: &Rules,
    request: &Request<'_>,
    model: Option<&str>,
) -> Result<Rewritten, BadForm> {
    changed(body, form, rules, request, model, Trace::new(None))
}

/// The same, telling every change.
///
/// # Errors
/// As [`rewrite_form`].
pub fn explain_form(
    body: &mut BytesMut,
    form: &FormPeek,
    rules: &Rules,
    request: &Request<'_>,
    model: Option<&str>,
    steps: &mut Vec<Step>,
) -> Result<Rewritten, BadForm> {
    changed(body, form, rules, request, model, Trace::new(Some(steps)))
}

fn changed(
    body: &mut BytesMut,
    form: &FormPeek,
    rules: &Rules,
    request: &Request<'_>,
    model: Option<&str>,
    mut trace: Trace<'_>,
) -> Result<Rewritten, BadForm> {
    let rename = model.filter(|model| form.model() != Some(model));
    if rules.is_empty() && rename.is_none() {
        return Ok(Rewritten::default());
    }
    let mut headers = Vec::new();
    let edits = {
        let mut fields = Fields::of(body, form);
        for block in rules.blocks() {
            fields.block(block, request, &mut trace, &mut headers)?;
        }
        if let Some(name) = rename {
            trace.block("the engines");
            trace.part("name");
            fields.rename(name, &mut trace);
        }
        fields.edits(form)?
    };
    if !edits.is_empty() {
        apply(body, &edits);
    }
    Ok(Rewritten { changed: !edits.is_empty(), headers })
}

/// The fields of a form with the changes to them.
struct Fields<'b, 'r> {
    body: &'b [u8],
    all: Vec<Field<'b, 'r>>,
}

struct Field<'b, 'r> {
    name: Cow<'r, str>,
    /// Its place among the parts; `None`: it is new.
    part: Option<usize>,
    sent: &'b [u8],
    /// Replaced by this.
    new: Option<Cow<'r, [u8]>>,
    file: bool,
    /// It was added where the client was silent.
    filled: bool,
    gone: bool,
}

impl<'r> Field<'_, 'r> {
    fn text(&self) -> &[u8] {
        self.new.as_deref().unwrap_or(self.sent)
    }

    /// Does `act` to the object that the field holds; `false` when it holds none.
    fn inside(
        &mut self,
        trace: &mut Trace<'_>,
        act: impl FnOnce(&mut Object<'_, 'r>, &mut Trace<'_>) -> Result<(), Flood>,
    ) -> Result<bool, Flood> {
        let Some(span) = object_in(self.text()) else { return Ok(false) };
        let text = self.text();
        let mut object = Object::own(span.of(text))?;
        trace.enter(&self.name);
        act(&mut object, trace)?;
        trace.leave();
        let range = span.range();
        let (before, after) = (text.get(..range.start), text.get(range.end..));
        let new = [before.unwrap_or_default(), &object.render(), after.unwrap_or_default()].concat();
        if new != self.text() {
            self.new = Some(Cow::Owned(new));
        }
        Ok(true)
    }
}

impl<'b, 'r> Fields<'b, 'r> {
    fn of(body: &'b [u8], form: &FormPeek) -> Self {
        let field = |(index, part): (usize, &super::multipart::Part)| Field {
            name: Cow::Owned(part.name.to_string()),
            part: Some(index),
            sent: part.value.of(body),
            new: None,
            file: part.file,
            filled: false,
            gone: false,
        };
        Self { body, all: form.parts.iter().enumerate().map(field).collect() }
    }

    /// The text fields called `name`.
    fn called<'f>(&'f mut self, name: &'f str) -> impl DoubleEndedIterator<Item = &'f mut Field<'b, 'r>> {
        self.all.iter_mut().filter(move |field| !field.gone && !field.file && field.name == name)
    }

    fn is_there(&self, name: &str) -> bool {
        self.all.iter().any(|field| !field.gone && field.name == name)
    }

    fn block(
        &mut self,
        block: &'r Compiled,
        request: &Request<'_>,
        trace: &mut Trace<'_>,
        headers: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), Flood> {
        let mut follow = Vec::new();
        for (condition, then) in &block.when {
            let member = |way: &[String], test: &_| match way {
                [name] => Ok(passes(self.called(name).next_back().map(|field| field.text()), test, field_says)),
                [name, rest @ ..] => {
                    let Some(field) = self.called(name).next_back() else { return Ok(passes(None, test, says)) };
                    let Some(span) = object_in(field.text()) else { return Ok(passes(None, test, says)) };
                    change::passes_inside(&mut Object::own(span.of(field.text()))?, rest, test)
                }
                [] => Ok(false),
            };
            if holds(condition, request, member)? {
                follow.push(then);
            }
        }
        let outer = trace.block(&block.whose);
        trace.part("remove");
        for way in &block.remove {
            self.remove(way, trace)?;
        }
        trace.part("map");
        for (way, values) in &block.map {
            self.map(way, values, trace)?;
        }
        for (part, nodes) in change::parts(block) {
            trace.part(part.name());
            for node in nodes {
                self.settle(node, part, request, trace)?;
            }
        }
        headers.extend(block.headers.iter().cloned());
        for then in follow {
            self.block(then, request, trace, headers)?;
        }
        trace.block(&outer);
        Ok(())
    }

    fn remove(&mut self, way: &[String], trace: &mut Trace<'_>) -> Result<(), Flood> {
        let Some((name, rest)) = way.split_first() else { return Ok(()) };
        for field in self.called(name) {
            if rest.is_empty() {
                field.gone = true;
                trace.note(name, Some(shown(field.text())), None);
            } else {
                field.inside(trace, |object, trace| change::remove(object, rest, trace))?;
            }
        }
        Ok(())
    }

    fn map(&mut self, way: &[String], values: &'r [(Box<str>, Fill)], trace: &mut Trace<'_>) -> Result<(), Flood> {
        let Some((name, rest)) = way.split_first() else { return Ok(()) };
        for field in self.called(name) {
            if !rest.is_empty() {
                field.inside(trace, |object, trace| change::map(object, rest, values, trace))?;
            } else if let Some((_, fill)) = values.iter().find(|(from, _)| from.as_bytes() == field.text()) {
                replace(field, fill, trace);
            }
        }
        Ok(())
    }

    /// Does to the fields that `node` names what its `part` of a block does.
    fn settle(
        &mut self,
        node: &'r Node,
        part: Part,
        request: &Request<'_>,
        trace: &mut Trace<'_>,
    ) -> Result<(), Flood> {
        if part != Part::Limits && !self.is_there(&node.key) {
            self.push(node, part == Part::Defaults, request, trace);
            return Ok(());
        }
        let mut last = true;
        for field in self.called(&node.key).rev() {
            let last = std::mem::take(&mut last);
            if let Some(members) = &node.members
                && field.inside(trace, |object, trace| change::settle(object, members, part, None, trace))?
            {
                continue;
            }
            match part {
                Part::Defaults if field.filled || node.shaped => {
                    replace(field, &node.fill, trace);
                    field.filled = true;
                }
                Part::Limits if exceeds(field, node) => replace(field, &node.fill, trace),
                Part::Overrides if last || node.members.is_some() => {
                    replace(field, &node.fill, trace);
                    field.filled = false;
                }
                Part::Overrides => {
                    field.gone = true;
                    trace.note(&node.key, Some(shown(field.text())), None);
                }
                Part::Defaults | Part::Limits => {}
            }
        }
        Ok(())
    }

    /// Adds a field: in the place of one of that name that was taken out, or at the end.
    fn push(&mut self, node: &'r Node, filled: bool, request: &Request<'_>, trace: &mut Trace<'_>) {
        let Some(text) = &node.fill.text else { return };
        let old = self.all.iter_mut().rev().find(|field| field.gone && field.part.is_some() && field.name == *node.key);
        if let Some(field) = old {
            (field.gone, field.filled, field.new) = (false, filled, Some(Cow::Borrowed(&**text)));
        } else if node.homes.include(request.endpoint, false) {
            self.all.push(new(Cow::Borrowed(&node.key), Cow::Borrowed(text), filled));
        } else {
            return;
        }
        trace.note(&node.key, None, Some(text));
    }

    fn rename(&mut self, name: &str, trace: &mut Trace<'_>) {
        let text = Cow::Owned(name.as_bytes().to_vec());
        let old = self.called("model").next_back();
        trace.note("model", old.as_ref().map(|field| shown(field.text())), Some(name.as_bytes()));
        match old {
            Some(field) => field.new = Some(text),
            None => self.all.push(new(Cow::Borrowed("model"), text, false)),
        }
    }

    /// What has to change in the body.
    fn edits(self, form: &FormPeek) -> Result<Edits<'r>, BadForm> {
        let mut edits = Edits::new();
        let mut parts = Vec::new();
        for field in self.all {
            let said = field.new.as_deref().filter(|_| !field.gone);
            if said.is_some_and(|text| text != field.sent && delimits(text, &form.dash)) {
                return Err(BadForm::BoundaryInside);
            }
            match (field.part.and_then(|index| form.parts.get(index)), field.new) {
                (Some(part), _) if field.gone => edits.push(Edit { old: part.whole, new: Cow::Borrowed(b"") }),
                (Some(part), Some(text)) if *text != *part.value.of(self.body) => {
                    edits.push(Edit { old: part.value, new: text });
                }
                (None, Some(text)) if !field.gone => append(&mut parts, form, &field.name, &text),
                _ => {}
            }
        }
        if !parts.is_empty() {
            edits.push(Edit { old: Span { start: form.close, end: form.close }, new: Cow::Owned(parts) });
        }
        Ok(edits)
    }
}

/// Whether a line of `text` begins with the delimiter: the field would end there, and what follows be a field of its own.
fn delimits(text: &[u8], dash: &str) -> bool {
    let begins = |at: usize| text.get(..at).and_then(<[u8]>::last).is_none_or(|byte| matches!(byte, b'\r' | b'\n'));
    memmem::find_iter(text, dash).any(begins)
}

fn new<'b, 'r>(name: Cow<'r, str>, text: Cow<'r, [u8]>, filled: bool) -> Field<'b, 'r> {
    Field { name, part: None, sent: b"", new: Some(text), file: false, filled, gone: false }
}

/// The content becomes that of `fill`; without text to say, the whole field goes.
fn replace<'r>(field: &mut Field<'_, 'r>, fill: &'r Fill, trace: &mut Trace<'_>) {
    trace.note(&field.name, Some(shown(field.text())), fill.text.as_deref());
    match &fill.text {
        Some(text) => field.new = Some(Cow::Borrowed(text)),
        None => field.gone = true,
    }
}

/// Whether the field holds a number above the bound that `node` is.
fn exceeds(field: &Field<'_, '_>, node: &Node) -> bool {
    let text = std::str::from_utf8(field.text());
    node.bound.as_ref().zip(text.ok()).is_some_and(|(bound, text)| bound.exceeded_by_text(text))
}

/// A part before the closing delimiter.
fn append(parts: &mut Vec<u8>, form: &FormPeek, name: &str, text: &[u8]) {
    // Readers disagree on how such names are written, and no engine has a field of such a name.
    if name.contains(['"', '\\', '\r', '\n']) {
        return;
    }
    let head = format!("{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n", form.dash);
    parts.extend_from_slice(head.as_bytes());
    parts.extend_from_slice(text);
    parts.extend_from_slice(b"\r\n");
}

/// The JSON object that a field's content is, if it is one.
fn object_in(content: &[u8]) -> Option<Span> {
    let text = content.trim_ascii();
    if !text.starts_with(b"{") || simdutf8::basic::from_utf8(text).is_err() {
        return None;
    }
    let mut scanner = Scanner::new(text, 0);
    scanner.value(0).and_then(|()| scanner.end()).ok()?;
    let start = content.len() - content.trim_ascii_start().len();
    Some(Span::new(start, start + text.len()))
}

#[cfg(test)]
mod tests;
