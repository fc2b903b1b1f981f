//! What is changed in requests: settings in the order in which they are applied, compiled.
//!
//! The order of one's parts: remove, map, defaults, limits, overrides, prompt; then its `when` settings whose condition is
//! met. Objects merge deeply; arrays and scalars replace. A field that the defaults of one have added is replaced by the
//! defaults of a later one: the client is still silent about it. Fields are added only to endpoints that have them
//! ([`super::fields`]), and those that only a stream has only to streams.
//!
//! Where overrides make an object of a field, a client that sent something else there has said nothing about what is in
//! it: defaults for it hold, too. So settings that are applied again change nothing more (`map`, `when` and a `prompt`
//! beside the client's own aside).

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::Endpoint;
use super::field_rule::{FieldRule, Replacement, Replacements, field_rules};
use super::fields::STREAM_ONLY;
use super::output_length;
use super::text::decode;
use crate::settings::{Condition, FieldPath, Prompt, Settings};

/// What rules may look at beside the body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The route that the client asked, for conditions.
    pub asked: Endpoint,
    /// The route that the body is for: another one when it was translated.
    pub endpoint: Endpoint,
    /// The client's headers.
    pub headers: &'a HeaderMap,
    /// Who sent it, by its key.
    pub caller: Option<&'a str>,
    /// Whether the engine is to be asked for the token counts of a stream.
    pub ask_usage: bool,
}

/// Compiled settings in the order in which they are applied.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    all: Vec<CompiledSettings>,
    /// Whether some of them are for fields that only a stream has.
    stream_only: bool,
}

impl Rules {
    /// Compiles settings. `model` is not theirs to change: what they say of it is left out.
    #[must_use]
    pub fn new(settings: &[Settings]) -> Self {
        let all: Vec<_> = settings.iter().filter_map(|settings| compile(settings, &settings.origin)).collect();
        let stream_only = all.iter().any(CompiledSettings::has_stream_only);
        Self { all, stream_only }
    }

    /// Whether nothing is ever changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn all(&self) -> &[CompiledSettings] {
        &self.all
    }

    pub(super) fn has_stream_only(&self) -> bool {
        self.stream_only
    }
}

/// [`Settings`], compiled.
#[derive(Clone, Debug)]
pub(super) struct CompiledSettings {
    /// `alias quick, when #2`.
    pub(super) origin: Arc<str>,
    pub(super) remove: Vec<FieldPath>,
    pub(super) map: Vec<(FieldPath, Box<Replacements>)>,
    pub(super) defaults: Vec<FieldRule>,
    pub(super) limits: Vec<FieldRule>,
    pub(super) overrides: Vec<FieldRule>,
    pub(super) prompt: Option<Prompt>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) when: Vec<(Condition, Self)>,
}

/// `None`: they change nothing.
fn compile(settings: &Settings, origin: &Arc<str>) -> Option<CompiledSettings> {
    if settings.is_empty() {
        return None;
    }
    let is_theirs = |path: &FieldPath| path.first().is_some_and(|key| key != "model");
    let map = settings.map.iter().filter(|(path, _)| is_theirs(path)).map(|(path, values)| {
        (path.clone(), values.iter().map(|(from, to)| (from.as_str().into(), Replacement::new(to))).collect())
    });
    let when = settings.when.iter().enumerate().filter_map(|(at, when)| {
        let origin = format!("{origin}, when #{}", at + 1).into();
        Some((when.condition.clone(), compile(&when.settings, &origin)?))
    });
    let mut defaults = field_rules(&settings.defaults, true);
    output_length::complete_defaults(&mut defaults, &settings.overrides);
    let mut limits = field_rules(&settings.limits, true);
    output_length::complete_limits(&mut limits);
    mark_objects(&mut defaults, &settings.overrides);
    let compiled = CompiledSettings {
        origin: origin.clone(),
        remove: settings.remove.iter().filter(|path| is_theirs(path)).cloned().collect(),
        map: map.collect(),
        defaults,
        limits,
        overrides: field_rules(&settings.overrides, true),
        prompt: settings.prompt.clone(),
        headers: settings.headers.clone(),
        when: when.collect(),
    };
    (!compiled.is_empty()).then_some(compiled)
}

impl CompiledSettings {
    fn is_empty(&self) -> bool {
        let rules = [&self.defaults, &self.limits, &self.overrides];
        self.remove.is_empty()
            && self.map.is_empty()
            && rules.iter().all(|rules| rules.is_empty())
            && self.prompt.is_none()
            && self.headers.is_empty()
            && self.when.is_empty()
    }

    fn has_stream_only(&self) -> bool {
        let mut added = self.defaults.iter().chain(&self.overrides);
        added.any(|rule| STREAM_ONLY.contains(&&*rule.key)) || self.when.iter().any(|(_, then)| then.has_stream_only())
    }
}

/// Notes which of the `defaults` stand in objects that `overrides` make.
fn mark_objects(defaults: &mut [FieldRule], overrides: &Map<String, Value>) {
    for rule in defaults {
        if let (Some(members), Some(Value::Object(overrides))) = (&mut rule.members, overrides.get(&*rule.key)) {
            rule.becomes_object = true;
            mark_objects(members, overrides);
        }
    }
}

/// The texts by which the map of settings finds a JSON scalar.
pub(super) fn scalar(raw: &[u8]) -> Option<Cow<'_, str>> {
    match raw {
        [b'"', inside @ .., b'"'] => decode(inside),
        [b'{' | b'[', ..] => None,
        other => std::str::from_utf8(other).ok().map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openai::testing::set;

    #[test]
    fn nothing_to_do_is_empty_and_the_model_is_not_a_setting() {
        assert!(Rules::new(&[Settings::default()]).is_empty());
        let model = json!({ "model": "a" });
        assert!(Rules::new(&[set(&["model", "model.x"], model.clone(), model.clone(), model)]).is_empty());
        assert!(!Rules::new(&[set(&["a"], json!({}), json!({}), json!({}))]).is_empty());
    }
}
