//! Applies compiled settings to a request's body, one after the other, whatever its format is.

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::Endpoint;
use super::changes::ChangeLog;
use super::condition::is_met;
use super::field_rule::{FieldRule, Replacements};
use super::fields::STREAM_ONLY;
use super::object::TooManyMembers;
use super::rules::{CompiledSettings, Request, Rules};
use crate::settings::{Prompt, Test};

/// Headers for the engine, in place of the client's; of one name the last counts.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

/// A request's body that can be changed, field by field: a JSON object or a form.
pub(super) trait Body<'r> {
    /// Whether the field at the end of `path` passes the test.
    fn passes(&mut self, path: &[String], test: &Test) -> Result<bool, TooManyMembers>;

    /// Does `edit` to the field at the end of `path`, where there is one.
    fn edit(&mut self, path: &[String], edit: FieldEdit<'r>, log: &mut ChangeLog<'_>) -> Result<(), TooManyMembers>;

    /// Whether it has a field `messages`: some endpoints have more fields then.
    fn has_messages(&self) -> bool;

    /// Does what `part` of settings does to the fields that `rules` name.
    fn apply_fields(
        &mut self,
        rules: &'r [FieldRule],
        part: Part,
        target: Target,
        log: &mut ChangeLog<'_>,
    ) -> Result<(), TooManyMembers>;

    /// Puts in a system text, if `endpoint` has one.
    fn put_prompt(&mut self, prompt: &Prompt, endpoint: Endpoint, log: &mut ChangeLog<'_>);

    /// Names the model.
    fn rename(&mut self, model: &str, log: &mut ChangeLog<'_>);
}

/// What is done to one field.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldEdit<'r> {
    /// It is taken out.
    Remove,
    /// Its value is replaced if it is one of these.
    Map(&'r Replacements),
}

/// The parts of settings that hold fields with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// For clients that do not send the field.
    Defaults,
    /// Upper bounds of what the client says.
    Limits,
    /// Win, whatever the client says.
    Overrides,
}

/// What decides where a field may be added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) has_messages: bool,
}

/// Applies `rules` to `body`, and names it `model`.
pub(super) fn apply<'r>(
    body: &mut impl Body<'r>,
    rules: &'r Rules,
    request: &Request<'_>,
    model: Option<&str>,
    log: &mut ChangeLog<'_>,
) -> Result<Headers, TooManyMembers> {
    let mut headers = Vec::new();
    let unsaid = if rules.has_stream_only() { unsaid_of_streams(body)? } else { Vec::new() };
    for (settings, origin) in rules.all() {
        log.origin(|| origin.clone());
        apply_settings(body, settings, request, log, &mut headers)?;
    }
    // Only now it is known whether the request asks for a stream: settings may say that, too.
    if !unsaid.is_empty() {
        take_out_unless_stream(body, &unsaid, log)?;
    }
    if let Some(model) = model {
        log.origin(|| "the engines".into());
        log.part("name");
        body.rename(model, log);
    }
    Ok(headers)
}

/// Applies `settings`, and then those of its `when` whose condition was met before.
fn apply_settings<'r>(
    body: &mut impl Body<'r>,
    settings: &'r CompiledSettings,
    request: &Request<'_>,
    log: &mut ChangeLog<'_>,
    headers: &mut Headers,
) -> Result<(), TooManyMembers> {
    let mut follow = Vec::new();
    for (number, condition, then) in &settings.when {
        if is_met(condition, request, |path, test| body.passes(path, test))? {
            follow.push((number, then));
        }
    }
    log.part("remove");
    for path in &settings.remove {
        body.edit(path, FieldEdit::Remove, log)?;
    }
    log.part("map");
    for (path, values) in &settings.map {
        body.edit(path, FieldEdit::Map(values), log)?;
    }
    // Before any field is added.
    let target = Target { endpoint: request.endpoint, has_messages: body.has_messages() };
    log.part("defaults");
    body.apply_fields(&settings.defaults, Part::Defaults, target, log)?;
    log.part("limits");
    body.apply_fields(&settings.limits, Part::Limits, target, log)?;
    log.part("overrides");
    body.apply_fields(&settings.overrides, Part::Overrides, target, log)?;
    log.part("prompt");
    if let Some(prompt) = &settings.prompt {
        body.put_prompt(prompt, request.endpoint, log);
    }
    headers.extend(settings.headers.iter().cloned());
    for (number, then) in follow {
        let outer = log.within(|outer| format!("{outer}, when #{number}").into());
        apply_settings(body, then, request, log, headers)?;
        if let Some(outer) = outer {
            log.origin(|| outer);
        }
    }
    Ok(())
}

/// The fields that only a stream has and the client does not send: what is there afterwards came from settings.
fn unsaid_of_streams<'r>(body: &mut impl Body<'r>) -> Result<Vec<&'static str>, TooManyMembers> {
    let mut unsaid = Vec::new();
    for name in STREAM_ONLY {
        if !is_said(body, name)? {
            unsaid.push(name);
        }
    }
    Ok(unsaid)
}

/// Takes the fields `unsaid` out of a request that asks for no stream, as if no settings had added them: vLLM refuses such
/// requests (0.32: 400 "Stream options can only be defined when `stream=True`").
fn take_out_unless_stream<'r>(
    body: &mut impl Body<'r>,
    unsaid: &[&str],
    log: &mut ChangeLog<'_>,
) -> Result<(), TooManyMembers> {
    // As JSON and as the text of a form.
    let is_stream = Test::Any(vec![Value::Bool(true), json!(1)]);
    if body.passes(&["stream".to_owned()], &is_stream)? {
        return Ok(());
    }
    for name in unsaid {
        if is_said(body, name)? {
            body.edit(&[(*name).to_owned()], FieldEdit::Remove, &mut ChangeLog::new(None))?;
            log.forget(name);
        }
    }
    Ok(())
}

/// Whether the field is there; null is silence.
fn is_said<'r>(body: &mut impl Body<'r>, name: &str) -> Result<bool, TooManyMembers> {
    let path = [name.to_owned()];
    Ok(body.passes(&path, &Test::Present(true))? && !body.passes(&path, &Test::Any(vec![Value::Null]))?)
}
