"""Codex CLI, without an account: `codex exec` with the gateway as a provider of the Responses API."""

import json

import command
import say
import scripted_engine
from stack import KEY, Stack

CONFIG = """
model = {model}
model_provider = "gateway"
approval_policy = "never"
# It runs one command, `cat` of a file of its own; sandboxes do not start in every container.
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.gateway]
name = "Enginehouse"
base_url = {url}
wire_api = "responses"
env_key = "SUITE_KEY"
request_max_retries = 0
stream_max_retries = 0
"""

# Its shell has had several names.
CALLS = {
    "exec_command": {"cmd": "cat note.txt"},
    "shell_command": {"command": "cat note.txt"},
    "shell": {"command": ["cat", "note.txt"]},
}


def codex(stack, model, prompt, key=KEY):
    home = stack.folder / "codex"
    home.mkdir(exist_ok=True)
    text = CONFIG.format(model=json.dumps(model), url=json.dumps(stack.gateway + "/v1"))
    (home / "config.toml").write_text(text)
    words = ["codex", "exec", "--skip-git-repo-check", prompt]
    return command.run(words, stack.folder, {"CODEX_HOME": str(home), "SUITE_KEY": key})


def answers(stack, model, path):
    """the request reaches the engine and the answer is printed"""
    done = codex(stack, model, "Say gorgonzola.")
    assert done.returncode == 0 and "You said: Say gorgonzola." in done.stdout, done
    body = stack.seen(path)[0]
    assert "Say gorgonzola." in json.dumps(body) and body["stream"] is True and body["tools"], body


def an_answer_of_the_engines_own_api(stack):
    """/v1/responses of the engine"""
    answers(stack, "native", "/v1/responses")


def an_answer_over_chat(stack):
    """/v1/responses over the engine's Chat Completions, under a name that OpenAI has"""
    answers(stack, "gpt-5-codex", "/v1/chat/completions")


def an_unknown_model_is_told(stack):
    """what the gateway says of it is what the user reads"""
    done = codex(stack, "no-such-model", "Hi")
    assert done.returncode != 0 and "`no-such-model` does not exist" in done.stdout + done.stderr, done


def a_wrong_key_is_told(stack):
    """401 is what the user reads"""
    done = codex(stack, "native", "Hi", key="sk-wrong")
    assert done.returncode != 0 and "401" in done.stdout + done.stderr, done


def a_tool_is_called_and_its_result_read(stack):
    """the model calls its shell, Codex runs it, and the model tells what it said"""
    (stack.folder / "work").mkdir(exist_ok=True)
    (stack.folder / "work/note.txt").write_text(scripted_engine.NOTE + "\n")
    done = codex(stack, "translated", "What does note.txt say?")
    assert done.returncode == 0 and f"The note says {scripted_engine.NOTE}." in done.stdout, done


if __name__ == "__main__":
    with (
        Stack(["--max-model-len", "200000"]) as sim,
        scripted_engine.running(CALLS) as engine,
        Stack(engine=engine.url) as scripted,
    ):
        own = [an_answer_of_the_engines_own_api, an_answer_over_chat, an_unknown_model_is_told, a_wrong_key_is_told]
        checks = say.bound(own, sim) + say.bound([a_tool_is_called_and_its_result_read], scripted)
        say.run("codex", command.version("codex"), checks)
