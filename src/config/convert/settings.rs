//! From request settings as written to settings as they are: paths taken apart, names and values of headers parsed.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::config::diagnostic::Draft;
use crate::config::path::Path;
use crate::config::raw::{RawCondition, RawHeaderTest, RawSettings, RawTest};
use crate::config::types::{ANONYMOUS, Condition, FieldPath, Prompt, Settings, Test, When};

/// The settings written at `path`, of a model or an alias, which `origin` names.
///
/// # Errors
/// What no rule has found although it should have: the rules run first.
pub(super) fn settings(path: &Path, origin: &Arc<str>, raw: &RawSettings) -> Result<Settings, Draft> {
    let when = raw.when.iter().enumerate().map(|(at, when)| {
        let path = path.key("when").index(at);
        let condition = condition(&path.key("if"), &when.condition)?;
        Ok(When { condition, settings: settings(&path, origin, &when.settings)? })
    });
    Ok(Settings {
        origin: origin.clone(),
        remove: raw.remove.iter().map(|text| field_path(text)).collect(),
        map: raw.map.iter().map(|(text, values)| (field_path(text), values.clone())).collect(),
        defaults: nested(&raw.defaults),
        limits: nested(&raw.limits),
        overrides: nested(&raw.overrides),
        prompt: raw.prompt.as_ref().and_then(|prompt| {
            let text = prompt.text.clone()?;
            Some(Prompt { text, place: prompt.place })
        }),
        headers: raw.headers.iter().map(|(name, value)| header(path, name, &value.0)).collect::<Result<_, _>>()?,
        when: when.collect::<Result<_, _>>()?,
    })
}

/// `a.b.c` in its parts.
pub(super) fn field_path(text: &str) -> FieldPath {
    text.split('.').map(str::to_owned).collect()
}

/// Members whose names hold dots become members of objects.
fn nested(members: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in members {
        let (first, inner) = name.split_once('.').unwrap_or((name, ""));
        let keys = inner.rsplit('.').filter(|key| !key.is_empty());
        let value = keys.fold(value.clone(), |value, key| Value::Object(Map::from_iter([(key.to_owned(), value)])));
        merge(&mut out, first, &value);
    }
    out
}

fn merge(members: &mut Map<String, Value>, key: &str, value: &Value) {
    match (members.get_mut(key), value) {
        (Some(Value::Object(own)), Value::Object(more)) => more.iter().for_each(|(key, value)| merge(own, key, value)),
        _ => drop(members.insert(key.to_owned(), value.clone())),
    }
}

fn header(path: &Path, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Draft> {
    let draft = || {
        let path = path.key("headers").key(name);
        Draft::new(path, "This is not a header.", "Write `name: value`, visible ASCII only.").hidden()
    };
    let mut value = HeaderValue::from_str(value).map_err(|_| draft())?;
    value.set_sensitive(true);
    Ok((HeaderName::try_from(name).map_err(|_| draft())?, value))
}

fn condition(path: &Path, raw: &RawCondition) -> Result<Condition, Draft> {
    let header = raw.header.iter().map(|(name, raw)| {
        let draft = || {
            let path = path.key("header").key(name);
            Draft::new(path, "This is not the name of a header.", "Write a name such as x-tier.")
        };
        Ok((HeaderName::try_from(name).map_err(|_| draft())?, header_test(raw)))
    });
    Ok(Condition {
        body: raw.body.iter().map(|(text, raw)| (field_path(text), test(raw))).collect(),
        header: header.collect::<Result<_, Draft>>()?,
        endpoint: raw.endpoint.clone().unwrap_or_default(),
        caller: raw.caller.iter().flatten().map(|name| (name != ANONYMOUS).then(|| name.as_str().into())).collect(),
    })
}

fn test(raw: &RawTest) -> Test {
    match raw {
        RawTest::Text(text) => Test::Any(vec![text.as_str().into()]),
        RawTest::Flag(flag) => Test::Any(vec![(*flag).into()]),
        RawTest::Number(number) => Test::Any(vec![number.clone().into()]),
        RawTest::Test(choice) => match (choice.present, &choice.any) {
            (Some(present), _) => Test::Present(present),
            (None, any) => Test::Any(any.clone().unwrap_or_default()),
        },
    }
}

fn header_test(raw: &RawHeaderTest) -> Test {
    match raw {
        RawHeaderTest::Text(text) => Test::Any(vec![text.0.as_str().into()]),
        RawHeaderTest::Test(choice) => match (choice.present, &choice.any) {
            (Some(present), _) => Test::Present(present),
            (None, any) => Test::Any(any.iter().flatten().map(|text| text.0.as_str().into()).collect()),
        },
    }
}
