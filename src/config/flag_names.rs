//! Names of engines' flags, which people spell in several ways.

use serde_json::{Map, Value};

/// Long names of the flags that vLLM also has in short, with a single dash.
const SHORT: &[(&str, &str)] = &[
    ("asc", "api-server-count"),
    ("dcp", "decode-context-parallel-size"),
    ("dp", "data-parallel-size"),
    ("dpa", "data-parallel-address"),
    ("dpb", "data-parallel-backend"),
    ("dpe", "data-parallel-external-lb"),
    ("dph", "data-parallel-hybrid-lb"),
    ("dpl", "data-parallel-size-local"),
    ("dpn", "data-parallel-rank"),
    ("dpp", "data-parallel-rpc-port"),
    ("dpr", "data-parallel-start-rank"),
    ("ep", "enable-expert-parallel"),
    ("pcp", "prefill-context-parallel-size"),
    ("pp", "pipeline-parallel-size"),
    ("tp", "tensor-parallel-size"),
];

/// A flag's name as vLLM's help spells it: `max_model_len` and `--max-model-len` are `max-model-len`, `tp` is
/// `tensor-parallel-size`; what follows a dot (`compilation-config.use_x`) names a member of a JSON value and keeps its
/// spelling.
#[must_use]
pub fn flag_name(written: &str) -> String {
    let name = written.trim_start_matches('-');
    if let Some((_, long)) = SHORT.iter().find(|(short, _)| *short == name) {
        return (*long).to_owned();
    }
    match name.split_once('.') {
        Some((flag, member)) => format!("{}.{member}", flag.replace('_', "-")),
        None => name.replace('_', "-"),
    }
}

/// The value of the flag called `name` in vLLM's help, however it is spelt in `args`.
#[must_use]
pub fn flag_value<'a>(args: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    args.iter().find(|(flag, _)| flag_name(flag) == name).map(|(_, value)| value)
}

/// What two spellings of one switch share: `no-enable-x: true` says what `enable-x: false` says.
pub(super) fn switch(written: &str) -> String {
    let name = flag_name(written);
    name.strip_prefix("no-").map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flag_has_one_name() {
        for (written, name) in [
            ("max_model_len", "max-model-len"),
            ("--max-model-len", "max-model-len"),
            ("tp", "tensor-parallel-size"),
            ("compilation_config.use_x", "compilation-config.use_x"),
        ] {
            assert_eq!(flag_name(written), name);
        }
        assert_eq!((switch("no_enable_x"), switch("enable-x")), ("enable-x".to_owned(), "enable-x".to_owned()));
    }
}
