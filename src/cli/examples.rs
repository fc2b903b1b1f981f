//! The examples in the help of each command, in one table.

use clap::Command;

/// Commands, and the lines that their help shows as examples.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("new", &["enginehouse new"]),
    (
        "serve",
        &[
            "enginehouse serve conf/demo.yaml",
            "enginehouse serve prod",
            "enginehouse serve base.yaml gpu-box.yaml --set listen=0.0.0.0:8000",
            "enginehouse serve prod --detach",
        ],
    ),
    (
        "run",
        &[
            "enginehouse run --model Qwen/Qwen3-0.6B",
            "enginehouse run --model /srv/models/qwen3 --gpus 0,1 --port 9000 --detach",
            "enginehouse run --shortcut my-qwen",
        ],
    ),
    (
        "shutdown",
        &[
            "enginehouse shutdown prod",
            "enginehouse shutdown conf/demo.yaml",
            "enginehouse shutdown --state-dir /var/lib/enginehouse/prod",
            "enginehouse shutdown --all",
        ],
    ),
    ("reload", &["enginehouse reload", "enginehouse reload prod", "enginehouse reload --json"]),
    ("plan", &["enginehouse plan prod", "enginehouse plan new.yaml --set models.qwen.replicas=2"]),
    (
        "check",
        &[
            "enginehouse check conf/demo.yaml",
            "enginehouse check prod --json",
            "enginehouse import litellm litellm.yaml | enginehouse check -",
        ],
    ),
    ("config", &["enginehouse config list", "enginehouse config import my.yaml prod", "enginehouse config edit prod"]),
    ("config list", &["enginehouse config list", "enginehouse config list --json"]),
    ("config show", &["enginehouse config show prod", "enginehouse config show prod --json"]),
    ("config edit", &["EDITOR=nano enginehouse config edit prod"]),
    ("config path", &["enginehouse config path prod"]),
    ("config export", &["enginehouse config export prod", "enginehouse config export prod backup.yaml --force"]),
    (
        "config import",
        &[
            "enginehouse config import my.yaml",
            "enginehouse config import my.yaml prod --force",
            "enginehouse import vllm-cli proxy_config.yaml | enginehouse config import - prod",
        ],
    ),
    ("config delete", &["enginehouse config delete prod", "enginehouse config delete prod --yes"]),
    (
        "explain",
        &[
            r#"echo '{"messages": []}' | enginehouse explain prod --alias qwen3-instant"#,
            "enginehouse explain prod --alias fast --header x-tier:gold --caller chatbot --json < body.json",
        ],
    ),
    ("import", &["enginehouse import litellm config.yaml > litellm.yaml"]),
    (
        "import gym",
        &[
            "enginehouse import gym policy.yaml env.yaml > gym.yaml",
            "enginehouse import gym '+config_paths=[a.yaml,b.yaml]' --root /srv/gym > gym.yaml",
        ],
    ),
    (
        "import vllm-cli",
        &["enginehouse import vllm-cli ~/.config/vllm-cli/proxy_configs/default.yaml \
             ~/.config/vllm-cli/user_profiles.json > prod.yaml"],
    ),
    ("import llama-swap", &["enginehouse import llama-swap config.yaml > prod.yaml"]),
    ("import litellm", &["enginehouse import litellm config.yaml > prod.yaml"]),
    ("schema", &["enginehouse schema > enginehouse.schema.json", "enginehouse schema --api > openapi.json"]),
    (
        "profiles",
        &["enginehouse profiles", "enginehouse profiles low_memory --json", "enginehouse profiles set mine mine.yaml"],
    ),
    ("profiles list", &["enginehouse profiles list", "enginehouse profiles list --json"]),
    ("profiles show", &["enginehouse profiles show low_memory", "enginehouse profiles show low_memory --json"]),
    ("profiles set", &["enginehouse profiles set mine mine.yaml"]),
    ("profiles edit", &["EDITOR=nano enginehouse profiles edit mine"]),
    ("profiles delete", &["enginehouse profiles delete mine", "enginehouse profiles delete mine --yes"]),
    (
        "profiles export",
        &["enginehouse profiles export mine", "enginehouse profiles export mine exported.yaml --force"],
    ),
    (
        "profiles import",
        &["enginehouse profiles import prod.yaml", "enginehouse profiles import exported.yaml --force"],
    ),
    ("profiles reset", &["enginehouse profiles reset low_memory"]),
    (
        "shortcuts",
        &[
            "enginehouse shortcuts set my-qwen qwen.yaml",
            "enginehouse shortcuts list",
            "enginehouse run --shortcut my-qwen",
        ],
    ),
    ("shortcuts list", &["enginehouse shortcuts list", "enginehouse shortcuts list --json"]),
    ("shortcuts show", &["enginehouse shortcuts show my-qwen", "enginehouse shortcuts show my-qwen --json"]),
    ("shortcuts set", &["enginehouse shortcuts set my-qwen qwen.yaml"]),
    ("shortcuts edit", &["EDITOR=nano enginehouse shortcuts edit my-qwen"]),
    ("shortcuts delete", &["enginehouse shortcuts delete my-qwen", "enginehouse shortcuts delete my-qwen --yes"]),
    (
        "shortcuts export",
        &["enginehouse shortcuts export my-qwen", "enginehouse shortcuts export my-qwen exported.yaml --force"],
    ),
    (
        "shortcuts import",
        &["enginehouse shortcuts import prod.yaml", "enginehouse shortcuts import exported.yaml --force"],
    ),
    ("status", &["enginehouse status", "enginehouse status --name prod --json", "enginehouse status --admin box:8001"]),
    ("top", &["enginehouse top", "enginehouse top --once", "enginehouse top --json"]),
    ("engines", &["enginehouse engines", "enginehouse engines qwen", "enginehouse engines qwen/0 --json"]),
    ("aliases", &["enginehouse aliases", "enginehouse aliases qwen3-instant --json"]),
    ("callers", &["enginehouse callers", "enginehouse callers --json"]),
    (
        "requests",
        &[
            "enginehouse requests --failed -n 50",
            "enginehouse requests --model qwen --status 503",
            "enginehouse requests -f --alias qwen3-instant --json",
            "enginehouse requests 740398cd77c4cb4d76ce81bb8e1fc8de",
        ],
    ),
    (
        "logs",
        &[
            "enginehouse logs",
            "enginehouse logs qwen --since 10m --grep error",
            "enginehouse logs qwen/0 -f -n 0",
            "enginehouse logs gateway --json",
        ],
    ),
    ("operations", &["enginehouse operations", "enginehouse operations -n 5 --json"]),
    ("cancel", &["enginehouse cancel 7"]),
    ("audit", &["enginehouse audit", "enginehouse audit -n 500 --json"]),
    (
        "log-level",
        &[
            "enginehouse log-level",
            "enginehouse log-level debug",
            "enginehouse log-level info,enginehouse::proxy=debug",
        ],
    ),
    ("start", &["enginehouse start qwen", "enginehouse start qwen/0"]),
    ("stop", &["enginehouse stop qwen", "enginehouse stop qwen/0 --no-wait"]),
    ("restart", &["enginehouse restart qwen", "enginehouse restart qwen/0 --json"]),
    ("drain", &["enginehouse drain qwen/0"]),
    ("undrain", &["enginehouse undrain qwen/0"]),
    ("sleep", &["enginehouse sleep qwen", "enginehouse sleep qwen/0 --level 2"]),
    ("wake", &["enginehouse wake qwen"]),
    ("roll", &["enginehouse roll qwen"]),
    ("scale", &["enginehouse scale qwen 2"]),
    ("lora", &["enginehouse lora add qwen sql /srv/adapters/sql", "enginehouse lora remove qwen sql"]),
    ("lora add", &["enginehouse lora add qwen sql /srv/adapters/sql"]),
    ("lora remove", &["enginehouse lora remove qwen sql"]),
    (
        "add",
        &[
            "enginehouse add model qwen source=Qwen/Qwen3-8B gpus=1",
            "enginehouse add alias terse model=qwen defaults.max_tokens=100",
            r#"enginehouse add caller chatbot 'keys=["${CHATBOT_KEY}"]'"#,
            "enginehouse add model qwen --from qwen.yaml --persist",
        ],
    ),
    ("remove", &["enginehouse remove alias terse", "enginehouse remove model qwen --undo"]),
    ("gpus", &["enginehouse gpus", "enginehouse gpus --json"]),
    (
        "bench",
        &[
            "enginehouse bench qwen3 --concurrency 32 --requests 500 --save before.json",
            "enginehouse bench qwen3 --rate 10 --poisson --duration 60s --max-tokens 256 --set ignore_eos=true",
            "enginehouse bench qwen3 --concurrency 32 --requests 500 --compare before.json",
            "enginehouse bench --show after.json --compare before.json",
        ],
    ),
    (
        "chat",
        &[
            "enginehouse chat qwen3",
            "enginehouse chat qwen3 --system 'Answer in one sentence.' What is a lease?",
            "git diff | enginehouse chat qwen3 --set temperature=0.2 'Write a message for this commit:'",
        ],
    ),
    ("models", &["enginehouse models", "enginehouse models qwen", "enginehouse models --dir /srv/models --json"]),
    ("doctor", &["enginehouse doctor", "enginehouse doctor prod", "enginehouse doctor prod --json"]),
    (
        "sim",
        &["enginehouse sim my-model --port 9001", "enginehouse sim my-model --port 9001 --served-model-name small"],
    ),
    (
        "completions",
        &[
            "enginehouse completions bash > ~/.local/share/bash-completion/completions/enginehouse",
            "enginehouse completions zsh > ~/.zfunc/_enginehouse",
            "enginehouse completions fish > ~/.config/fish/completions/enginehouse.fish",
        ],
    ),
    ("man", &["enginehouse man ~/.local/share/man/man1"]),
];

/// `command` with the examples of all its subcommands in their help.
pub(super) fn with_examples(command: Command) -> Command {
    command.mut_subcommands(|subcommand| {
        let path = subcommand.get_name().to_owned();
        exampled(subcommand, &path)
    })
}

fn exampled(command: Command, path: &str) -> Command {
    let found = EXAMPLES.iter().find(|(known, _)| *known == path);
    let command = match found {
        Some((_, lines)) => command.after_help(format!("Examples:\n  {}", lines.join("\n  "))),
        None => command,
    };
    command.mut_subcommands(|subcommand| {
        let path = format!("{path} {}", subcommand.get_name());
        exampled(subcommand, &path)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::import::split;

    /// The commands below `command` with their paths.
    fn all(command: &Command, path: &str) -> Vec<(String, Command)> {
        let mut found = Vec::new();
        for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            let path = format!("{path} {}", one.get_name()).trim().to_owned();
            found.extend(all(one, &path));
            found.push((path, one.clone()));
        }
        found
    }

    /// What a line runs of this program, as a shell would: what comes before and behind `|`, `<` and `>` is not its own.
    fn arguments(line: &str) -> Vec<Vec<String>> {
        let words = split(line).expect("quotation marks are closed");
        let commands = words.split(|word| word == "|");
        commands
            .filter_map(|words| {
                let at = words.iter().position(|word| word == "enginehouse")?;
                Some(words[at..].iter().take_while(|word| *word != ">" && *word != "<").cloned().collect())
            })
            .collect()
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_is_understood() {
        let command = crate::cli::command_line();
        let known = all(&command, "");
        let paths: BTreeSet<&str> = known.iter().map(|(path, _)| path.as_str()).collect();
        let told: BTreeSet<&str> = EXAMPLES.iter().map(|(path, _)| *path).collect();
        assert_eq!(told, paths, "each command has its entry, once");
        assert_eq!(told.len(), EXAMPLES.len());
        for (path, one) in known {
            let help = one.term_width(1000).render_long_help().to_string();
            let (_, examples) = help.split_once("Examples:\n").expect("examples");
            let lines: Vec<&str> =
                examples.lines().map(str::trim).filter(|line| line.contains("enginehouse")).collect();
            let mut shows_it = false;
            for line in lines {
                let runs = arguments(line);
                assert!(!runs.is_empty(), "{path}: {line}");
                for words in runs {
                    shows_it |= words[1..].join(" ").starts_with(&path);
                    let parsed = command.clone().try_get_matches_from(&words);
                    assert!(
                        parsed.is_ok(),
                        "{path}: {line}\n{}",
                        parsed.err().map(|why| why.to_string()).unwrap_or_default()
                    );
                }
            }
            assert!(shows_it, "the examples of `{path}` are about it");
        }
    }

    #[test]
    fn the_examples_of_the_list_of_commands_are_understood() {
        let command = crate::cli::command_line();
        let help = command.clone().term_width(1000).render_long_help().to_string();
        let (_, examples) = help.split_once("Examples:\n").expect("examples");
        let mut count = 0;
        for line in examples.lines().map(str::trim).filter(|line| line.starts_with("enginehouse ")) {
            let parsed = command.clone().try_get_matches_from(&arguments(line)[0]);
            assert!(parsed.is_ok(), "{line}");
            count += 1;
        }
        assert!(count > 3, "{examples}");
    }
}
