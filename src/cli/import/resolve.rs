//! Interpolations: `${a.b}`, `${.sibling}`, `${oc.env:VAR,default}`; what comes from the environment stays there.
//!
//! Texts come out as our configuration writes them: a variable is `${VAR}` or `${VAR:-default}`, a literal `${` is `$${`.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::grammar::{Part, is_variable, keys, parts, resolver_of, split, unquoted};
use super::yaml::{MAX_DEPTH, scalar};

/// More values than this come only of interpolations that multiply each other.
const MOST_VALUES: usize = 200_000;

/// The node at `path`: members by name, items by number.
pub(super) fn lookup<'a>(tree: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |at, key| match at {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// `${a.b}` and nothing else, from the root: where it points.
pub(super) fn whole_path(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?.trim();
    (!inner.contains(['$', '{', '}', ':']) && !inner.starts_with('.')).then(|| keys(inner)).flatten()
}

/// Looks up what texts stand for, in one tree.
pub(super) struct Resolver<'a> {
    tree: &'a Value,
    values: Cell<usize>,
}

/// The interpolations that are being looked up, to notice circles.
type Stack = Vec<Vec<String>>;

impl<'a> Resolver<'a> {
    pub(super) fn new(tree: &'a Value) -> Self {
        Self { tree, values: Cell::new(0) }
    }

    /// The value of the key at `path`, every interpolation in it replaced.
    ///
    /// # Errors
    /// Why it has none, in words that name the key, and no value.
    pub(super) fn value(&self, path: &[String], value: &Value) -> Result<Value, String> {
        self.deep(path, value, &mut Vec::new())
    }

    /// The node at `path`, or the one it stands for, with its interpolations; and where that is.
    pub(super) fn node(&self, path: &[String]) -> Option<(Vec<String>, &'a Value)> {
        self.follow(path.to_vec(), &mut Vec::new()).ok().flatten()
    }

    fn deep(&self, path: &[String], value: &Value, stack: &mut Stack) -> Result<Value, String> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > MOST_VALUES || path.len() > 2 * MAX_DEPTH || stack.len() > 2 * MAX_DEPTH {
            return Err("The interpolations make it larger or deeper than any configuration.".into());
        }
        let inner = |key: String| path.iter().cloned().chain([key]).collect::<Vec<_>>();
        match value {
            Value::String(text) if text == "???" => {
                let key = path.join(".");
                Err(format!("`{key}` has no value yet (`???`). Give it: '++{key}=…'."))
            }
            Value::String(text) if text.contains("${") => self.text(path, text, stack),
            Value::Array(items) => {
                let each = items.iter().enumerate().map(|(at, item)| self.deep(&inner(at.to_string()), item, stack));
                each.collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(map) => {
                let each =
                    map.iter().map(|(key, value)| Ok((key.clone(), self.deep(&inner(key.clone()), value, stack)?)));
                each.collect::<Result<Map<_, _>, String>>().map(Value::Object)
            }
            other => Ok(other.clone()),
        }
    }

    fn text(&self, path: &[String], text: &str, stack: &mut Stack) -> Result<Value, String> {
        let key = path.join(".");
        let mut parts = parts(text).ok_or_else(|| format!("`{key}` has a `${{` without its `}}`."))?;
        if let [Part::Node(_)] = parts.as_slice()
            && let Some(Part::Node(inner)) = parts.pop()
        {
            return self.interpolation(path, &inner, stack);
        }
        let mut out = String::new();
        for part in parts {
            match part {
                Part::Text(text) => out.push_str(&text),
                Part::Node(inner) => {
                    let more = match self.interpolation(path, &inner, stack)? {
                        Value::String(text) => text,
                        // As Python spells them.
                        Value::Null => "None".into(),
                        Value::Bool(true) => "True".into(),
                        Value::Bool(false) => "False".into(),
                        Value::Number(number) => number.to_string(),
                        _ => return Err(format!("`{key}` puts a list or a mapping (`${{{inner}}}`) into a text.")),
                    };
                    if out.ends_with('$') && more.starts_with("${") {
                        return Err(format!(
                            "`{key}` has a `$` before an environment variable; that cannot be written."
                        ));
                    }
                    out.push_str(&more);
                }
            }
        }
        Ok(Value::String(out))
    }

    fn interpolation(&self, path: &[String], inner: &str, stack: &mut Stack) -> Result<Value, String> {
        if let Some((resolver, arguments)) = resolver_of(inner) {
            return self.call(path, resolver, arguments, stack);
        }
        let key = path.join(".");
        let target = self.plain(path, inner, stack)?;
        let target = absolute(path, target.trim())
            .ok_or_else(|| format!("`{key}`: `${{{}}}` is no path to another key.", inner.trim()))?;
        if stack.contains(&target) {
            let circle = stack.iter().map(|at| at.join(".")).collect::<Vec<_>>().join(" → ");
            return Err(format!("`{key}` goes round in a circle: {circle} → {}.", target.join(".")));
        }
        stack.push(target.clone());
        let value = match self.follow(target.clone(), stack)? {
            Some((at, node)) => self.deep(&at, node, stack),
            None => {
                let target = target.join(".");
                Err(format!(
                    "`{key}` is `${{{target}}}`, which is not there. Give the file that has it (env.yaml?), or '++{target}=…'."
                ))
            }
        };
        stack.pop();
        value
    }

    /// What is between braces, with the interpolations inside it replaced by plain text.
    fn plain(&self, path: &[String], inner: &str, stack: &mut Stack) -> Result<String, String> {
        if !inner.contains("${") {
            return Ok(inner.to_owned());
        }
        if stack.len() > MAX_DEPTH {
            return Err("The interpolations are nested too deeply.".into());
        }
        stack.push(Vec::new());
        let text = self.text(path, inner, stack);
        stack.pop();
        match text? {
            Value::String(text) if !text.contains("${") => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            _ => Err(format!(
                "`{}`: `${{{inner}}}` depends on the environment in a way that cannot be written.",
                path.join(".")
            )),
        }
    }

    /// The node at `path`, through texts on the way that stand for mappings.
    fn follow(&self, path: Vec<String>, stack: &mut Stack) -> Result<Option<(Vec<String>, &'a Value)>, String> {
        let (mut at, mut node) = (Vec::new(), self.tree);
        let mut rest = path;
        rest.reverse();
        // A bound on jumps is enough: a circle of them never ends.
        let mut jumps = 0;
        loop {
            let stands_for = node.as_str().and_then(parts).and_then(|parts| match parts.as_slice() {
                [Part::Node(inner)] if resolver_of(inner).is_none() && !inner.contains("${") => absolute(&at, inner),
                _ => None,
            });
            if let Some(target) = stands_for {
                jumps += 1;
                if jumps > MAX_DEPTH || stack.len() > 2 * MAX_DEPTH {
                    return Err(format!("`{}` goes round in a circle.", at.join(".")));
                }
                rest.extend(target.into_iter().rev());
                (at, node) = (Vec::new(), self.tree);
                continue;
            }
            let Some(key) = rest.pop() else { return Ok(Some((at, node))) };
            match lookup(node, std::slice::from_ref(&key)) {
                Some(inner) => node = inner,
                None => return Ok(None),
            }
            at.push(key);
        }
    }

    /// The functions of OmegaConf that matter for servers.
    fn call(&self, path: &[String], name: &str, arguments: &str, stack: &mut Stack) -> Result<Value, String> {
        let key = path.join(".");
        let arguments = split(arguments);
        let argument = |at: usize| arguments.get(at).map(|text| unquoted(text)).unwrap_or_default();
        match name {
            "oc.env" => {
                let variable = self.plain(path, &argument(0), stack)?;
                if !is_variable(&variable) {
                    return Err(format!("`{key}`: `{variable}` cannot be the name of an environment variable."));
                }
                if arguments.len() < 2 {
                    return Ok(Value::String(format!("${{{variable}}}")));
                }
                let default = self.plain(path, &argument(1), stack)?;
                if default.contains(['}', '$']) {
                    return Err(format!(
                        "`{key}`: the default of {variable} has a `}}` or `$`, which cannot be written."
                    ));
                }
                // `null`: nothing is the nearest that a text can be.
                let default = if default == "null" { "" } else { &default };
                Ok(Value::String(format!("${{{variable}:-{default}}}")))
            }
            "oc.select" => match self.interpolation(path, &argument(0), stack) {
                Err(_) if arguments.len() > 1 => Ok(scalar(&self.plain(path, &argument(1), stack)?)),
                other => other,
            },
            "oc.decode" => match self.text(path, &argument(0), stack)? {
                Value::String(text) if !text.contains("${") => Ok(scalar(&text)),
                other => Ok(other),
            },
            _ => Err(format!("`{key}` uses `{name}:`, which cannot be worked out here. Write what it stands for.")),
        }
    }
}

/// A path with dots, from the root or, with dots in front, from the container of the key at `from`.
fn absolute(from: &[String], path: &str) -> Option<Vec<String>> {
    let path = path.trim();
    let up = path.chars().take_while(|c| *c == '.').count();
    let mut base = if up == 0 { Vec::new() } else { from.get(..from.len().checked_sub(up)?)?.to_vec() };
    base.extend(keys(&path[up..])?);
    (base.len() <= 2 * MAX_DEPTH).then_some(base)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(tree: &Value) -> Result<Value, String> {
        let path = ["s".to_owned(), "a".to_owned()];
        Resolver::new(tree).value(&path, lookup(tree, &path).expect("s.a"))
    }

    fn good(a: &str) -> Value {
        let tree = json!({"s": {"a": a, "b": 1, "k-1": "dash"}, "b": {"t": true, "list": [1, {"x": 2}], "key": "x",
            "x": 7}, "to": "${b}", "chain": "${s.b}", "n": null, "f": 1.0});
        of(&tree).expect(a)
    }

    #[test]
    fn paths_lists_siblings_and_chains() {
        for (text, value) in [
            ("${b.x}", json!(7)),
            ("${ b.x }", json!(7)),
            ("${.b}", json!(1)),
            ("${..b.t}", json!(true)),
            ("${b.list[0]}", json!(1)),
            ("${b.list.1.x}", json!(2)),
            ("${s.k-1}", json!("dash")),
            ("${to.x}", json!(7)),
            ("${chain}", json!(1)),
            ("${b.${b.key}}", json!(7)),
            ("${b.list}", json!([1, {"x": 2}])),
            ("x${b.t}${n}${f}-${s.b}", json!("xTrueNone1.0-1")),
            ("${oc.select:b.x}", json!(7)),
            ("${oc.select:no.where,5}", json!(5)),
            ("${oc.decode:'12'}", json!(12)),
            ("$b {x} $", json!("$b {x} $")),
            ("???x", json!("???x")),
        ] {
            assert_eq!(good(text), value, "{text}");
        }
    }

    #[test]
    fn the_environment_stays_the_environment() {
        for (text, value) in [
            ("${oc.env:KEY}", "${KEY}"),
            ("${oc.env: KEY , a b }", "${KEY:-a b}"),
            ("${oc.env:KEY,null}", "${KEY:-}"),
            ("${oc.env:KEY,'q, x'}", "${KEY:-q, x}"),
            ("${oc.env:KEY,${b.x}}", "${KEY:-7}"),
            ("http://${oc.env:HOST}:${s.b}/v1", "http://${HOST}:1/v1"),
            ("${oc.decode:${oc.env:KEY}}", "${KEY}"),
            (r"\${b.x}", "$${b.x}"),
            (r"\\${b.x}", r"\7"),
        ] {
            assert_eq!(good(text), json!(value), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_says_why() {
        for (a, part) in [
            ("???", "`s.a` has no value yet"),
            ("${no.where}", "'++no.where=…'"),
            ("${s.a}", "circle"),
            ("${missing}", "`missing` has no value yet"),
            ("${b", "without its `}`"),
            ("x${b}", "puts a list or a mapping"),
            ("${oc.env:A B}", "cannot be the name"),
            ("${oc.env:A,${oc.env:B}}", "cannot be written"),
            ("${b.${oc.env:B}}", "cannot be written"),
            ("$${oc.env:A}", "has a `$` before"),
            ("${oc.dict.keys:b}", "oc.dict.keys"),
            ("${...................b}", "is no path"),
            ("${round}", "circle"),
        ] {
            let tree = json!({"s": {"a": a}, "b": {"x": 1}, "missing": "???", "round": "${trip}", "trip": "${round}"});
            let fault = of(&tree).expect_err(a);
            assert!(fault.contains(part), "{a}: {fault}");
        }
    }

    #[test]
    fn growth_without_end_is_refused() {
        let mut tree = json!({"s": {"a": "${l39}"}, "l0": [1, 2, 3]});
        for level in 1..40 {
            let below = format!("${{l{}}}", level - 1);
            tree[format!("l{level}")] = json!([below, below, below]);
        }
        assert!(of(&tree).expect_err("too large").contains("larger"));
        let mut tree = json!({"s": {"a": "${k0}"}});
        for level in 0..5000 {
            tree[format!("k{level}")] = json!({"x": format!("${{k{}}}", level + 1)});
        }
        assert!(of(&tree).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_panics(a in "(\\$\\{|\\}|[a-c.:,'\\[\\] \\\\$é]|oc\\.env:|s\\.a|\\$\\{b\\}){0,12}") {
            let _ = of(&json!({"s": {"a": a}, "b": "${c}", "c": ["${s.a}", {"a": 1}]}));
        }
    }
}
