"""The `litellm` package, through four of its providers: Chat Completions, vLLM, Anthropic's Messages, and Responses."""

import asyncio
import importlib.metadata
import os

# Its list of prices comes with the package.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

import say
from stack import KEY, Stack

litellm.telemetry = False
litellm.suppress_debug_info = True

HELLO = [{"role": "user", "content": "How are you?"}]
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather somewhere.", "parameters": PLACE},
}


def providers(args):
    """What `litellm` calls the model and its address, for each provider that speaks to it."""
    openai = args.gateway + "/v1"
    return [
        {"model": f"openai/{args.model}", "api_base": openai},
        {"model": f"hosted_vllm/{args.model}", "api_base": openai},
        {"model": f"anthropic/{args.model}", "api_base": args.gateway},
    ]


def ask(call, where, **more):
    return call(**{"api_key": KEY, "max_retries": 0, "num_retries": 0, "timeout": 60} | where | more)


def chat_answers(args):
    """completion, with usage"""
    for where in providers(args):
        answer = ask(litellm.completion, where, messages=HELLO, max_tokens=12)
        assert answer.choices[0].message.content, answer
        assert answer.usage.completion_tokens == 12 and answer.usage.prompt_tokens > 0, answer


def chat_streams(args):
    """a streamed completion, with usage"""
    for where in providers(args):
        chunks = list(
            ask(
                litellm.completion, where, messages=HELLO, max_tokens=12, stream=True,
                stream_options={"include_usage": True},
            )
        )
        whole = litellm.stream_chunk_builder(chunks, messages=HELLO)
        assert len(chunks) > 5 and whole.choices[0].message.content, chunks
        assert whole.usage.completion_tokens == 12, (where, whole.usage)


def the_async_client_answers(args):
    """acompletion, all providers at once"""

    async def all_of_them():
        calls = [ask(litellm.acompletion, where, messages=HELLO, max_tokens=5) for where in providers(args)]
        return await asyncio.gather(*calls)

    assert all(answer.choices[0].message.content for answer in asyncio.run(all_of_them()))


def tools_are_called(args):
    """a tool by name and as required, whole and streamed"""
    for where in providers(args):
        for choice in ({"type": "function", "function": {"name": "get_weather"}}, "required"):
            asked = {"messages": HELLO, "max_tokens": 64, "tools": [WEATHER], "tool_choice": choice}
            plain = ask(litellm.completion, where, **asked)
            chunks = list(ask(litellm.completion, where, stream=True, **asked))
            for answer in (plain, litellm.stream_chunk_builder(chunks, messages=HELLO)):
                calls = answer.choices[0].message.tool_calls
                assert [call.function.name for call in calls] == ["get_weather"], (where, answer)
                assert calls[0].function.arguments.replace(" ", "") == '{"city":"Paris"}', (where, calls)


def responses_answer(args):
    """the Responses API, whole and streamed"""
    where = providers(args)[0]
    answer = ask(litellm.responses, where, input="How are you?", max_output_tokens=20)
    assert answer.output[-1].content[0].text and answer.usage.output_tokens == 20, answer
    kinds = [event.type for event in ask(litellm.responses, where, input="How are you?", stream=True)]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds


def embeddings_answer(args):
    """embedding"""
    for provider in ("openai", "hosted_vllm"):
        where = {"model": f"{provider}/{args.embed}", "api_base": args.gateway + "/v1"}
        answer = ask(litellm.embedding, where, input=["one", "two"])
        assert len(answer.data) == 2 and answer.usage.prompt_tokens > 0, answer


def models_are_listed(args):
    """the provider's list of models"""
    names = litellm.get_valid_models(
        check_provider_endpoint=True, custom_llm_provider="openai", api_key=KEY, api_base=args.gateway + "/v1"
    )
    assert any(name.split("/")[-1] == args.model for name in names), names


def errors_have_their_class(args):
    """an unknown model, a wrong key, too long a prompt, a full engine, and a model without an engine"""
    for where in providers(args):
        provider = where["model"].split("/")[0]
        long = [{"role": "user", "content": "word " * 3000}]
        for kind, more in (
            (litellm.NotFoundError, {"model": f"{provider}/no-such-model"}),
            (litellm.AuthenticationError, {"api_key": "sk-wrong"}),
            (litellm.ContextWindowExceededError, {"messages": long}),
            (litellm.RateLimitError, {"fault": "status:429"}),
            ((litellm.ServiceUnavailableError, litellm.InternalServerError), {"model": f"{provider}/down"}),
        ):
            if fault := more.pop("fault", None):
                args.stack.plan_fault(fault)
            try:
                answer = ask(litellm.completion, where, **{"messages": HELLO, "max_tokens": 5} | more)
            except Exception as error:
                assert isinstance(error, kind), f"{where['model']}, {more.keys()}: {type(error).__name__} {error}"
            else:
                raise AssertionError(f"{kind} was expected of {where['model']}; the answer was {answer!r}")


CHECKS = [
    chat_answers,
    chat_streams,
    the_async_client_answers,
    tools_are_called,
    responses_answer,
    embeddings_answer,
    models_are_listed,
    errors_have_their_class,
]

if __name__ == "__main__":
    with Stack(["--max-model-len", "512"]) as stack:
        checks = say.bound(CHECKS, stack.arguments("native"))
        checks += say.bound(CHECKS, stack.arguments("translated"))
        say.run("litellm", importlib.metadata.version("litellm"), checks)
