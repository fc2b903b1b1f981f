//! What settings do to the members of an object, and of the objects in it.

use std::borrow::Cow;

use super::Endpoint;
use super::apply::{Body, FieldEdit, Part, Target};
use super::changes::ChangeLog;
use super::condition::{json_equals, passes};
use super::field_rule::{FieldRule, Replacement};
use super::object::{Object, TooManyMembers};
use super::prompt::{PromptEdit, prompt_edit};
use super::rules::scalar;
use super::text::quoted;
use crate::settings::{Prompt, Test};

impl<'r> Body<'r> for Object<'_, 'r> {
    fn passes(&mut self, path: &[String], test: &Test) -> Result<bool, TooManyMembers> {
        let Some((key, rest)) = path.split_first() else { return Ok(false) };
        let at = self.find(key);
        if !rest.is_empty() {
            return match at.map(|at| self.child(at)).transpose()?.flatten() {
                Some(child) => child.passes(rest, test),
                None => Ok(passes(None, test, json_equals)),
            };
        }
        Ok(match (at, test) {
            // Nothing is rendered only to learn that it is there.
            (Some(_), Test::Present(wanted)) => *wanted,
            (at, test) => passes(at.map(|at| self.json(at)).as_deref(), test, json_equals),
        })
    }

    fn edit(&mut self, path: &[String], edit: FieldEdit<'r>, log: &mut ChangeLog<'_>) -> Result<(), TooManyMembers> {
        let Some((key, rest)) = path.split_first() else { return Ok(()) };
        let Some(at) = self.only(key) else { return Ok(()) };
        if !rest.is_empty() {
            if let Some(child) = self.child(at)? {
                log.enter(key);
                child.edit(rest, edit, log)?;
                log.leave();
            }
            return Ok(());
        }
        match edit {
            FieldEdit::Remove => {
                let old = log.before(|| self.json(at));
                self.take_out(at);
                log.note(key, old, None);
            }
            FieldEdit::Map(values) => {
                let found = match self.first_byte(at) {
                    Some(b'{' | b'[') => None,
                    _ => scalar(&self.json(at)).and_then(|text| values.iter().find(|(from, _)| **from == *text)),
                };
                if let Some((_, value)) = found {
                    replace(self, key, at, value, self.is_default(at), log);
                }
            }
        }
        Ok(())
    }

    fn has_messages(&self) -> bool {
        self.find("messages").is_some()
    }

    fn apply_fields(
        &mut self,
        rules: &'r [FieldRule],
        part: Part,
        target: Target,
        log: &mut ChangeLog<'_>,
    ) -> Result<(), TooManyMembers> {
        apply_fields(self, rules, part, Some(target), log)
    }

    fn put_prompt(&mut self, prompt: &Prompt, endpoint: Endpoint, log: &mut ChangeLog<'_>) {
        let edit = prompt_edit(prompt, endpoint, |key| self.find(key).map(|at| self.json(at)));
        let Some((key, edit)) = edit else { return };
        let at = self.only(key);
        let old = at.and_then(|at| log.before(|| self.json(at)));
        match (at, edit) {
            (Some(at), PromptEdit::Replace(json)) => self.set(at, Cow::Owned(json), false),
            (Some(at), PromptEdit::Insert(pieces)) => self.insert(at, pieces),
            (None, PromptEdit::Replace(json)) => self.push(key, Cow::Owned(json), false),
            (None, PromptEdit::Insert(_)) => return,
        }
        if let Some(at) = self.find(key) {
            log.note(key, old, Some(&self.json(at)));
        }
    }

    fn rename(&mut self, model: &str, log: &mut ChangeLog<'_>) {
        let json = quoted(model);
        let at = self.find("model");
        log.note("model", at.and_then(|at| log.before(|| self.json(at))), Some(&json));
        match at {
            Some(at) => self.set(at, Cow::Owned(json), false),
            None => self.push("model", Cow::Owned(json), false),
        }
    }
}

/// The member `key` at `at` becomes `value`; `default`: where the client was silent.
fn replace<'r>(
    object: &mut Object<'_, 'r>,
    key: &str,
    at: usize,
    value: &'r Replacement,
    default: bool,
    log: &mut ChangeLog<'_>,
) {
    let old = log.before(|| object.json(at));
    log.note(key, old, Some(&value.json));
    object.set(at, Cow::Borrowed(&value.json), default);
}

/// Does what `part` of settings does to the members that `rules` name. `target`: of the body, at its top level.
pub(super) fn apply_fields<'r>(
    object: &mut Object<'_, 'r>,
    rules: &'r [FieldRule],
    part: Part,
    target: Option<Target>,
    log: &mut ChangeLog<'_>,
) -> Result<(), TooManyMembers> {
    for rule in rules {
        if part == Part::Defaults && rule.unless.iter().any(|name| is_said(object, name, rule.is_derived)) {
            continue;
        }
        let at = match part {
            // What the client said twice stays so: nothing of it is changed.
            Part::Defaults => object.find(&rule.key),
            Part::Limits | Part::Overrides => object.only(&rule.key),
        };
        let Some(at) = at else {
            if part != Part::Limits
                && target.is_none_or(|target| rule.endpoints.contains(target.endpoint, target.has_messages))
            {
                log.note(&rule.key, None, Some(&rule.value.json));
                object.push(&rule.key, Cow::Borrowed(&rule.value.json), part == Part::Defaults);
            }
            continue;
        };
        if let Some(members) = &rule.members
            && let Some(child) = object.child(at)?
        {
            log.enter(&rule.key);
            apply_fields(child, members, part, None, log)?;
            log.leave();
            continue;
        }
        let default = object.is_default(at);
        match part {
            Part::Defaults if default || rule.becomes_object => {
                replace(object, &rule.key, at, &rule.value, true, log);
            }
            Part::Limits if exceeds(object, at, rule) => replace(object, &rule.key, at, &rule.value, default, log),
            Part::Overrides => replace(object, &rule.key, at, &rule.value, false, log),
            Part::Defaults | Part::Limits => {}
        }
    }
    Ok(())
}

/// Whether the client, or settings before, said the member `key`; `also_default`: or a default did. To say null is silence.
fn is_said(object: &Object<'_, '_>, key: &str, also_default: bool) -> bool {
    object.find(key).is_some_and(|at| object.first_byte(at) != Some(b'n') && (also_default || !object.is_default(at)))
}

/// Whether the member at `at` is a number above the bound that `rule` is.
fn exceeds(object: &Object<'_, '_>, at: usize, rule: &FieldRule) -> bool {
    rule.bound.as_ref().is_some_and(|bound| {
        !matches!(object.first_byte(at), Some(b'{' | b'[')) && bound.exceeded_by_json(&object.json(at))
    })
}
