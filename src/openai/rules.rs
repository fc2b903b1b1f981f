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
use std::collections::HashMap;
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
    compiled: Arc<Compiled>,
    /// Where each of them comes from: `alias quick`.
    origins: Box<[Arc<str>]>,
}

/// What they do, wherever they come from.
#[derive(Debug, Default)]
struct Compiled {
    all: Vec<CompiledSettings>,
    /// Whether some of them are for fields that only a stream has.
    stream_only: bool,
}

/// Compiled settings by what they say. Names that say the same share them: of a thousand aliases that differ in their models,
/// every request then reads what the last one has read.
#[derive(Debug, Default)]
pub struct RuleBook(HashMap<String, Vec<Known>>);

/// Settings from nowhere, and what they were compiled to.
#[derive(Debug)]
struct Known {
    said: Vec<Settings>,
    compiled: Arc<Compiled>,
}

impl RuleBook {
    /// Compiles settings, or finds those that say the same. `model` is not theirs to change: what they say of it is left out.
    pub fn rules(&mut self, settings: &[Settings]) -> Rules {
        let nameless: Vec<Settings> = settings.iter().map(nameless).collect();
        // Not every difference is to be seen in it: values of headers are secret.
        let alike = self.0.entry(format!("{nameless:?}")).or_default();
        let known = alike.iter().find(|known| known.said == nameless).map(|known| known.compiled.clone());
        let compiled = known.unwrap_or_else(|| {
            let all: Vec<CompiledSettings> = settings.iter().filter_map(compile).collect();
            let stream_only = all.iter().any(CompiledSettings::has_stream_only);
            let compiled = Arc::new(Compiled { all, stream_only });
            alike.push(Known { said: nameless, compiled: compiled.clone() });
            compiled
        });
        let origins = settings.iter().filter(|settings| compile(settings).is_some()).map(|it| it.origin.clone());
        Rules { compiled, origins: origins.collect() }
    }
}

/// The same, from nowhere.
fn nameless(settings: &Settings) -> Settings {
    let mut nameless = Settings { origin: Arc::default(), ..settings.clone() };
    for when in &mut nameless.when {
        when.settings = self::nameless(&when.settings);
    }
    nameless
}

impl Rules {
    /// Compiles settings; see [`RuleBook::rules`].
    #[must_use]
    pub fn new(settings: &[Settings]) -> Self {
        RuleBook::default().rules(settings)
    }

    /// Whether nothing is ever changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.compiled.all.is_empty()
    }

    /// Each with the place that it comes from.
    pub(super) fn all(&self) -> impl Iterator<Item = (&CompiledSettings, &Arc<str>)> {
        self.compiled.all.iter().zip(&self.origins)
    }

    pub(super) fn has_stream_only(&self) -> bool {
        self.compiled.stream_only
    }
}

/// [`Settings`], compiled.
#[derive(Clone, Debug)]
pub(super) struct CompiledSettings {
    pub(super) remove: Vec<FieldPath>,
    pub(super) map: Vec<(FieldPath, Box<Replacements>)>,
    pub(super) defaults: Vec<FieldRule>,
    pub(super) limits: Vec<FieldRule>,
    pub(super) overrides: Vec<FieldRule>,
    pub(super) prompt: Option<Prompt>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Each with its number, from 1.
    pub(super) when: Vec<(usize, Condition, Self)>,
}

/// `None`: they change nothing.
fn compile(settings: &Settings) -> Option<CompiledSettings> {
    if settings.is_empty() {
        return None;
    }
    let is_theirs = |path: &FieldPath| path.first().is_some_and(|key| key != "model");
    let map = settings.map.iter().filter(|(path, _)| is_theirs(path)).map(|(path, values)| {
        (path.clone(), values.iter().map(|(from, to)| (from.as_str().into(), Replacement::new(to))).collect())
    });
    let when = settings
        .when
        .iter()
        .enumerate()
        .filter_map(|(at, when)| Some((at + 1, when.condition.clone(), compile(&when.settings)?)));
    let mut defaults = field_rules(&settings.defaults, true);
    output_length::complete_defaults(&mut defaults, &settings.overrides);
    let mut limits = field_rules(&settings.limits, true);
    output_length::complete_limits(&mut limits);
    mark_objects(&mut defaults, &settings.overrides);
    let compiled = CompiledSettings {
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
        added.any(|rule| STREAM_ONLY.contains(&&*rule.key)) || self.when.iter().any(|(.., then)| then.has_stream_only())
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

    #[test]
    fn what_says_the_same_is_shared_and_nothing_else() {
        let said = |origin: &str, header: &'static str, value: f64| {
            let mut header = HeaderValue::from_static(header);
            header.set_sensitive(true);
            Settings {
                origin: origin.into(),
                headers: vec![(HeaderName::from_static("x-key"), header)],
                ..set(&[], json!({ "temperature": value }), json!({}), json!({}))
            }
        };
        let mut book = RuleBook::default();
        let [first, same, secret, other] =
            [said("a", "s", 0.5), said("b", "s", 0.5), said("a", "t", 0.5), said("a", "s", 0.6)]
                .map(|settings| book.rules(&[settings]));
        assert!(Arc::ptr_eq(&first.compiled, &same.compiled));
        assert!(!Arc::ptr_eq(&first.compiled, &secret.compiled) && !Arc::ptr_eq(&first.compiled, &other.compiled));
        let origins = |rules: &Rules| rules.all().map(|(_, origin)| origin.to_string()).collect::<Vec<_>>();
        assert_eq!((origins(&first), origins(&same)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }
}
