//! Applies rules to the text fields of a multipart form, in place; files are never touched.
//!
//! Scalars become their text, objects and arrays their JSON; `null`, which a form cannot say, means no field. A field that
//! holds a JSON object is looked into like a member that is one. A name may stand several times (that is how forms say
//! lists): fixed values replace all of them by one field, everything else is done to each.

use std::borrow::Cow;

use bytes::BytesMut;
use memchr::memmem;

use super::Endpoint;
use super::apply::{Body, FieldEdit, Part, Target, apply};
use super::changes::{Change, ChangeLog};
use super::condition::{form_equals, json_equals, passes};
use super::field_rule::{FieldRule, Replacement};
use super::json::{Scanner, Span};
use super::members::apply_fields;
use super::multipart::{BadForm, FormPeek};
use super::object::{Object, TooManyMembers};
use super::patch::{Edit, Edits, patch};
use super::rules::{Request, Rules};
use super::splice::Rewritten;
use crate::settings::{Prompt, Test};

/// Applies `rules` to the form `body` and names it `model`, where given and other than what the client said. Every change is
/// added to `changes`, if anybody wants to know them.
///
/// `form` must come from these very bytes, and is stale afterwards if they changed.
/// In place where `body` has room for the result.
///
/// # Errors
/// [`BadForm::TooManyNested`]: an object that rules look into has too many members. [`BadForm::BoundaryInside`]: the form's
/// boundary stands in what rules write. The body is as it was then.
pub fn rewrite_form(
    body: &mut BytesMut,
    form: &FormPeek,
    rules: &Rules,
    request: &Request<'_>,
    model: Option<&str>,
    changes: Option<&mut Vec<Change>>,
) -> Result<Rewritten, BadForm> {
    let rename = model.filter(|model| form.model() != Some(model));
    if rules.is_empty() && rename.is_none() {
        return Ok(Rewritten::default());
    }
    let mut fields = Fields::of(body, form);
    let headers = apply(&mut fields, rules, request, rename, &mut ChangeLog::new(changes))?;
    let edits = fields.edits(form)?;
    if !edits.is_empty() {
        patch(body, &edits);
    }
    Ok(Rewritten { changed: !edits.is_empty(), hides_usage: false, headers })
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
    /// The client has not sent it: it is a default.
    defaulted: bool,
    removed: bool,
}

impl<'r> Field<'_, 'r> {
    fn text(&self) -> &[u8] {
        self.new.as_deref().unwrap_or(self.sent)
    }

    /// Does `act` to the object that the field holds; `false` when it holds none.
    fn edit_object(
        &mut self,
        log: &mut ChangeLog<'_>,
        act: impl FnOnce(&mut Object<'_, 'r>, &mut ChangeLog<'_>) -> Result<(), TooManyMembers>,
    ) -> Result<bool, TooManyMembers> {
        let text = self.text();
        let Some(span) = object_in(text) else { return Ok(false) };
        let mut object = Object::parse(span.of(text))?;
        log.enter(&self.name);
        act(&mut object, log)?;
        log.leave();
        let range = span.range();
        let (before, after) = (text.get(..range.start), text.get(range.end..));
        let new = [before.unwrap_or_default(), &object.render(), after.unwrap_or_default()].concat();
        if new != text {
            self.new = Some(Cow::Owned(new));
        }
        Ok(true)
    }

    /// The content becomes `value`; without text to say, the whole field goes.
    fn replace(&mut self, value: &'r Replacement, log: &mut ChangeLog<'_>) {
        log.note(&self.name, log.before(|| self.text()), value.text.as_deref());
        match &value.text {
            Some(text) => self.new = Some(Cow::Borrowed(text)),
            None => self.removed = true,
        }
    }

    fn remove(&mut self, log: &mut ChangeLog<'_>) {
        self.removed = true;
        log.note(&self.name, log.before(|| self.text()), None);
    }

    /// Whether it holds a number above the bound that `rule` is.
    fn exceeds(&self, rule: &FieldRule) -> bool {
        let text = std::str::from_utf8(self.text());
        rule.bound.as_ref().zip(text.ok()).is_some_and(|(bound, text)| bound.exceeded_by_text(text))
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
            defaulted: false,
            removed: false,
        };
        Self { body, all: form.parts.iter().enumerate().map(field).collect() }
    }

    /// The text fields called `name`.
    fn named<'f>(&'f mut self, name: &'f str) -> impl DoubleEndedIterator<Item = &'f mut Field<'b, 'r>> {
        self.all.iter_mut().filter(move |field| !field.removed && !field.file && field.name == name)
    }

    fn is_there(&self, name: &str) -> bool {
        self.all.iter().any(|field| !field.removed && field.name == name)
    }

    /// Does what `part` of settings does to the fields that `rule` names.
    fn apply_field(
        &mut self,
        rule: &'r FieldRule,
        part: Part,
        endpoint: Endpoint,
        log: &mut ChangeLog<'_>,
    ) -> Result<(), TooManyMembers> {
        if part == Part::Defaults
            && rule.unless.iter().any(|name| self.named(name).any(|field| rule.is_derived || !field.defaulted))
        {
            return Ok(());
        }
        if part != Part::Limits && !self.is_there(&rule.key) {
            self.push(rule, part == Part::Defaults, endpoint, log);
            return Ok(());
        }
        let mut last = true;
        for field in self.named(&rule.key).rev() {
            let last = std::mem::take(&mut last);
            if let Some(members) = &rule.members
                && field.edit_object(log, |object, log| apply_fields(object, members, part, None, log))?
            {
                continue;
            }
            match part {
                Part::Defaults if field.defaulted || rule.becomes_object => {
                    field.replace(&rule.value, log);
                    field.defaulted = true;
                }
                Part::Limits if field.exceeds(rule) => field.replace(&rule.value, log),
                Part::Overrides if last || rule.members.is_some() => {
                    field.replace(&rule.value, log);
                    field.defaulted = false;
                }
                Part::Overrides => field.remove(log),
                Part::Defaults | Part::Limits => {}
            }
        }
        Ok(())
    }

    /// Adds a field: in the place of one of that name that was taken out, or at the end.
    fn push(&mut self, rule: &'r FieldRule, defaulted: bool, endpoint: Endpoint, log: &mut ChangeLog<'_>) {
        let Some(text) = &rule.value.text else { return };
        let old =
            self.all.iter_mut().rev().find(|field| field.removed && field.part.is_some() && field.name == *rule.key);
        if let Some(field) = old {
            (field.removed, field.defaulted, field.new) = (false, defaulted, Some(Cow::Borrowed(&**text)));
        } else if rule.endpoints.contains(endpoint, false) {
            self.all.push(new(Cow::Borrowed(&*rule.key), Cow::Borrowed(text), defaulted));
        } else {
            return;
        }
        log.note(&rule.key, None, Some(text));
    }

    /// What has to change in the body.
    fn edits(self, form: &FormPeek) -> Result<Edits<'r>, BadForm> {
        let mut edits = Edits::new();
        let mut parts = Vec::new();
        for field in self.all {
            let written = field.new.as_deref().filter(|_| !field.removed);
            if written.is_some_and(|text| text != field.sent && contains_delimiter(text, &form.delimiter)) {
                return Err(BadForm::BoundaryInside);
            }
            match (field.part.and_then(|index| form.parts.get(index)), field.new) {
                (Some(part), _) if field.removed => edits.push(Edit { old: part.whole, new: Cow::Borrowed(b"") }),
                (Some(part), Some(text)) if *text != *part.value.of(self.body) => {
                    edits.push(Edit { old: part.value, new: text });
                }
                (None, Some(text)) if !field.removed => append(&mut parts, form, &field.name, &text),
                _ => {}
            }
        }
        if !parts.is_empty() {
            edits.push(Edit { old: Span { start: form.close, end: form.close }, new: Cow::Owned(parts) });
        }
        Ok(edits)
    }
}

impl<'r> Body<'r> for Fields<'_, 'r> {
    fn passes(&mut self, path: &[String], test: &Test) -> Result<bool, TooManyMembers> {
        let Some((name, rest)) = path.split_first() else { return Ok(false) };
        let text = self.named(name).next_back().map(|field| field.text());
        if rest.is_empty() {
            return Ok(passes(text, test, form_equals));
        }
        match text.and_then(|text| Some(object_in(text)?.of(text))) {
            Some(object) => Object::parse(object)?.passes(rest, test),
            None => Ok(passes(None, test, json_equals)),
        }
    }

    fn edit(&mut self, path: &[String], edit: FieldEdit<'r>, log: &mut ChangeLog<'_>) -> Result<(), TooManyMembers> {
        let Some((name, rest)) = path.split_first() else { return Ok(()) };
        for field in self.named(name) {
            if !rest.is_empty() {
                field.edit_object(log, |object, log| object.edit(rest, edit, log))?;
                continue;
            }
            match edit {
                FieldEdit::Remove => field.remove(log),
                FieldEdit::Map(values) => {
                    if let Some((_, value)) = values.iter().find(|(from, _)| from.as_bytes() == field.text()) {
                        field.replace(value, log);
                    }
                }
            }
        }
        Ok(())
    }

    /// No form has.
    fn has_messages(&self) -> bool {
        false
    }

    fn apply_fields(
        &mut self,
        rules: &'r [FieldRule],
        part: Part,
        target: Target,
        log: &mut ChangeLog<'_>,
    ) -> Result<(), TooManyMembers> {
        rules.iter().try_for_each(|rule| self.apply_field(rule, part, target.endpoint, log))
    }

    /// No endpoint that takes forms has one.
    fn put_prompt(&mut self, _: &Prompt, _: Endpoint, _: &mut ChangeLog<'_>) {}

    fn rename(&mut self, model: &str, log: &mut ChangeLog<'_>) {
        let text = Cow::Owned(model.as_bytes().to_vec());
        let old = self.named("model").next_back();
        log.note("model", old.as_ref().and_then(|field| log.before(|| field.text())), Some(model.as_bytes()));
        match old {
            Some(field) => field.new = Some(text),
            None => self.all.push(new(Cow::Borrowed("model"), text, false)),
        }
    }
}

/// Whether a line of `text` begins with the delimiter: the field would end there, and what follows be a field of its own.
fn contains_delimiter(text: &[u8], delimiter: &str) -> bool {
    let begins = |at: usize| text.get(..at).and_then(<[u8]>::last).is_none_or(|byte| matches!(byte, b'\r' | b'\n'));
    memmem::find_iter(text, delimiter).any(begins)
}

fn new<'b, 'r>(name: Cow<'r, str>, text: Cow<'r, [u8]>, defaulted: bool) -> Field<'b, 'r> {
    Field { name, part: None, sent: b"", new: Some(text), file: false, defaulted, removed: false }
}

/// A part before the closing delimiter.
fn append(parts: &mut Vec<u8>, form: &FormPeek, name: &str, text: &[u8]) {
    // Readers disagree on how such names are written, and no engine has a field of such a name.
    if name.contains(|c: char| c.is_ascii_control() || matches!(c, '"' | '\\')) {
        return;
    }
    let head = format!("{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n", form.delimiter);
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
