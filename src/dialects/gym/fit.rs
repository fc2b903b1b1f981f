//! Holds a value against a shape: what fits comes out as Gym would see it, what does not is told with its place.

use serde_json::{Map, Number, Value, json};

use super::shape::{Absent, Field, Object, Others, Shape};

/// A step to a value: a member or an index, as FastAPI tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into an object.
    Member(String),
    /// Into a list.
    Index(usize),
}

/// One thing that does not fit.
#[derive(Clone, Debug)]
pub(super) struct Misfit {
    /// pydantic's word for it.
    pub(super) kind: &'static str,
    /// Where, below the body.
    pub(super) at: Vec<Step>,
    /// pydantic's sentence about it.
    pub(super) message: String,
    /// What was there.
    pub(super) input: Value,
}

impl Misfit {
    /// An element of FastAPI's `detail`.
    pub(super) fn detail(&self) -> Value {
        let steps = self.at.iter().map(|step| match step {
            Step::Member(name) => json!(name),
            Step::Index(index) => json!(index),
        });
        let place: Vec<Value> = std::iter::once(json!("body")).chain(steps).collect();
        json!({ "type": self.kind, "loc": place, "msg": self.message, "input": self.input })
    }
}

/// How a value is read.
#[derive(Clone, Copy, Default)]
pub(super) struct Reading {
    /// Members no table knows are kept where Gym drops them.
    pub(super) lenient: bool,
    /// Where members no table knows are dropped although Gym refuses them.
    pub(super) pruning: Pruning,
}

/// Where unknown members are dropped instead of refused.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pruning {
    /// Nowhere.
    #[default]
    Never,
    /// Where there is one shape only: Gym cannot find its way below a choice of shapes.
    Plain,
    /// Everywhere.
    Always,
}

/// Reads a value, collecting everything that does not fit.
pub(super) struct Fit {
    reading: Reading,
    at: Vec<Step>,
    misfits: Vec<Misfit>,
    /// Whether we are below a choice of shapes.
    chosen: bool,
    /// Whether words of text may stand for numbers and truth values.
    coerce: bool,
}

/// The value as `shape` sees it.
///
/// # Errors
/// Everything that does not fit.
pub(super) fn fit(shape: &Shape, value: Value, reading: Reading) -> Result<Value, Vec<Misfit>> {
    let mut fit = Fit::new(reading);
    match fit.value(shape, value) {
        Some(value) if fit.misfits.is_empty() => Ok(value),
        _ => Err(fit.misfits),
    }
}

/// Whether the value has that shape.
pub(super) fn fits(shape: &Shape, value: &Value) -> bool {
    fit(shape, value.clone(), Reading::default()).is_ok()
}

impl Fit {
    /// A reader at the top of a body.
    pub(super) fn new(reading: Reading) -> Self {
        Self { reading, at: Vec::new(), misfits: Vec::new(), chosen: false, coerce: true }
    }

    /// How it reads.
    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    /// What did not fit.
    pub(super) fn into_misfits(self) -> Vec<Misfit> {
        self.misfits
    }

    /// Reads one level down.
    pub(super) fn below<T>(&mut self, step: Step, read: impl FnOnce(&mut Self) -> T) -> T {
        self.at.push(step);
        let read = read(self);
        self.at.pop();
        read
    }

    /// Notes that something does not fit here.
    pub(super) fn misfit(&mut self, kind: &'static str, message: impl Into<String>, input: &Value) {
        let (at, message) = (self.at.clone(), message.into());
        self.misfits.push(Misfit { kind, at, message, input: input.clone() });
    }

    /// Reads a value; `None`: it does not fit, which was noted.
    pub(super) fn value(&mut self, shape: &Shape, value: Value) -> Option<Value> {
        match shape {
            Shape::Any => Some(value),
            Shape::OrNull(_) if value.is_null() => Some(value),
            Shape::OrNull(shape) => self.value(shape, value),
            Shape::List(shape) => self.list(shape, value),
            Shape::Map(shape) => self.map(shape, value),
            Shape::Object(object) => self.object(object, value),
            Shape::By(member, kinds) => self.tagged(member, kinds, value),
            Shape::Either(shapes) => self.either(shapes, value),
            Shape::Text | Shape::Int | Shape::Float | Shape::Bool | Shape::False | Shape::Word(_) => {
                self.scalar(shape, value)
            }
        }
    }

    fn scalar(&mut self, shape: &Shape, value: Value) -> Option<Value> {
        let read = match shape {
            Shape::Text => value.is_string().then(|| value.clone()),
            Shape::Int => whole(&value, self.coerce),
            Shape::Float => number(&value, self.coerce),
            Shape::Bool => truth(&value, self.coerce),
            // To Python, 0 is `False` here, although 1 is not `True`.
            Shape::False => (value == false || value.as_f64() == Some(0.0)).then_some(Value::Bool(false)),
            Shape::Word(words) => value.as_str().filter(|text| words.contains(text)).map(Value::from),
            _ => None,
        };
        if read.is_none() {
            let (kind, message) = complaint(shape, &value);
            self.misfit(kind, message, &value);
        }
        read
    }

    fn list(&mut self, shape: &Shape, value: Value) -> Option<Value> {
        let Value::Array(values) = value else {
            self.misfit("list_type", "Input should be a valid list", &value);
            return None;
        };
        let read = values.into_iter().enumerate();
        let read: Vec<Option<Value>> =
            read.map(|(at, value)| self.below(Step::Index(at), |fit| fit.value(shape, value))).collect();
        read.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
    }

    fn map(&mut self, shape: &Shape, value: Value) -> Option<Value> {
        let Value::Object(members) = value else {
            self.misfit("dict_type", "Input should be a valid dictionary", &value);
            return None;
        };
        let mut read = Map::new();
        let mut whole = true;
        for (name, value) in members {
            match self.below(Step::Member(name.clone()), |fit| fit.value(shape, value)) {
                Some(value) => drop(read.insert(name, value)),
                None => whole = false,
            }
        }
        whole.then_some(Value::Object(read))
    }

    /// Reads the members of an object.
    pub(super) fn object(&mut self, object: &Object, value: Value) -> Option<Value> {
        let Value::Object(mut members) = value else {
            self.misfit("dict_type", "Input should be a valid dictionary", &value);
            return None;
        };
        let mut read = Map::new();
        let mut whole = true;
        for field in object.fields {
            match members.shift_remove(field.name) {
                Some(value) => {
                    let fitted = self.below(Step::Member(field.name.to_owned()), |fit| fit.value(&field.shape, value));
                    whole &= fitted.is_some();
                    read.extend(fitted.map(|value| (field.name.to_owned(), value)));
                }
                None => match otherwise(field) {
                    Ok(value) => read.extend(value.map(|value| (field.name.to_owned(), value))),
                    Err(()) => {
                        whole = false;
                        let input = Value::Object(members.clone());
                        self.below(Step::Member(field.name.to_owned()), |fit| {
                            fit.misfit("missing", "Field required", &input);
                        });
                    }
                },
            }
        }
        match object.others {
            Others::Keep => read.extend(members),
            Others::Drop if self.reading.lenient => read.extend(members),
            Others::Refuse if !self.prunes() => {
                for (name, value) in members {
                    whole = false;
                    self.below(Step::Member(name), |fit| {
                        fit.misfit("extra_forbidden", "Extra inputs are not permitted", &value);
                    });
                }
            }
            Others::Drop | Others::Refuse => {}
        }
        whole.then_some(Value::Object(read))
    }

    fn prunes(&self) -> bool {
        match self.reading.pruning {
            Pruning::Never => false,
            Pruning::Plain => !self.chosen,
            Pruning::Always => true,
        }
    }

    fn tagged(&mut self, member: &str, kinds: &[(&str, &'static Object)], value: Value) -> Option<Value> {
        let word = value.get(member).and_then(Value::as_str);
        if let Some((_, object)) = word.and_then(|word| kinds.iter().find(|(kind, _)| *kind == word)) {
            let above = std::mem::replace(&mut self.chosen, true);
            let read = self.object(object, value);
            self.chosen = above;
            return read;
        }
        let known = words(&kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
        match value.get(member) {
            None => self.misfit(
                "union_tag_not_found",
                format!("Unable to extract tag using discriminator '{member}'"),
                &value,
            ),
            Some(_) => {
                let message = format!("Input tag '{member}' does not match any of the expected tags: {known}");
                self.misfit("union_tag_invalid", message, &value);
            }
        }
        None
    }

    /// Like pydantic's unions: an arm that fits without coercion goes before one that needs it.
    fn either(&mut self, shapes: &'static [Shape], value: Value) -> Option<Value> {
        let mut arms: Vec<&Shape> = shapes.iter().filter(|shape| of_kind(shape, &value)).collect();
        if let [only] = arms.as_slice() {
            return self.value(only, value);
        }
        if arms.is_empty() {
            arms = shapes.iter().collect();
        }
        let mut nearest: Option<Vec<Misfit>> = None;
        for coerce in [false, true] {
            for shape in &arms {
                let mut attempt = Self {
                    reading: self.reading,
                    at: self.at.clone(),
                    misfits: Vec::new(),
                    chosen: true,
                    coerce: coerce && self.coerce,
                };
                if let Some(read) = attempt.value(shape, value.clone()) {
                    return Some(read);
                }
                if nearest.as_ref().is_none_or(|other| attempt.misfits.len() < other.len()) {
                    nearest = Some(attempt.misfits);
                }
            }
        }
        self.misfits.extend(nearest.unwrap_or_default());
        None
    }
}

/// What an absent member becomes; `Err`: it must be there.
fn otherwise(field: &Field) -> Result<Option<Value>, ()> {
    match field.absent {
        Absent::Fault => Err(()),
        Absent::Stays => Ok(None),
        Absent::Null => Ok(Some(Value::Null)),
        Absent::Word(word) => Ok(Some(Value::from(word))),
    }
}

/// Whether the JSON type is the shape's own.
fn of_kind(shape: &Shape, value: &Value) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Text | Shape::Word(_) => value.is_string(),
        Shape::Int | Shape::Float => value.is_number(),
        Shape::Bool | Shape::False => value.is_boolean(),
        Shape::OrNull(shape) => value.is_null() || of_kind(shape, value),
        Shape::List(_) => value.is_array(),
        Shape::Map(_) | Shape::Object(_) | Shape::By(..) => value.is_object(),
        Shape::Either(shapes) => shapes.iter().any(|shape| of_kind(shape, value)),
    }
}

/// A whole number, also written as `5.0`, `"5"` or a truth value.
fn whole(value: &Value, coerce: bool) -> Option<Value> {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(value.clone()),
        Value::Number(number) if coerce => number.as_f64().and_then(without_fraction),
        Value::String(text) if coerce => {
            let text = without_underscores(text.trim());
            let exact = text.parse::<i64>().ok().map(Value::from);
            exact.or_else(|| text.parse::<f64>().ok().filter(|_| text.contains('.')).and_then(without_fraction))
        }
        Value::Bool(truth) if coerce => Some(Value::from(i64::from(*truth))),
        _ => None,
    }
}

/// `1_000` as Python reads it.
fn without_underscores(text: &str) -> String {
    let between = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.contains('_') && text.split('_').all(between) { text.replace('_', "") } else { text.to_owned() }
}

fn without_fraction(number: f64) -> Option<Value> {
    // Beyond 2^53 a float does not say which whole number is meant.
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then(|| Value::from(number as i64))
}

fn number(value: &Value, coerce: bool) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) if coerce => text.trim().parse().ok().and_then(Number::from_f64).map(Value::Number),
        Value::Bool(truth) if coerce => Some(Value::from(f64::from(u8::from(*truth)))),
        _ => None,
    }
}

fn truth(value: &Value, coerce: bool) -> Option<Value> {
    let word = match value {
        Value::Bool(_) => return Some(value.clone()),
        Value::Number(number) if coerce => match number.as_f64() {
            Some(1.0) => "1".to_owned(),
            Some(0.0) => "0".to_owned(),
            _ => return None,
        },
        Value::String(text) if coerce => text.to_ascii_lowercase(),
        _ => return None,
    };
    match word.as_str() {
        "1" | "on" | "t" | "true" | "y" | "yes" => Some(Value::Bool(true)),
        "0" | "off" | "f" | "false" | "n" | "no" => Some(Value::Bool(false)),
        _ => None,
    }
}

/// pydantic's word and sentence.
fn complaint(shape: &Shape, value: &Value) -> (&'static str, String) {
    let text = value.is_string();
    match shape {
        Shape::Int if text => {
            ("int_parsing", "Input should be a valid integer, unable to parse string as an integer".into())
        }
        Shape::Int if value.is_number() => {
            ("int_from_float", "Input should be a valid integer, got a number with a fractional part".into())
        }
        Shape::Int => ("int_type", "Input should be a valid integer".into()),
        Shape::Float if text => {
            ("float_parsing", "Input should be a valid number, unable to parse string as a number".into())
        }
        Shape::Float => ("float_type", "Input should be a valid number".into()),
        Shape::Bool if text => ("bool_parsing", "Input should be a valid boolean, unable to interpret input".into()),
        Shape::Bool => ("bool_type", "Input should be a valid boolean".into()),
        Shape::False => ("literal_error", "Input should be False".into()),
        Shape::Word(known) => ("literal_error", format!("Input should be {}", words(known))),
        _ => ("string_type", "Input should be a valid string".into()),
    }
}

/// `'a', 'b' or 'c'`.
fn words(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
