//! The schema language by example, and pydantic's readings of values.

use serde_json::{Value, json};

use super::shape::{Absent, Others, Shape, field, object, shape, shapes};
use super::validate::{DropRefused, Mode, validate};

shapes! {
    INNER = { a: text, ! };
    OUTER = {
        number: int, when?: (float | null), word: ("x" | "y") = "x", note: text = null, one?: INNER,
        many?: [(by type "inner" => { type: text, a: text, ! })], kind?: (strict "s" else text)
    };
}

/// The value as read, or each error's type and location.
fn read(value: Value, mode: Mode) -> Result<Value, Vec<(&'static str, String)>> {
    let told = |error: &super::ValidationError| (error.kind, error.detail()["loc"].to_string());
    validate(&OUTER, value, mode).map_err(|errors| errors.iter().map(told).collect())
}

#[test]
fn members_are_coerced_filled_and_dropped() {
    let value = json!({ "number": "1_000", "when": true, "other": 1 });
    let expected = json!({ "number": 1000, "when": 1.0, "word": "x", "note": null });
    assert_eq!(read(value.clone(), Mode::default()), Ok(expected));
    let kept = read(value, Mode { keep_unknown: true, ..Mode::default() }).expect("valid");
    assert_eq!(kept["other"], 1);
    for (number, expected) in [(json!(5.0), Some(5)), (json!("5.0"), Some(5)), (json!(5.5), None), (json!(null), None)]
    {
        let read = read(json!({ "number": number }), Mode::default()).ok();
        assert_eq!(read.map(|read| read["number"].clone()), expected.map(Value::from), "{number}");
    }
}

#[test]
fn every_error_has_its_location() {
    let value = json!({ "word": "z", "when": {}, "one": { "a": 1, "b": 2 }, "many": [{}, { "type": "inner" }] });
    let expected = [
        ("missing", "[\"body\",\"number\"]"),
        ("float_type", "[\"body\",\"when\"]"),
        ("literal_error", "[\"body\",\"word\"]"),
        ("string_type", "[\"body\",\"one\",\"a\"]"),
        ("extra_forbidden", "[\"body\",\"one\",\"b\"]"),
        ("union_tag_not_found", "[\"body\",\"many\",0]"),
        ("missing", "[\"body\",\"many\",1,\"a\"]"),
    ];
    let errors = read(value, Mode::default()).expect_err("invalid");
    assert_eq!(errors.iter().map(|(kind, place)| (*kind, place.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn modes_are_more_lenient() {
    let plain = json!({ "number": 1, "one": { "a": "x", "b": 2 } });
    let chosen = json!({ "number": 1, "many": [{ "type": "inner", "a": "x", "b": 2 }] });
    let valid = |value: &Value, drop_refused| read(value.clone(), Mode { drop_refused, ..Mode::default() }).is_ok();
    assert!(!valid(&plain, DropRefused::Never) && !valid(&chosen, DropRefused::Never));
    assert!(valid(&plain, DropRefused::OutsideChoices) && !valid(&chosen, DropRefused::OutsideChoices));
    assert!(valid(&plain, DropRefused::Always) && valid(&chosen, DropRefused::Always));
    let kind = json!({ "number": 1, "kind": "t" });
    assert!(read(kind.clone(), Mode::default()).is_ok());
    assert!(read(kind, Mode { strict: true, ..Mode::default() }).is_err());
}
