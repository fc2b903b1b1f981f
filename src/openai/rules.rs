//! What is changed in requests: blocks of settings in the order in which they are applied, compiled.
//!
//! A block's order: remove, map, defaults, limits, overrides, prompt; then its `when` blocks that hold. Objects merge deeply;
//! arrays and scalars replace. A member that one block's defaults have added is replaced by a later block's defaults: the
//! client is still silent about it. Members are added only where they mean something ([`super::fields`]).
//!
//! Where overrides make an object of a member, a client that sent something else there has said nothing about what is in
//! it: defaults for it hold, too. So a block that is applied again changes nothing more (`map`, `when` and a `prompt`
//! beside the client's own aside).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Number, Value};

use super::Endpoint;
use super::fields::Homes;
use super::text::decode;
use crate::ids::Name;

/// The way to a member: keys from the top.
pub type Way = Vec<String>;

/// Changes to a request, applied in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Whose they are, for people: `alias quick`.
    pub whose: String,
    /// Members to strip.
    pub remove: Vec<Way>,
    /// Values to replace: strings by their text, other scalars by their JSON.
    pub map: Vec<(Way, Map<String, Value>)>,
    /// Members used where the client is silent.
    pub defaults: Map<String, Value>,
    /// Upper bounds of numbers.
    pub limits: Map<String, Value>,
    /// Members that always win.
    pub overrides: Map<String, Value>,
    /// A system text.
    pub prompt: Option<Prompt>,
    /// Headers for the engine.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Blocks that follow when their condition held before this one was applied.
    pub when: Vec<(Condition, Self)>,
}

/// A system text for endpoints that have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What it says.
    pub text: String,
    /// Where it goes.
    pub place: Place,
}

/// Where a system text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the client sent none.
    Missing,
    /// Before the client's own.
    Before,
    /// After the client's own.
    After,
}

/// What must be true of a request, all of it.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// Members of the body.
    pub body: Vec<(Way, Test)>,
    /// Headers of the request; values are texts.
    pub header: Vec<(HeaderName, Test)>,
    /// One of these; empty: any.
    pub endpoint: Vec<Endpoint>,
    /// One of these; empty: any. `None` is who has no key.
    pub caller: Vec<Option<Name>>,
}

/// A test of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It is there, or it is not.
    Present(bool),
    /// It is one of these.
    Any(Vec<Value>),
}

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
}

/// Compiled changes: blocks in the order in which they are applied.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    blocks: Vec<Compiled>,
}

/// What becomes of which value.
pub(super) type Swaps = Vec<(Box<str>, Fill)>;

/// One block, compiled.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) whose: Box<str>,
    pub(super) remove: Vec<Way>,
    pub(super) map: Vec<(Way, Swaps)>,
    pub(super) defaults: Vec<Node>,
    pub(super) limits: Vec<Node>,
    pub(super) overrides: Vec<Node>,
    pub(super) prompt: Option<Prompt>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) when: Vec<(Condition, Self)>,
}

/// A member of defaults, limits or overrides.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) key: Box<str>,
    /// Where it may be added.
    pub(super) homes: Homes,
    pub(super) fill: Fill,
    /// The members of an object.
    pub(super) members: Option<Vec<Node>>,
    /// The bound, of a limit.
    pub(super) bound: Option<Bound>,
    /// Of a default that is an object: overrides make an object of the member, whatever the client sent.
    pub(super) shaped: bool,
}

/// A value ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    pub(super) json: Box<[u8]>,
    /// As the content of a form field; `None` for `null`, which a form cannot say.
    pub(super) text: Option<Box<[u8]>>,
}

impl Fill {
    pub(super) fn new(value: &Value) -> Self {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.as_bytes().into()),
            other => Some(other.to_string().into_bytes().into()),
        };
        Self { json: value.to_string().into_bytes().into(), text }
    }
}

/// An upper bound.
#[derive(Clone, Debug)]
pub(super) struct Bound(Number);

impl Bound {
    /// Whether the JSON value `raw` is a number above the bound, or a string that says one: vLLM reads `"5"` as 5.
    pub(super) fn exceeded_by_json(&self, raw: &[u8]) -> bool {
        match raw {
            [b'"', inside @ .., b'"'] => decode(inside).is_some_and(|text| self.exceeded_by_text(&text)),
            [b'-' | b'0'..=b'9', ..] => std::str::from_utf8(raw).is_ok_and(|text| self.exceeded_by(text)),
            _ => false,
        }
    }

    /// The same for text that is not JSON, in the spellings Python takes for numbers.
    pub(super) fn exceeded_by_text(&self, text: &str) -> bool {
        let text = text.trim();
        if text.contains('_') { self.exceeded_by(&text.replace('_', "")) } else { self.exceeded_by(text) }
    }

    /// Whole numbers are compared exactly, others as 64-bit floats.
    fn exceeded_by(&self, text: &str) -> bool {
        match (text.parse::<i128>(), self.0.as_i128()) {
            (Ok(own), Some(bound)) => own > bound,
            _ => match (text.parse::<f64>(), self.0.as_f64()) {
                (Ok(own), Some(bound)) => own > bound,
                _ => false,
            },
        }
    }
}

impl Rules {
    /// Compiles blocks. `model` is not theirs to change: rules for it are left out.
    #[must_use]
    pub fn new(blocks: Vec<Block>) -> Self {
        Self { blocks: blocks.into_iter().filter_map(compile).collect() }
    }

    /// Whether nothing is ever changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) fn blocks(&self) -> &[Compiled] {
        &self.blocks
    }
}

fn compile(block: Block) -> Option<Compiled> {
    let allowed = |way: &Way| way.first().is_some_and(|key| key != "model");
    let top = |members: &Map<String, Value>| {
        let mut nodes = nodes(members);
        nodes.retain(|node| &*node.key != "model");
        nodes
    };
    let map =
        block.map.into_iter().filter(|(way, _)| allowed(way)).map(|(way, values)| {
            (way, values.iter().map(|(from, to)| (from.as_str().into(), Fill::new(to))).collect())
        });
    let mut defaults = top(&block.defaults);
    shape(&mut defaults, &block.overrides);
    let compiled = Compiled {
        remove: block.remove.into_iter().filter(allowed).collect(),
        map: map.collect(),
        defaults,
        limits: top(&block.limits),
        overrides: top(&block.overrides),
        prompt: block.prompt,
        headers: block.headers,
        when: block.when.into_iter().filter_map(|(when, block)| Some((when, compile(block)?))).collect(),
        whose: block.whose.into(),
    };
    (!compiled.is_empty()).then_some(compiled)
}

impl Compiled {
    fn is_empty(&self) -> bool {
        let nodes = [&self.defaults, &self.limits, &self.overrides];
        self.remove.is_empty()
            && self.map.is_empty()
            && nodes.iter().all(|nodes| nodes.is_empty())
            && self.prompt.is_none()
            && self.headers.is_empty()
            && self.when.is_empty()
    }
}

fn nodes(members: &Map<String, Value>) -> Vec<Node> {
    let node = |(key, value): (&String, &Value)| Node {
        key: key.as_str().into(),
        homes: Homes::of(key),
        fill: Fill::new(value),
        members: value.as_object().map(nodes),
        bound: value.as_number().cloned().map(Bound),
        shaped: false,
    };
    members.iter().map(node).collect()
}

/// Notes which of the `defaults` stand in objects that `overrides` make.
fn shape(defaults: &mut [Node], overrides: &Map<String, Value>) {
    for node in defaults {
        if let (Some(members), Some(Value::Object(overrides))) = (&mut node.members, overrides.get(&*node.key)) {
            node.shaped = true;
            shape(members, overrides);
        }
    }
}

/// One change, told to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose block made it: `alias quick, when #2`.
    pub whose: String,
    /// Which part of the block: `overrides`.
    pub kind: &'static str,
    /// The member: `chat_template_kwargs.enable_thinking`.
    pub member: String,
    /// Its JSON before; `None`: it was not there.
    pub old: Option<String>,
    /// Its JSON after; `None`: it is gone.
    pub new: Option<String>,
}

/// What is in `raw` as text, for a step.
pub(super) fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}

/// The texts by which the map of a block finds a JSON scalar.
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
    use crate::openai::testing::Settings;

    #[test]
    fn nothing_to_do_is_empty_and_the_model_is_not_a_setting() {
        assert!(Settings::default().rules().is_empty());
        let model = json!({ "model": "a" });
        assert!(Settings::new(&["model", "model.x"], model.clone(), model.clone(), model).rules().is_empty());
        assert!(!Settings::new(&["a"], json!({}), json!({}), json!({})).rules().is_empty());
    }

    #[test]
    fn bounds_compare_exactly_where_they_can() {
        let limit = |bound: Value| Bound(bound.as_number().cloned().expect("a number"));
        for (bound, raw, exceeded) in [
            (json!(5), "5", false),
            (json!(5), "6", true),
            (json!(5), "5.0", false),
            (json!(5), "5.1", true),
            (json!(5), "1e3", true),
            (json!(5), "1e999", true),
            (json!(5), "-1e999", false),
            (json!(5), "-6", false),
            (json!(1.5), "2", true),
            (json!(9_007_199_254_740_992_u64), "9007199254740993", true),
            (json!(u64::MAX), "18446744073709551615", false),
            (json!(u64::MAX), "18446744073709551616", true),
            (json!(5), "99999999999999999999999999999999999999999999999999", true),
            (json!(5), "\"6\"", true),
            (json!(5), "\" 1_000 \"", true),
            (json!(5), "\"\\u0036\"", true),
            (json!(5), "\"six\"", false),
            (json!(5), "null", false),
            (json!(5), "[6]", false),
            (json!(5), "true", false),
        ] {
            assert_eq!(limit(bound.clone()).exceeded_by_json(raw.as_bytes()), exceeded, "{raw} over {bound}");
        }
    }

    #[test]
    fn forms_get_text_and_no_null() {
        let text = |value: Value| Fill::new(&value).text.map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(text(json!("a\"b")).as_deref(), Some("a\"b"));
        assert_eq!(text(json!(0.5)).as_deref(), Some("0.5"));
        assert_eq!(text(json!({"a": [1]})).as_deref(), Some(r#"{"a":[1]}"#));
        assert_eq!(text(json!(null)), None);
    }
}
