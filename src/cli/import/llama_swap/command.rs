//! What a model's `cmd` starts: vLLM, in whatever way, or another program.

use serde_json::Value;

use super::super::words::{arguments, split};
use super::docker::{container, gpus, without_program};

/// A vLLM that a command starts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Vllm {
    /// What stands before the model and its flags; `None`: `vllm serve` of the PATH.
    pub(super) command: Option<Vec<String>>,
    /// Words that belong to no flag.
    pub(super) words: Vec<String>,
    /// Its flags.
    pub(super) flags: Vec<(String, Value)>,
    /// Variables that the command sets.
    pub(super) env: Vec<(String, String)>,
    /// GPUs that its container is given.
    pub(super) gpus: Option<Value>,
}

/// What a command starts.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    /// A vLLM.
    Vllm(Box<Vllm>),
    /// Another program: its words.
    Other(Vec<String>),
    /// Nothing that can be told: why.
    Unclear(&'static str),
}

/// Reads `cmd`.
pub(super) fn command(cmd: &str) -> Command {
    let Some(words) = split(cmd) else { return Command::Unclear("a quotation mark is not closed") };
    let words = match &words[..] {
        // `bash -c '…'` with one plain command in it.
        [shell, flag, script, ..]
            if ["sh", "bash", "zsh"].contains(&base(shell)) && flag.starts_with('-') && flag.ends_with('c') =>
        {
            if script.contains(['|', '&', ';', '<', '>', '`', '\n']) || script.contains("$(") {
                return Command::Unclear("it is a script of a shell");
            }
            let Some(inner) = split(script) else { return Command::Unclear("a quotation mark is not closed") };
            inner
        }
        _ => words,
    };
    let (env, words) = assignments(words);
    let Some(program) = words.first() else { return Command::Unclear("it is empty") };
    if base(program).is_empty() {
        return Command::Unclear("it names no program");
    }
    match vllm(&words) {
        Some(mut vllm) => {
            vllm.env.splice(0..0, env);
            Command::Vllm(Box::new(vllm))
        }
        None => Command::Other(words),
    }
}

/// Variables in front of a command, and the command.
fn assignments(words: Vec<String>) -> (Vec<(String, String)>, Vec<String>) {
    let mut env = Vec::new();
    let mut rest = words.into_iter().peekable();
    while let Some(word) = rest.peek() {
        match word.split_once('=') {
            _ if base(word) == "env" || word == "exec" => {}
            Some((name, value)) if crate::config::is_variable(name) => env.push((name.to_owned(), value.to_owned())),
            _ => break,
        }
        rest.next();
    }
    (env, rest.collect())
}

fn vllm(words: &[String]) -> Option<Vllm> {
    if let Some(container) = container(words) {
        let arguments = arguments(without_program(&container.words));
        let gpus = gpus(&container);
        let (command, env) = (Some(container.command), container.env);
        return Some(Vllm { command, words: arguments.words, flags: arguments.flags, env, gpus });
    }
    // `uv run vllm serve`, `numactl … vllm serve`: what is in front stays.
    let served = words.windows(2).position(|pair| base(&pair[0]) == "vllm" && pair[1] == "serve");
    let module = words.windows(2).position(|pair| pair[0] == "-m" && pair[1] == "vllm.entrypoints.openai.api_server");
    let (command, rest) = match (served, module) {
        (Some(at), _) => (words.get(..at + 2)?.to_vec(), words.get(at + 2..)?),
        (None, Some(at)) => {
            // The module takes no model without `--model`; the program beside the same Python does.
            let python = words.get(at.checked_sub(1)?)?;
            let folder = python.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let mut command = words.get(..at - 1)?.to_vec();
            command.extend([format!("{folder}vllm"), "serve".to_owned()]);
            (command, words.get(at + 2..)?)
        }
        (None, None) => return None,
    };
    let arguments = arguments(rest);
    let command = (command != ["vllm", "serve"]).then_some(command);
    Some(Vllm { command, words: arguments.words, flags: arguments.flags, ..Vllm::default() })
}

/// A program without its folder.
pub(super) fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cmd: &str) -> Vllm {
        match command(cmd) {
            Command::Vllm(vllm) => *vllm,
            other => panic!("{cmd}: {other:?}"),
        }
    }

    #[test]
    fn vllm_is_found_however_it_is_started() {
        for (cmd, before) in [
            ("vllm serve org/m --seed 1", None),
            ("/opt/v/bin/vllm serve org/m --seed 1", Some("/opt/v/bin/vllm serve")),
            ("uv run vllm serve org/m --seed 1", Some("uv run vllm serve")),
            ("bash -c 'exec vllm serve org/m --seed 1'", None),
            ("python3 -m vllm.entrypoints.openai.api_server org/m --seed 1", None),
            (
                "/opt/v/bin/python -m vllm.entrypoints.openai.api_server org/m --seed \
                1",
                Some("/opt/v/bin/vllm serve"),
            ),
            ("numactl -N 0 vllm serve org/m --seed 1", Some("numactl -N 0 vllm serve")),
        ] {
            let got = found(cmd);
            assert_eq!(
                (got.command.map(|words| words.join(" ")).as_deref(), got.words.join(" ").as_str()),
                (before, "org/m"),
                "{cmd}"
            );
            assert_eq!(got.flags, [("seed".to_owned(), 1.into())], "{cmd}");
        }
        let got = found("env CUDA_VISIBLE_DEVICES=1 A='b c' vllm serve m");
        assert_eq!(got.env, [("CUDA_VISIBLE_DEVICES".to_owned(), "1".to_owned()), ("A".to_owned(), "b c".to_owned())]);
        let got = found("docker run --gpus device=2 -e A=1 vllm/vllm-openai:latest --model org/m");
        assert_eq!((got.gpus, got.flags), (Some("2".into()), vec![("model".to_owned(), "org/m".into())]));
    }

    #[test]
    fn other_programs_are_named() {
        assert_eq!(
            command("/x/llama-server -m a.gguf --port 1"),
            Command::Other(split("/x/llama-server -m a.gguf --port 1").expect("closed"))
        );
        assert_eq!(command("bash -c 'cd /x && vllm serve m'"), Command::Unclear("it is a script of a shell"));
        assert_eq!(command("# nothing\n"), Command::Unclear("it is empty"));
        assert_eq!(command("vllm serve 'm"), Command::Unclear("a quotation mark is not closed"));
        assert!(matches!(command("docker run ghcr.io/ggml-org/llama.cpp:server -m x"), Command::Other(_)));
    }
}
