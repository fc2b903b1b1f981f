//! `enginehouse schema`: the JSON Schema of the configuration, for editors, and the OpenAPI description of the operators' API.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::{api, config};

/// Prints the JSON Schema to standard output; with `api` the OpenAPI description of the operators' API.
#[must_use]
pub fn run(api: bool) -> ExitCode {
    let text = if api { api_text() } else { text() };
    match write!(io::stdout().lock(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The JSON Schema as text, indented, with a line break at its end.
fn text() -> String {
    format!("{:#}\n", config::schema())
}

/// The OpenAPI description of the operators' API, in the same form.
fn api_text() -> String {
    format!("{:#}\n", api::openapi())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_shipped_schemas_are_those_of_the_types() {
        for (name, text) in [("enginehouse.schema.json", super::text()), ("openapi.json", super::api_text())] {
            let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name);
            if std::env::var_os("ENGINEHOUSE_WRITE_SCHEMA").is_some() {
                std::fs::write(&shipped, &text).expect("a writable conf/");
            }
            assert!(
                std::fs::read_to_string(&shipped).unwrap_or_default() == text,
                "{} is not what the types say; run this test with ENGINEHOUSE_WRITE_SCHEMA=1 to write it anew",
                shipped.display()
            );
        }
    }
}
