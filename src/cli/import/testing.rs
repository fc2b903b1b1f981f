//! Arbitrary files, for property tests of imports.

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Any tree of YAML.
pub(super) fn any_value(text: &'static str) -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text, inner), 0..4).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}
