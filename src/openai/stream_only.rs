//! Fields that only a stream has: settings add them to no other request. vLLM 0.32 refuses one that is answered at once and
//! has them (400 "Stream options can only be defined when `stream=True`").

use serde_json::{Value, json};

use super::apply::{Body, FieldEdit};
use super::changes::ChangeLog;
use super::field_rule::FieldRule;
use super::object::TooManyMembers;
use crate::settings::Test;

/// Of chats and completions, and of audio.
const NAMES: [&str; 4] = ["stream_options", "stream_interval", "stream_include_usage", "stream_continuous_usage_stats"];

/// Whether `rules` are for one of these fields.
pub(super) fn is_any_of(rules: &[FieldRule]) -> bool {
    rules.iter().any(|rule| NAMES.contains(&&*rule.key))
}

/// Those of these fields that the client does not send: what is there afterwards came from settings.
pub(super) fn unsaid<'r>(body: &mut impl Body<'r>) -> Result<Vec<&'static str>, TooManyMembers> {
    let mut unsaid = Vec::new();
    for name in NAMES {
        if !is_said(body, name)? {
            unsaid.push(name);
        }
    }
    Ok(unsaid)
}

/// Takes the fields `unsaid` out of a request that asks for no stream, as if no settings had added them.
pub(super) fn take_out<'r>(
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
