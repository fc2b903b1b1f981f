"""What the scripts of this folder share: the gateway that is tested, and the running of checks."""

import argparse
import json
import sys
import time
import traceback
import urllib.request

# Everything is on loopback: a proxy of the environment must not see it.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# A model that must call a tool is held to its schema, token by token, so that even one with random weights makes a call
# that is whole: there are but two.
CITIES = ("Paris", "Rome")
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": list(CITIES)}},
    "required": ["city"],
    "additionalProperties": False,
}

# A model with random weights thinks when its prompt opens a thought, and stops when vLLM closes it: the budget counts from
# the end of the question, so a few tokens of it are the prompt's.
PONDER = "How are you? <think>"
BUDGET = {
    "chat_template_kwargs": {"enable_thinking": True},
    "thinking_token_budget": 16,
    "ignore_eos": True,
    "seed": 1,
}


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--gateway", required=True, help="base URL of the gateway, without a path")
    parser.add_argument("--engine", required=True, help="base URL of the one engine of --model")
    parser.add_argument("--model", required=True, help="a model that chats; its context is 512 tokens")
    parser.add_argument("--short", required=True, help="an alias of it: no thinking, at most 8 tokens")
    parser.add_argument("--embed", help="a model that embeds")
    parser.add_argument("--down", help="a model that has no engine")
    parser.add_argument("--translated", action="store_true", help="the gateway speaks this API over the engine's chat")
    parser.add_argument("--tools", action="store_true", help="tools can be called in this API, not only in chat")
    parser.add_argument("--reasoning", action="store_true", help="the engine of --model tells reasoning from text")
    return parser.parse_args()


def get(url):
    with _opener.open(url, timeout=10) as reply:
        return reply.read().decode()


def gauge(engine, name):
    """The value of a metric of the engine."""
    lines = [line for line in get(engine + "/metrics").splitlines() if line.startswith(name + "{")]
    assert lines, f"the engine has no metric {name}"
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def idle_within(engine, seconds):
    """How long the engine took to have nothing to do; fails when that is longer than `seconds`."""
    since = time.monotonic()
    while gauge(engine, "vllm:num_requests_running") + gauge(engine, "vllm:num_requests_waiting") > 0:
        assert time.monotonic() - since < seconds, f"the engine was still busy after {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - since


def refused(kind, call):
    """The exception of class `kind` that `call` raises."""
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected; the answer was {answer!r}")


def without_thoughts(items):
    """the items of an answer but for the model's reasoning, which an engine may tell before a call"""
    return [item for item in items if item.type not in ("reasoning", "thinking")]


def is_a_place(arguments):
    """The arguments of a call, which must be what `PLACE` allows; told as a text or as they are."""
    said = json.loads(arguments) if isinstance(arguments, str) else arguments
    assert isinstance(said, dict) and list(said) == ["city"] and said["city"] in CITIES, arguments
    return said


def reaches_the_model(ask):
    """Asks with a tool's result of one word and of many: `ask` answers with the tokens of the prompt."""
    short, long = ask("rain"), ask("rain " * 20)
    assert long >= short + 19, f"a result of 20 words made a prompt of {long} tokens, one of a word {short}"
    return f"{short} and {long} prompt tokens"


def run(checks, args):
    """Runs every check; says which failed and how, and ends the process accordingly."""
    failed = []
    for check in checks:
        try:
            said = check(args)
            print(f"ok     {check.__name__}" + (f": {said}" if said else ""), flush=True)
        except Exception:
            failed.append(check.__name__)
            print(f"FAILED {check.__name__} ({check.__doc__})\n{traceback.format_exc()}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
    print(f"{len(checks)} checks passed")
