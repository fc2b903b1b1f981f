//! What a process is called, for a person who wants to know who holds a GPU.

use std::path::Path;

/// Longest name that is shown.
const LONGEST: usize = 48;

/// Interpreters: what they run says more than what they are.
const INTERPRETERS: [&str; 6] = ["python", "bash", "sh", "node", "perl", "ruby"];

/// Name of the process `pid`; `None` when it is gone or not visible from here.
#[must_use]
pub fn name(pid: u32) -> Option<String> {
    let folder = Path::new("/proc").join(pid.to_string());
    let line = std::fs::read(folder.join("cmdline")).ok().and_then(|line| from_command_line(&line));
    line.or_else(|| {
        let short = std::fs::read_to_string(folder.join("comm")).ok()?;
        Some(short.trim().to_owned()).filter(|name| !name.is_empty())
    })
}

/// `python3 train.py` of `/usr/bin/python3\0-u\0/home/me/train.py\0--key=secret\0`. Further arguments are never shown:
/// they may be secrets.
fn from_command_line(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split('\0');
    // A process that named itself (`VLLM::EngineCore`) has one word with blanks, and no zero bytes or many at the end.
    let program = base(words.next()?.trim());
    if program.is_empty() {
        return None;
    }
    let interprets = INTERPRETERS.iter().any(|name| {
        program.strip_prefix(name).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    });
    let script = interprets.then(|| script(words)).flatten();
    let whole = script.map_or_else(|| program.to_owned(), |script| format!("{program} {script}"));
    Some(whole.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect())
}

/// The file or module that an interpreter runs; nothing for code on the command line.
fn script<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<String> {
    loop {
        match words.next()? {
            "-m" => return words.next().map(|module| format!("-m {module}")),
            "-c" | "-e" | "" => return None,
            // The few options with a value would pass for one; then a number or a word is shown, which does no harm.
            flag if flag.starts_with('-') => {}
            file => return Some(base(file).to_owned()),
        }
    }
}

fn base(path: &str) -> &str {
    // What follows a blank is arguments of a process that rewrote its command line.
    let path = path.split(' ').next().unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_scripts_are_named_and_arguments_are_not() {
        let cases = [
            ("/usr/bin/python3\0-u\0/home/me/train.py\0--key=sk-1\0", Some("python3 train.py")),
            ("/opt/venv/bin/python\0-m\0torch.distributed.run\0x\0", Some("python -m torch.distributed.run")),
            ("python3.11\0-c\0secret()\0", Some("python3.11")),
            ("/usr/bin/vllm\0serve\0m\0--api-key\0sk-1\0", Some("vllm")),
            ("VLLM::EngineCore\0\0\0", Some("VLLM::EngineCore")),
            ("ollama runner --model x", Some("ollama")),
            ("", None),
            ("\0\0", None),
        ];
        for (line, expected) in cases {
            assert_eq!(from_command_line(line.as_bytes()).as_deref(), expected, "{line:?}");
        }
    }

    #[test]
    fn our_own_name_is_known_and_that_of_nobody_is_not() {
        assert!(name(std::process::id()).is_some());
        assert_eq!(name(u32::MAX), None);
    }
}
