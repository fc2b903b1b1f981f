//! JSON as Python's `json.dumps` writes it: arguments of calls are strings, so a model sees their white space.

use serde_json::Value;

/// The JSON text of a value: a space after `,` and `:`, everything beyond ASCII escaped.
pub(super) fn dumps(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                text(name, out);
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write(value, out);
            }
            out.push(']');
        }
        Value::String(it) => text(it, out),
        other => out.push_str(&other.to_string()),
    }
}

fn text(text: &str, out: &mut String) {
    for c in Value::from(text).to_string().chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn as_python_spells_it() {
        let value = json!({ "a": 1, "b": [true, null, 1.5, "é😀\n\"\\"], "c": {}, "d": [] });
        assert_eq!(dumps(&value), r#"{"a": 1, "b": [true, null, 1.5, "\u00e9\ud83d\ude00\n\"\\"], "c": {}, "d": []}"#);
    }
}
