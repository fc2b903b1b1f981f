//! Scalars as pydantic reads them: `"0.5"` is a number and `"true"` a boolean where they are wanted.

use serde_json::{Number, Value};

use super::shape::Shape;

/// The value as the scalar `shape`; otherwise pydantic's type of error, and its message. `coerce`: whether strings may
/// stand for numbers and booleans.
pub(super) fn scalar(shape: &Shape, value: &Value, coerce: bool) -> Result<Value, (&'static str, String)> {
    let (read, (kind, message)) = match shape {
        Shape::Int => (whole(value, coerce), int_error(value)),
        Shape::Float => (number(value, coerce), float_error(value)),
        Shape::Bool => (boolean(value, coerce), bool_error(value)),
        // To Python, 0 is `False` here, although 1 is not `True`.
        Shape::False => {
            let is_false = *value == false || value.as_f64() == Some(0.0);
            (is_false.then_some(Value::Bool(false)), ("literal_error", "Input should be False"))
        }
        Shape::Null => (value.is_null().then_some(Value::Null), ("none_required", "Input should be None")),
        Shape::Word(words) if value.as_str().is_some_and(|text| words.contains(&text)) => return Ok(value.clone()),
        Shape::Word(words) => return Err(("literal_error", format!("Input should be {}", quoted(words.iter())))),
        _ => (value.is_string().then(|| value.clone()), ("string_type", "Input should be a valid string")),
    };
    read.ok_or_else(|| (kind, message.to_owned()))
}

/// A whole number, also written as `5.0`, `"5"` or a boolean.
fn whole(value: &Value, coerce: bool) -> Option<Value> {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(value.clone()),
        Value::Number(number) if coerce => number.as_f64().and_then(without_fraction),
        Value::String(text) if coerce => {
            let text = without_underscores(text.trim());
            let exact = text.parse::<i64>().ok().map(Value::from);
            exact.or_else(|| text.parse::<f64>().ok().filter(|_| text.contains('.')).and_then(without_fraction))
        }
        Value::Bool(is) if coerce => Some(Value::from(i64::from(*is))),
        _ => None,
    }
}

/// `1_000` as Python reads it.
fn without_underscores(text: &str) -> String {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.contains('_') && text.split('_').all(digits) { text.replace('_', "") } else { text.to_owned() }
}

fn without_fraction(number: f64) -> Option<Value> {
    // Beyond 2^53 a float does not say which whole number is meant.
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then(|| Value::from(number as i64))
}

fn number(value: &Value, coerce: bool) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) if coerce => text.trim().parse().ok().and_then(Number::from_f64).map(Value::Number),
        Value::Bool(is) if coerce => Some(Value::from(f64::from(u8::from(*is)))),
        _ => None,
    }
}

fn boolean(value: &Value, coerce: bool) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::Number(number) if coerce => match number.as_f64() {
            Some(1.0) => Some(Value::Bool(true)),
            Some(0.0) => Some(Value::Bool(false)),
            _ => None,
        },
        Value::String(text) if coerce => match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "t" | "true" | "y" | "yes" => Some(Value::Bool(true)),
            "0" | "off" | "f" | "false" | "n" | "no" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

fn int_error(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::String(_) => ("int_parsing", "Input should be a valid integer, unable to parse string as an integer"),
        Value::Number(_) => ("int_from_float", "Input should be a valid integer, got a number with a fractional part"),
        _ => ("int_type", "Input should be a valid integer"),
    }
}

fn float_error(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::String(_) => ("float_parsing", "Input should be a valid number, unable to parse string as a number"),
        _ => ("float_type", "Input should be a valid number"),
    }
}

fn bool_error(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::String(_) => ("bool_parsing", "Input should be a valid boolean, unable to interpret input"),
        _ => ("bool_type", "Input should be a valid boolean"),
    }
}

/// `'a', 'b' or 'c'`.
pub(super) fn quoted<'a>(words: impl Iterator<Item = &'a &'a str>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
