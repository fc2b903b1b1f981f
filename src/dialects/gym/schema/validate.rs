//! Checks a value against a shape as pydantic does: returns the value as Gym sees it, or every error with its location.

use serde_json::{Map, Value, json};

use super::coerce::{quoted, scalar};
use super::shape::{Absent, Field, Others, Shape};

/// One thing that does not fit.
#[derive(Clone, Debug)]
pub(in crate::dialects::gym) struct ValidationError {
    /// pydantic's word for it.
    pub(in crate::dialects::gym) kind: &'static str,
    /// The names and indices that lead to it in the body.
    pub(in crate::dialects::gym) location: Vec<Value>,
    /// pydantic's sentence about it.
    pub(in crate::dialects::gym) message: String,
    /// What was there.
    pub(in crate::dialects::gym) input: Value,
}

impl ValidationError {
    /// An element of FastAPI's `detail`.
    pub(in crate::dialects::gym) fn detail(&self) -> Value {
        let location: Vec<Value> = std::iter::once("body".into()).chain(self.location.iter().cloned()).collect();
        json!({ "type": self.kind, "loc": location, "msg": self.message, "input": self.input })
    }

    /// The location in words: `messages.0.role`.
    pub(in crate::dialects::gym) fn path(&self) -> String {
        let step = |step: &Value| step.as_str().map_or_else(|| step.to_string(), str::to_owned);
        self.location.iter().map(step).collect::<Vec<_>>().join(".")
    }
}

/// Where we are more lenient than Gym. The default: nowhere but in [`Shape::Strict`].
#[derive(Clone, Copy, Default)]
pub(in crate::dialects::gym) struct Mode {
    /// Gym's own shapes hold where we have others.
    pub(in crate::dialects::gym) strict: bool,
    /// Unknown members are kept where Gym drops them.
    pub(in crate::dialects::gym) keep_unknown: bool,
    /// Where unknown members are dropped although Gym refuses them.
    pub(in crate::dialects::gym) drop_refused: DropRefused,
}

/// Where unknown members are dropped instead of refused.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::dialects::gym) enum DropRefused {
    /// Nowhere.
    #[default]
    Never,
    /// Where there is one shape only: Gym cannot find its way below a choice of shapes.
    OutsideChoices,
    /// Everywhere.
    Always,
}

/// The value as `shape` has it.
///
/// # Errors
/// Everything that does not fit.
pub(super) fn validate(shape: &Shape, value: Value, mode: Mode) -> Result<Value, Vec<ValidationError>> {
    let mut validator = Validator { mode, location: Vec::new(), errors: Vec::new(), below_choice: false, coerce: true };
    match validator.value(shape, value) {
        Some(value) if validator.errors.is_empty() => Ok(value),
        _ => Err(validator.errors),
    }
}

/// The same for the members of an object.
pub(super) fn validate_members(
    shape: &Shape,
    members: Map<String, Value>,
    mode: Mode,
) -> Result<Map<String, Value>, Vec<ValidationError>> {
    validate(shape, members.into(), mode).map(|value| match value {
        Value::Object(members) => members,
        _ => Map::new(),
    })
}

/// Whether the value has that shape.
pub(super) fn is_valid(shape: &Shape, value: &Value) -> bool {
    validate(shape, value.clone(), Mode::default()).is_ok()
}

/// Reads a value and collects everything that does not fit. Its readers return `None` for what does not fit, after they
/// noted why.
struct Validator {
    mode: Mode,
    location: Vec<Value>,
    errors: Vec<ValidationError>,
    below_choice: bool,
    /// Whether strings may stand for numbers and booleans.
    coerce: bool,
}

impl Validator {
    /// Notes that something does not fit here.
    fn error(&mut self, kind: &'static str, message: impl Into<String>, input: &Value) {
        let (location, message) = (self.location.clone(), message.into());
        self.errors.push(ValidationError { kind, location, message, input: input.clone() });
    }

    /// Reads one level down.
    fn below<T>(&mut self, step: impl Into<Value>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.location.push(step.into());
        let read = read(self);
        self.location.pop();
        read
    }

    fn value(&mut self, shape: &Shape, value: Value) -> Option<Value> {
        let found = match shape {
            Shape::Any => return Some(value),
            Shape::Strict(strict, other) => return self.value(if self.mode.strict { strict } else { other }, value),
            Shape::List(shape) => return self.list(shape, value),
            Shape::Map(shape) => return self.map(shape, value),
            Shape::Object(fields, others) => return self.object(fields, *others, value),
            Shape::By(member, arms) => return self.tagged(member, arms, value),
            Shape::Either(shapes) => return self.either(shapes, value),
            Shape::Pick(pick) => match pick(&value) {
                Ok(shape) => return self.value(&shape, value),
                Err(error) => Err(error),
            },
            scalar_shape => scalar(scalar_shape, &value, self.coerce),
        };
        found.map_err(|(kind, message)| self.error(kind, message, &value)).ok()
    }

    fn list(&mut self, shape: &Shape, value: Value) -> Option<Value> {
        let Value::Array(values) = value else {
            self.error("list_type", "Input should be a valid list", &value);
            return None;
        };
        let values = values.into_iter().enumerate();
        // All are read, so that every error is found.
        let read: Vec<Option<Value>> = values.map(|(at, value)| self.below(at, |it| it.value(shape, value))).collect();
        read.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
    }

    fn map(&mut self, shape: &Shape, value: Value) -> Option<Value> {
        let members = self.members(value)?.into_iter();
        let read: Vec<Option<(String, Value)>> =
            members.map(|(name, value)| Some((name.clone(), self.member(&name, shape, value)?))).collect();
        read.into_iter().collect::<Option<Map<_, _>>>().map(Value::Object)
    }

    fn member(&mut self, name: &str, shape: &Shape, value: Value) -> Option<Value> {
        self.below(name, |it| it.value(shape, value))
    }

    fn members(&mut self, value: Value) -> Option<Map<String, Value>> {
        match value {
            Value::Object(members) => Some(members),
            other => {
                self.error("dict_type", "Input should be a valid dictionary", &other);
                None
            }
        }
    }

    fn object(&mut self, fields: &[Field], others: Others, value: Value) -> Option<Value> {
        let mut members = self.members(value)?;
        let mut read = Map::new();
        let mut fits = true;
        for field in fields {
            let value = match (members.shift_remove(field.name), field.absent) {
                (Some(value), _) => self.member(field.name, &field.shape, value),
                (None, Absent::Stays) => continue,
                (None, Absent::Null) => Some(Value::Null),
                (None, Absent::Word(word)) => Some(word.into()),
                (None, Absent::Error) => {
                    let input = Value::Object(members.clone());
                    self.below(field.name, |it| it.error("missing", "Field required", &input));
                    None
                }
            };
            fits &= value.is_some();
            read.extend(value.map(|value| (field.name.to_owned(), value)));
        }
        match others {
            Others::Keep => read.extend(members),
            Others::Drop if self.mode.keep_unknown => read.extend(members),
            Others::Refuse if !self.drops_refused() => {
                fits &= members.is_empty();
                for (name, value) in members {
                    self.below(name, |it| {
                        it.error("extra_forbidden", "Extra inputs are not permitted", &value);
                    });
                }
            }
            Others::Drop | Others::Refuse => {}
        }
        fits.then_some(Value::Object(read))
    }

    fn drops_refused(&self) -> bool {
        match self.mode.drop_refused {
            DropRefused::Never => false,
            DropRefused::OutsideChoices => !self.below_choice,
            DropRefused::Always => true,
        }
    }

    fn tagged(&mut self, member: &str, arms: &[(&[&str], Shape)], value: Value) -> Option<Value> {
        let tag = value.get(member).and_then(Value::as_str);
        if let Some((_, shape)) = tag.and_then(|tag| arms.iter().find(|(words, _)| words.contains(&tag))) {
            let above = std::mem::replace(&mut self.below_choice, true);
            let read = self.value(shape, value);
            self.below_choice = above;
            return read;
        }
        if value.get(member).is_none() {
            let message = format!("Unable to extract tag using discriminator '{member}'");
            self.error("union_tag_not_found", message, &value);
        } else {
            let known = quoted(arms.iter().flat_map(|(words, _)| words.iter()));
            let message = format!("Input tag '{member}' does not match any of the expected tags: {known}");
            self.error("union_tag_invalid", message, &value);
        }
        None
    }

    /// Like pydantic's unions: an arm that fits without coercion goes before one that needs it.
    fn either(&mut self, shapes: &[Shape], value: Value) -> Option<Value> {
        let mut arms: Vec<&Shape> = shapes.iter().filter(|shape| is_of_type(shape, &value)).collect();
        if let [only] = arms.as_slice() {
            return self.value(only, value);
        }
        if arms.is_empty() {
            arms = shapes.iter().collect();
        }
        let mut nearest: Option<Vec<ValidationError>> = None;
        for coerce in [false, true] {
            for shape in &arms {
                let (location, coerce) = (self.location.clone(), coerce && self.coerce);
                let mut attempt = Self { mode: self.mode, location, errors: Vec::new(), below_choice: true, coerce };
                if let Some(read) = attempt.value(shape, value.clone()) {
                    return Some(read);
                }
                if nearest.as_ref().is_none_or(|errors| attempt.errors.len() < errors.len()) {
                    nearest = Some(attempt.errors);
                }
            }
        }
        self.errors.extend(nearest.unwrap_or_default());
        None
    }
}

/// Whether the value's JSON type is the shape's own.
fn is_of_type(shape: &Shape, value: &Value) -> bool {
    match shape {
        Shape::Any | Shape::Pick(_) | Shape::Strict(..) => true,
        Shape::Text | Shape::Word(_) => value.is_string(),
        Shape::Int | Shape::Float => value.is_number(),
        Shape::Bool | Shape::False => value.is_boolean(),
        Shape::Null => value.is_null(),
        Shape::List(_) => value.is_array(),
        Shape::Map(_) | Shape::Object(..) | Shape::By(..) => value.is_object(),
        Shape::Either(shapes) => shapes.iter().any(|shape| is_of_type(shape, value)),
    }
}
