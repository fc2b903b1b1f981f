//! Applies blocks of settings to the members of an object, one after the other.

use std::borrow::Cow;

use super::Endpoint;
use super::condition::{holds, passes, says};
use super::prompt::{Put, put};
use super::rules::{Compiled, Fill, Node, Request, Step, Test, scalar, shown};
use super::tree::{Flood, Object};

/// Notes changes for a person, if one wants to know.
pub(super) struct Trace<'t> {
    steps: Option<&'t mut Vec<Step>>,
    whose: String,
    kind: &'static str,
    way: Vec<String>,
}

impl<'t> Trace<'t> {
    /// Notes into `steps`, or nothing.
    pub(super) fn new(steps: Option<&'t mut Vec<Step>>) -> Self {
        Self { steps, whose: String::new(), kind: "", way: Vec::new() }
    }

    /// What follows is done by this part of a block.
    pub(super) fn part(&mut self, kind: &'static str) {
        self.kind = kind;
    }

    /// What follows is done by `whose` block; returns whose it was before.
    pub(super) fn block(&mut self, whose: &str) -> String {
        let whose = if self.steps.is_some() { whose.to_owned() } else { String::new() };
        std::mem::replace(&mut self.whose, whose)
    }

    /// What follows happens inside of the member `key`.
    pub(super) fn enter(&mut self, key: &str) {
        if self.steps.is_some() {
            self.way.push(key.to_owned());
        }
    }

    pub(super) fn leave(&mut self) {
        self.way.pop();
    }

    /// Before a change to the member at `at`: what it says, if somebody wants to know.
    fn before(&self, object: &Object<'_, '_>, at: usize) -> Option<String> {
        self.steps.as_ref().map(|_| shown(&object.json(at)))
    }

    /// One change.
    pub(super) fn note(&mut self, key: &str, old: Option<String>, new: Option<&[u8]>) {
        let new = new.map(shown);
        if let Some(steps) = &mut self.steps
            && old != new
        {
            let member = self.way.iter().map(String::as_str).chain([key]).collect::<Vec<_>>().join(".");
            steps.push(Step { whose: self.whose.clone(), kind: self.kind, member, old, new });
        }
    }
}

/// Applies `block` to the body `object`, and then the blocks of its `when` that hold. Headers are gathered by `send`.
pub(super) fn block<'r>(
    object: &mut Object<'_, 'r>,
    block: &'r Compiled,
    request: &Request<'_>,
    trace: &mut Trace<'_>,
    send: &mut impl FnMut(&'r Compiled),
) -> Result<(), Flood> {
    let mut follow = Vec::new();
    for (condition, then) in &block.when {
        if holds(condition, request, |way, test| passes_inside(object, way, test))? {
            follow.push(then);
        }
    }
    let outer = trace.block(&block.whose);
    trace.part("remove");
    for way in &block.remove {
        remove(object, way, trace)?;
    }
    trace.part("map");
    for (way, values) in &block.map {
        map(object, way, values, trace)?;
    }
    // Other members' presence decides where members mean something: look once, before any is added.
    let home = Home { endpoint: request.endpoint, messages: object.find("messages").is_some() };
    for (part, nodes) in parts(block) {
        trace.part(part.name());
        settle(object, nodes, part, Some(home), trace)?;
    }
    trace.part("prompt");
    prompt(object, block, request.endpoint, trace);
    send(block);
    for then in follow {
        self::block(object, then, request, trace, send)?;
    }
    trace.block(&outer);
    Ok(())
}

/// Whether the member at the end of `way` passes the test.
pub(super) fn passes_inside(object: &mut Object<'_, '_>, way: &[String], test: &Test) -> Result<bool, Flood> {
    let Some((last, outer)) = way.split_last() else { return Ok(false) };
    let mut object = object;
    for key in outer {
        let inner = match object.find(key) {
            Some(at) => object.child(at)?,
            None => None,
        };
        match inner {
            Some(child) => object = child,
            None => return Ok(passes(None, test, says)),
        }
    }
    Ok(match (object.find(last), test) {
        (None, _) => passes(None, test, says),
        // Nothing is rendered only to learn that it is there.
        (Some(_), Test::Present(wanted)) => *wanted,
        (Some(at), Test::Any(_)) => passes(Some(&object.json(at)), test, says),
    })
}

pub(super) fn remove(object: &mut Object<'_, '_>, way: &[String], trace: &mut Trace<'_>) -> Result<(), Flood> {
    let Some((key, rest)) = way.split_first() else { return Ok(()) };
    if rest.is_empty() {
        let old = object.find(key).and_then(|at| trace.before(object, at));
        if object.strip(key).is_some() {
            trace.note(key, old, None);
        }
    } else if let Some(at) = object.only(key)
        && let Some(child) = object.child(at)?
    {
        trace.enter(key);
        remove(child, rest, trace)?;
        trace.leave();
    }
    Ok(())
}

pub(super) fn map<'r>(
    object: &mut Object<'_, 'r>,
    way: &[String],
    values: &'r [(Box<str>, Fill)],
    trace: &mut Trace<'_>,
) -> Result<(), Flood> {
    let Some((key, rest)) = way.split_first() else { return Ok(()) };
    let Some(at) = object.only(key) else { return Ok(()) };
    if !rest.is_empty() {
        if let Some(child) = object.child(at)? {
            trace.enter(key);
            map(child, rest, values, trace)?;
            trace.leave();
        }
        return Ok(());
    }
    let found = match object.first_byte(at) {
        Some(b'{' | b'[') => None,
        _ => scalar(&object.json(at)).and_then(|text| values.iter().find(|(from, _)| **from == *text)),
    };
    if let Some((_, fill)) = found {
        replace(object, key, at, fill, object.is_filled(at), trace);
    }
    Ok(())
}

/// The member `key` at `at` becomes `fill`; `filled`: where the client was silent.
fn replace<'r>(object: &mut Object<'_, 'r>, key: &str, at: usize, fill: &'r Fill, filled: bool, trace: &mut Trace<'_>) {
    let old = trace.before(object, at);
    trace.note(key, old, Some(&fill.json));
    object.set(at, Cow::Borrowed(&fill.json), filled);
}

/// The parts of a block that hold members with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Used where the client is silent.
    Defaults,
    /// Upper bounds of what the client says.
    Limits,
    /// Win, whatever the client says.
    Overrides,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::Limits => "limits",
            Self::Overrides => "overrides",
        }
    }
}

/// The parts of `block`, in the order in which they are applied.
pub(super) fn parts(block: &Compiled) -> [(Part, &[Node]); 3] {
    [(Part::Defaults, &block.defaults), (Part::Limits, &block.limits), (Part::Overrides, &block.overrides)]
}

/// Where members may be added at the top level.
#[derive(Clone, Copy)]
pub(super) struct Home {
    endpoint: Endpoint,
    messages: bool,
}

impl Home {
    fn of(home: Option<Self>, node: &Node) -> bool {
        home.is_none_or(|home| node.homes.include(home.endpoint, home.messages))
    }
}

/// Does to the members of `object` that `nodes` name what their `part` of a block does.
pub(super) fn settle<'r>(
    object: &mut Object<'_, 'r>,
    nodes: &'r [Node],
    part: Part,
    home: Option<Home>,
    trace: &mut Trace<'_>,
) -> Result<(), Flood> {
    for node in nodes {
        let at = match part {
            // What the client said twice stays so: nothing of it is changed.
            Part::Defaults => object.find(&node.key),
            Part::Limits | Part::Overrides => object.only(&node.key),
        };
        let Some(at) = at else {
            if part != Part::Limits && Home::of(home, node) {
                trace.note(&node.key, None, Some(&node.fill.json));
                object.push(&node.key, Cow::Borrowed(&node.fill.json), part == Part::Defaults);
            }
            continue;
        };
        if let Some(members) = &node.members
            && let Some(child) = object.child(at)?
        {
            trace.enter(&node.key);
            settle(child, members, part, None, trace)?;
            trace.leave();
            continue;
        }
        let filled = object.is_filled(at);
        match part {
            Part::Defaults if filled || node.shaped => replace(object, &node.key, at, &node.fill, true, trace),
            Part::Limits if exceeds(object, at, node) => replace(object, &node.key, at, &node.fill, filled, trace),
            Part::Overrides => replace(object, &node.key, at, &node.fill, false, trace),
            Part::Defaults | Part::Limits => {}
        }
    }
    Ok(())
}

/// Whether the member at `at` is a number above the bound that `node` is.
fn exceeds(object: &Object<'_, '_>, at: usize, node: &Node) -> bool {
    node.bound.as_ref().is_some_and(|bound| {
        !matches!(object.first_byte(at), Some(b'{' | b'[')) && bound.exceeded_by_json(&object.json(at))
    })
}

fn prompt(object: &mut Object<'_, '_>, block: &Compiled, endpoint: Endpoint, trace: &mut Trace<'_>) {
    let Some(prompt) = &block.prompt else { return };
    let what = put(prompt, endpoint, |key| object.find(key).map(|at| object.json(at)));
    let Some((key, what)) = what else { return };
    let at = object.only(key);
    let old = at.and_then(|at| trace.before(object, at));
    match (at, what) {
        (Some(at), Put::Set(json)) => object.set(at, Cow::Owned(json), false),
        (Some(at), Put::Join(pieces)) => object.join(at, pieces),
        (None, Put::Set(json)) => object.push(key, Cow::Owned(json), false),
        (None, Put::Join(_)) => return,
    }
    if let Some(at) = object.find(key) {
        let new = object.json(at);
        trace.note(key, old, Some(&new));
    }
}
