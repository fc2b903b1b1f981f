//! `enginehouse schema`: the JSON Schema of the configuration, for editors.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config;

/// Prints the JSON Schema to standard output.
#[must_use]
pub fn run() -> ExitCode {
    match write!(io::stdout().lock(), "{}", text()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The JSON Schema as text, indented, with a line break at its end.
fn text() -> String {
    format!("{:#}\n", config::schema())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_shipped_schema_is_the_one_of_the_types() {
        let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/enginehouse.schema.json");
        if std::env::var_os("ENGINEHOUSE_WRITE_SCHEMA").is_some() {
            std::fs::write(&shipped, super::text()).expect("a writable conf/");
        }
        let text = std::fs::read_to_string(&shipped).unwrap_or_default();
        assert!(
            text == super::text(),
            "{} is not what the types say; regenerate it: cargo run -- schema > conf/enginehouse.schema.json \
             (or run this test with ENGINEHOUSE_WRITE_SCHEMA=1)",
            shipped.display()
        );
    }
}
