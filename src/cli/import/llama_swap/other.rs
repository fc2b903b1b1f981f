//! A program that is not vLLM: the model that it could be, with placeholders, for a person to look through.

/// Flags whose value is what the program loads.
const MODEL: &[&str] = &["-m", "--model", "--model-path", "-hf", "--hf-repo"];

/// What such a program loads, and its words with placeholders for that and for its `port`; `None` where its port is not among
/// them, or braces of its own are.
pub(super) fn suggestion(words: &[String], port: Option<u64>) -> Option<(Option<String>, Vec<String>)> {
    let port = port?.to_string();
    let has_braces = |word: &String| word.replace("${", "").contains('{');
    if words.iter().any(has_braces) {
        return None;
    }
    let (mut source, mut with_port) = (None, false);
    let mut out: Vec<String> = Vec::new();
    for word in words {
        let before = word.strip_suffix(port.as_str());
        let is_model = out.last().is_some_and(|flag| MODEL.contains(&flag.as_str()));
        out.push(match before {
            Some(before) if before.is_empty() || before.ends_with(['=', ':']) => {
                with_port = true;
                format!("{before}{{port}}")
            }
            _ if is_model && source.is_none() => {
                source = Some(word.clone());
                "{source}".to_owned()
            }
            _ => word.clone(),
        });
    }
    with_port.then_some((source, out))
}

#[cfg(test)]
mod tests {
    use super::super::super::words::split;
    use super::*;

    #[test]
    fn its_port_and_its_model_are_placeholders() {
        let of = |text: &str| {
            let (source, words) = suggestion(&split(text).expect("closed"), Some(5801))?;
            Some((source.unwrap_or_default(), words.join(" ")))
        };
        let expected = ("/m/a.gguf".to_owned(), "/x/llama-server --port {port} -m {source} -c 4096".to_owned());
        assert_eq!(of("/x/llama-server --port 5801 -m /m/a.gguf -c 4096"), Some(expected));
        assert_eq!(of("run --listen=0.0.0.0:5801"), Some((String::new(), "run --listen=0.0.0.0:{port}".to_owned())));
        for none in ["llama-server --port 9000", "x 5801 '{\"a\": 1}'", "x 15801"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(suggestion(&["5801".to_owned()], None), None);
    }
}
