//! `--set KEY=JSON`: further members of a request's body.

use std::str::FromStr;

use serde_json::{Map, Value};

/// One member of a body.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Setting {
    name: String,
    value: Value,
}

impl Setting {
    /// Puts all of them into `body`, in their order; what stands there already is replaced.
    pub(in crate::cli) fn apply(settings: &[Self], body: &mut Map<String, Value>) {
        for setting in settings {
            body.insert(setting.name.clone(), setting.value.clone());
        }
    }
}

impl FromStr for Setting {
    type Err = String;

    /// A value that does not look like JSON is a text: `--set reasoning_effort=low`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("KEY=JSON is expected, for example temperature=0.2")?;
        if name.is_empty() {
            return Err("there is no key before `=`; an example: temperature=0.2".into());
        }
        let value = match serde_json::from_str(value) {
            Ok(value) => value,
            Err(error) if value.trim_start().starts_with(['{', '[', '"']) => {
                return Err(format!(
                    "the value is no JSON: {error}. Put it into single quotes, so that the shell keeps it."
                ));
            }
            Err(_) => Value::String(value.to_owned()),
        };
        Ok(Self { name: name.to_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_json_or_plain_texts() {
        let mut body = Map::from_iter([("a".to_owned(), json!(1))]);
        let given = ["a=0.5", "b=low", "c={\"d\": [true]}", "e=\"1\"", "f=", "g=x=y"];
        Setting::apply(&given.map(|text| text.parse().expect(text)), &mut body);
        let wanted = json!({ "a": 0.5, "b": "low", "c": { "d": [true] }, "e": "1", "f": "", "g": "x=y" });
        assert_eq!(Value::Object(body), wanted);
        for bad in ["a", "=1", "a={", "a=[1"] {
            assert!(bad.parse::<Setting>().is_err(), "{bad}");
        }
    }
}
