//! What `vllm serve --help=all` says about its flags.

/// The flags of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Help {
    flags: Vec<Flag>,
}

/// A flag, all its spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flag {
    /// Spellings of two dashes, without them; the opposite too (`no-enable-x`).
    pub(super) long: Vec<String>,
    /// Spellings of one dash, without it.
    pub(super) short: Vec<String>,
    /// How many values it takes.
    pub(super) takes: Takes,
    /// What the values may be; empty: anything.
    pub(super) choices: Vec<String>,
}

/// How many values a flag takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Takes {
    /// None: it is a switch.
    #[default]
    Nothing,
    /// None or one.
    Maybe,
    /// One.
    One,
    /// At least one.
    Some,
    /// Any number.
    Any,
}

/// Fewer flags than this are no `vllm serve`, which has 300.
const FEWEST: usize = 20;

impl Help {
    /// The flags in what argparse printed; `None` when it is not the help of a vLLM server.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // An entry begins two columns in; its explanation and the examples stand further right.
        let entries = text.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with('-'));
        let flags: Vec<Flag> =
            entries.map(flag).filter(|flag| !flag.long.is_empty() || !flag.short.is_empty()).collect();
        let help = Self { flags };
        let server = ["port", "served-model-name"].iter().all(|name| help.exact(name).is_some());
        (server && help.flags.len() >= FEWEST).then_some(help)
    }

    /// The flag that `--name` means: spelt so, or the only one that begins so, as argparse has it.
    pub(super) fn find(&self, name: &str) -> Option<&Flag> {
        self.exact(name).or_else(|| {
            let begins = |flag: &&Flag| flag.long.iter().any(|long| long.starts_with(name));
            let mut found = self.flags.iter().filter(begins);
            found.next().filter(|_| !name.is_empty() && found.next().is_none())
        })
    }

    /// The flag with this very spelling.
    pub(super) fn exact(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.long.iter().any(|long| long == name))
    }

    /// The flag with this spelling of one dash.
    pub(super) fn short(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.short.iter().any(|short| short == name))
    }

    /// Every flag.
    pub(super) fn flags(&self) -> &[Flag] {
        &self.flags
    }
}

impl Flag {
    /// Its usual spelling.
    pub(super) fn name(&self) -> &str {
        self.long.first().or(self.short.first()).map_or("", String::as_str)
    }

    /// Whether `--no-name` is known.
    pub(super) fn has_opposite(&self) -> bool {
        self.long.iter().any(|long| long.strip_prefix("no-").is_some_and(|name| self.long.iter().any(|it| it == name)))
    }
}

/// `--aa X, -a X   explanation`, or `-a, --aa X` as Python 3.13 prints it.
fn flag(line: &str) -> Flag {
    let mut flag = Flag::default();
    let mut rest = line;
    loop {
        let dashes = rest.len() - rest.trim_start_matches('-').len();
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        let name = &rest[dashes.min(end)..end];
        match dashes {
            1 if !name.is_empty() => flag.short.push(name.to_owned()),
            2.. if !name.is_empty() => flag.long.push(name.to_owned()),
            _ => return flag,
        }
        rest = &rest[end..];
        if let Some(values) = rest.strip_prefix(' ').filter(|rest| !rest.starts_with(' ')) {
            let length = placeholder(values);
            let (takes, choices) = values_of(&values[..length]);
            if takes != Takes::Nothing {
                (flag.takes, flag.choices) = (takes, choices);
            }
            rest = &values[length..];
        }
        match rest.strip_prefix(", ").filter(|rest| rest.starts_with('-')) {
            Some(next) => rest = next,
            None => return flag,
        }
    }
}

/// How far the stand-in for the values goes: to the next spelling, or to the gap before the explanation.
fn placeholder(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ' ' if text[at..].starts_with("  ") => return at,
            ',' if depth == 0 && text[at..].starts_with(", -") => return at,
            _ => {}
        }
    }
    text.len()
}

/// `X`, `[X]`, `X [X ...]`, `[X ...]`, where X may be `{a,b}` (nothing else is taken) or `['a', 'b']` (suggestions).
fn values_of(text: &str) -> (Takes, Vec<String>) {
    let text = text.trim();
    let takes = match text {
        "" => Takes::Nothing,
        _ if text.ends_with("...]") && text.starts_with('[') => Takes::Any,
        _ if text.ends_with("...]") => Takes::Some,
        _ if text.starts_with('[') && text.ends_with(']') && !text.starts_with("['") => Takes::Maybe,
        _ => Takes::One,
    };
    let list =
        text.trim_start_matches('[').strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(list, _)| list);
    (takes, list.map(|list| list.split(',').map(|word| word.trim().to_owned()).collect()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::HELP;
    use super::*;

    #[test]
    fn the_real_help_is_understood() {
        let help = Help::parse(HELP).expect("the help of vLLM 0.32");
        assert_eq!(help.flags().len(), HELP.lines().filter(|line| line.starts_with("  -")).count());
        let of = |name: &str| help.exact(name).unwrap_or_else(|| panic!("--{name}"));
        assert_eq!(of("port").takes, Takes::One);
        assert_eq!((of("headless").takes, of("headless").has_opposite()), (Takes::Nothing, false));
        let ep = of("enable-expert-parallel");
        assert_eq!((ep.takes, ep.has_opposite(), ep.short[0].as_str()), (Takes::Nothing, true, "ep"));
        assert_eq!((of("hf-token").takes, of("lora-modules").takes), (Takes::Maybe, Takes::Some));
        assert_eq!(of("dtype").choices, ["auto", "bfloat16", "float", "float16", "float32", "half"]);
        assert!(of("moe-backend").choices.contains(&"flashinfer_trtllm".to_owned()));
        assert_eq!((of("config-format").takes, of("config-format").choices.len()), (Takes::One, 0), "suggestions");
        assert_eq!(of("device-memory-utilization").name(), "gpu-memory-utilization");
        assert_eq!(help.short("tp").map(Flag::name), Some("tensor-parallel-size"));
        assert_eq!(help.find("tensor-par").map(Flag::name), Some("tensor-parallel-size"));
        assert!(help.find("max-").is_none() && help.find("").is_none());
        assert!(help.flags().iter().all(|flag| !flag.long.is_empty()));
    }

    #[test]
    fn every_form_of_argparse() {
        let of = |line: &str| flag(line);
        assert_eq!(of("-q, --quantization X  Method").long, ["quantization"]);
        assert_eq!(of("-q, --quantization X  Method").takes, Takes::One);
        assert_eq!(of("--a {x,y} [{x,y} ...], -b {x,y} [{x,y} ...]").choices, ["x", "y"]);
        assert_eq!(of("--a {x,y} [{x,y} ...], -b {x,y} [{x,y} ...]").takes, Takes::Some);
        assert_eq!(of("--a [A ...]").takes, Takes::Any);
        assert_eq!(of("--a ['x', 'y'], -b ['x', 'y']").short, ["b"]);
        assert_eq!(of("--a, --no-a, -b").takes, Takes::Nothing);
        assert_eq!(of("--a   Explained, -not a flag").short, Vec::<String>::new());
        for garbage in ["-", "--", "---", "-,", "- -", "--,--", "-- x"] {
            assert_eq!(of(garbage).long.len() + of(garbage).short.len(), 0, "{garbage}");
        }
    }

    #[test]
    fn what_is_no_help_is_refused() {
        for text in ["", "usage: ls [OPTION]\n  --port PORT\n", "Traceback (most recent call last):\n  File x\n"] {
            assert_eq!(Help::parse(text), None);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Help::parse(&text);
        }

        #[test]
        fn no_entry_panics(line in r"[-{}\[\], a-z.'…]{0,40}") {
            let flag = flag(&format!("-{line}"));
            prop_assert!(flag.long.iter().chain(&flag.short).all(|name| !name.is_empty() && !name.contains([' ', ','])));
        }

        #[test]
        fn what_is_printed_is_read(
            long in "[a-z][a-z0-9-]{1,20}", short in "[a-z]{1,3}", choices in prop::collection::vec("[a-z0-9_]{1,8}", 2..6),
            opposite in any::<bool>(), shape in 0..4_usize, modern in any::<bool>(),
        ) {
            let value = format!("{{{}}}", choices.join(","));
            let (value, takes) = match shape {
                0 => (String::new(), Takes::Nothing),
                1 => (format!(" {value}"), Takes::One),
                2 => (format!(" {value} [{value} ...]"), Takes::Some),
                _ => (format!(" [{value}]"), Takes::Maybe),
            };
            let line = match (takes, modern) {
                (Takes::Nothing, _) if opposite => format!("--{long}, --no-{long}, -{short}"),
                (_, true) => format!("-{short}, --{long}{value}"),
                (_, false) => format!("--{long}{value}, -{short}{value}   Some words, -x"),
            };
            let flag = flag(&line);
            prop_assert_eq!((flag.name(), &flag.short, flag.takes), (long.as_str(), &vec![short], takes));
            prop_assert_eq!(flag.choices, if takes == Takes::Nothing { vec![] } else { choices });
        }
    }
}
