"""Claude Code, without an account: `claude -p` with the gateway as ANTHROPIC_BASE_URL."""

import json

import command
import say
import scripted_engine
from stack import KEY, Stack

CALLS = {"Bash": {"command": "cat note.txt", "description": "Read the note"}}


def claude(stack, model, *words, key=KEY):
    environment = {
        "CLAUDE_CONFIG_DIR": str(stack.folder / "claude"),
        "ANTHROPIC_BASE_URL": stack.gateway,
        "ANTHROPIC_AUTH_TOKEN": key,
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_SMALL_FAST_MODEL": model,
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
    }
    return command.run(["claude", *words], stack.folder, environment)


def answers(stack, model, path):
    """the request reaches the engine; the answer and its tokens are printed"""
    done = claude(stack, model, "-p", "Say gorgonzola.", "--output-format", "json")
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    assert "Every engine says something" in said["result"] and not said["is_error"], said
    assert said["usage"]["output_tokens"] > 0 and said["usage"]["input_tokens"] > 0, said["usage"]
    body = next(body for body in stack.seen(path) if "Say gorgonzola." in json.dumps(body))
    assert body["stream"] is True and body["tools"], body


def an_answer_of_the_engines_own_api(stack):
    """/v1/messages of the engine"""
    answers(stack, "native", "/v1/messages")


def an_answer_over_chat(stack):
    """/v1/messages over the engine's Chat Completions, under a name that Anthropic has"""
    answers(stack, "claude-sonnet-4-5", "/v1/chat/completions")


def an_unknown_model_is_told(stack):
    """it ends with an error that has the model's name"""
    done = claude(stack, "no-such-model", "-p", "Hi")
    assert done.returncode != 0 and "no-such-model" in done.stdout + done.stderr, done


def a_wrong_key_is_told(stack):
    """it ends with an error that tells of the key"""
    done = claude(stack, "native", "-p", "Hi", key="sk-wrong")
    assert done.returncode != 0 and "401" in done.stdout + done.stderr, done


def a_tool_is_called_and_its_result_read(stack):
    """the model calls Bash, Claude Code runs it, and the model tells what it said"""
    (stack.folder / "work").mkdir(exist_ok=True)
    (stack.folder / "work/note.txt").write_text(scripted_engine.NOTE + "\n")
    words = ["-p", "What does note.txt say?", "--allowedTools", "Bash(cat:*)"]
    done = claude(stack, "translated", *words)
    assert done.returncode == 0 and f"The note says {scripted_engine.NOTE}." in done.stdout, done


if __name__ == "__main__":
    with (
        Stack(["--max-model-len", "200000"]) as sim,
        scripted_engine.running(CALLS) as engine,
        Stack(engine=engine.url) as scripted,
    ):
        own = [an_answer_of_the_engines_own_api, an_answer_over_chat, an_unknown_model_is_told, a_wrong_key_is_told]
        checks = say.bound(own, sim) + say.bound([a_tool_is_called_and_its_result_read], scripted)
        say.run("claude-code", command.version("claude"), checks)
