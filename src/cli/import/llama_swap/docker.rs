//! `docker run …` with vLLM's image: to a command that Enginehouse can add a model and flags to.

use serde_json::Value;

/// Options of `docker run` that have no value of their own.
const SWITCHES: &[&str] = &[
    "--rm",
    "--init",
    "--detach",
    "--interactive",
    "--tty",
    "--privileged",
    "--read-only",
    "--publish-all",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--quiet",
];

/// Options that would make the container one that cannot be stopped, reached or started again.
const DROPPED: &[&str] = &[
    "--detach",
    "--interactive",
    "--tty",
    "-p",
    "--publish",
    "--publish-all",
    "--name",
    "--restart",
    "--network",
    "--net",
    "--rm",
    "--init",
    "-h",
    "--hostname",
    "--expose",
    "--add-host",
];

/// A container.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Container {
    /// The command up to and with the image.
    pub(super) command: Vec<String>,
    /// Variables that it is given with their values.
    pub(super) env: Vec<(String, String)>,
    /// The GPUs that it is given, if they are listed.
    pub(super) gpus: Option<String>,
    /// What follows the image.
    pub(super) words: Vec<String>,
}

/// Reads the words of a command that begins with `docker run`, or `podman run`.
pub(super) fn container(words: &[String]) -> Option<Container> {
    let (program, rest) = words.split_first()?;
    let is_docker = ["docker", "podman"].contains(&program.rsplit('/').next()?);
    let rest = rest.strip_prefix(&["container".to_owned()]).unwrap_or(rest);
    let (run, mut rest) = rest.split_first()?;
    if !is_docker || run != "run" {
        return None;
    }
    let mut out = Container::default();
    let (mut options, mut passed) = (Vec::new(), vec!["VLLM_API_KEY".to_owned(), "CUDA_VISIBLE_DEVICES".to_owned()]);
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        if !word.starts_with('-') {
            let image = word;
            out.command =
                [program.as_str(), "run", "--rm", "--init", "--network=host", "--gpus=all"].map(str::to_owned).to_vec();
            out.command.extend(passed.into_iter().flat_map(|name| ["-e".to_owned(), name]));
            out.command.extend(options);
            out.command.push(image.clone());
            out.words = rest.to_vec();
            return is_vllm(image).then_some(out);
        }
        let (option, value) = match word.split_once('=') {
            Some((option, value)) if word.starts_with("--") => (option, Some(value.to_owned())),
            _ if is_switch(word) => (word.as_str(), None),
            // `-p8000:8000`
            _ if !word.starts_with("--") && word.len() > 2 && word.is_char_boundary(2) => {
                let (option, value) = word.split_at(2);
                (option, Some(value.to_owned()))
            }
            _ => {
                let (value, after) = rest.split_first()?;
                rest = after;
                (word.as_str(), Some(value.clone()))
            }
        };
        match (option, value) {
            ("-e" | "--env", Some(value)) => {
                let name = value.split_once('=').map_or(value.as_str(), |(name, _)| name).to_owned();
                out.env.extend(value.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
                if !passed.contains(&name) {
                    passed.push(name);
                }
            }
            ("--gpus", Some(value)) => {
                let value = value.trim_matches(['"', '\'']);
                out.gpus = value.strip_prefix("device=").map(str::to_owned).or(out.gpus);
            }
            // Another program than vLLM may be inside.
            ("--entrypoint", _) => return None,
            (option, _) if DROPPED.contains(&option) || !option.starts_with("--") && is_switch(option) => {}
            (option, Some(value)) => options.extend([option.to_owned(), value]),
            (option, None) => options.push(option.to_owned()),
        }
    }
    None
}

fn is_switch(word: &str) -> bool {
    let letters = word.strip_prefix('-').filter(|letters| !letters.is_empty());
    SWITCHES.contains(&word) || letters.is_some_and(|letters| letters.chars().all(|letter| "ditqP".contains(letter)))
}

fn is_vllm(image: &str) -> bool {
    let name = image.split(['@', ':']).next().unwrap_or(image);
    name.split('/').any(|part| part.starts_with("vllm"))
}

/// Words before the flags that the image's program takes, or that say which program that is.
pub(super) fn without_program(words: &[String]) -> &[String] {
    let begins =
        |begin: &[&str]| words.len() >= begin.len() && words.iter().zip(begin).all(|(word, begin)| word == begin);
    match () {
        () if begins(&["vllm", "serve"]) => words.get(2..).unwrap_or_default(),
        () if begins(&["serve"]) => words.get(1..).unwrap_or_default(),
        () => words,
    }
}

/// GPUs as a text.
pub(super) fn gpus(container: &Container) -> Option<Value> {
    container.gpus.clone().map(Value::String)
}

#[cfg(test)]
mod tests {
    use super::super::super::words::split;
    use super::*;

    #[test]
    fn a_container_of_vllm_keeps_what_it_needs() {
        let words = split(
            "docker run --name m -d --init --rm -p 8000:8000 --gpus '\"device=0,1\"' --ipc=host -v /m:/m \
                --shm-size 8g \
             -e HF_TOKEN=hf_1 --env LOG --network mine vllm/vllm-openai:v0.32.0 --model org/m --max-model-len 8192",
        );
        let got = container(&words.expect("closed")).expect("a container");
        assert_eq!(
            got.command.join(" "),
            "docker run --rm --init --network=host --gpus=all -e VLLM_API_KEY -e CUDA_VISIBLE_DEVICES -e \
                HF_TOKEN -e LOG \
             --ipc host -v /m:/m --shm-size 8g vllm/vllm-openai:v0.32.0"
        );
        assert_eq!(got.env, [("HF_TOKEN".to_owned(), "hf_1".to_owned())]);
        assert_eq!(
            (got.gpus.as_deref(), got.words.join(" ")),
            (Some("0,1"), "--model org/m --max-model-len 8192".into())
        );
    }

    #[test]
    fn others_are_none() {
        for text in [
            "docker run ghcr.io/ggml-org/llama.cpp:server -m x",
            "docker ps",
            "vllm serve m",
            "docker run",
            "docker run --entrypoint bash vllm/vllm-openai",
            "docker run -v",
        ] {
            assert_eq!(container(&split(text).expect("closed")), None, "{text}");
        }
    }
}
