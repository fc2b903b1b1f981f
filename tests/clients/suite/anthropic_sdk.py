"""The `anthropic` package against an engine's own Messages API and against Messages over Chat Completions."""

import asyncio
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import anthropic

import anthropic_client as client
import say
import shared
from stack import Stack


def models_are_listed(args):
    """models.list and models.retrieve in Anthropic's shape"""
    api = client.client(args)
    cards = {card.id: card for card in api.models.list()}
    assert {"native", "translated"} <= set(cards), cards
    assert cards[args.model].type == "model" and cards[args.model].display_name, cards
    assert api.models.retrieve(args.model).id == args.model
    error = shared.refused(anthropic.NotFoundError, lambda: api.models.retrieve("no-such-model"))
    assert error.body["type"] == "error", error.body


def a_bearer_token_is_a_key(args):
    """`auth_token` instead of `api_key`, as agents behind a gateway use it"""
    api = anthropic.Anthropic(base_url=args.gateway, auth_token="sk-caller", max_retries=0)
    assert api.messages.create(model=args.model, max_tokens=5, messages=client.HELLO).content


def a_wrong_key_is_refused(args):
    """AuthenticationError, plain and streamed"""
    api = client.client(args).with_options(api_key="sk-wrong")
    for stream in (False, True):
        error = shared.refused(
            anthropic.AuthenticationError,
            lambda: api.messages.create(model=args.model, max_tokens=5, messages=client.HELLO, stream=stream),
        )
        assert error.body["error"]["type"] == "authentication_error", error.body
        assert error.request_id, error.response.headers


def what_the_engine_refuses_has_its_class(args):
    """the class of the exception is that of the engine's status"""
    for status, kind in (
        (400, anthropic.BadRequestError),
        (422, anthropic.UnprocessableEntityError),
        (429, anthropic.RateLimitError),
    ):
        args.stack.plan_fault(f"status:{status}")
        error = shared.refused(
            kind, lambda: client.client(args).messages.create(model=args.model, max_tokens=5, messages=client.HELLO)
        )
        assert error.status_code == status, error


def a_stream_whose_engine_dies_raises(args):
    """an APIStatusError after the text that came, never a message that looks complete"""
    args.stack.plan_fault("die-after:8")
    seen = []

    def read():
        with client.client(args).messages.stream(model=args.model, max_tokens=40, messages=client.HELLO) as stream:
            seen.extend(stream)

    error = shared.refused(anthropic.APIError, read)
    assert seen and error.message, error


def a_request_has_an_id(args):
    """`request-id` where the package looks for it"""
    answer = client.client(args).messages.create(model=args.model, max_tokens=5, messages=client.HELLO)
    assert answer._request_id, answer


def the_async_client_talks_in_parallel(args):
    """ten streams of one asynchronous client at once, each whole"""

    async def one(api):
        async with api.messages.stream(model=args.model, max_tokens=8, messages=client.HELLO) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            whole = await stream.get_final_message()
        assert text == whole.content[-1].text and whole.usage.output_tokens == 8, whole

    async def all_of_them():
        async with anthropic.AsyncAnthropic(base_url=args.gateway, api_key="sk-caller", max_retries=0) as api:
            await asyncio.gather(*(one(api) for _ in range(10)))

    asyncio.run(all_of_them())


def a_structured_answer_conforms(args):
    """`output_config` with a JSON Schema, whole and streamed"""
    asked = {
        "model": args.model,
        "max_tokens": 99,
        "messages": client.HELLO,
        "extra_body": {"output_config": {"format": {"type": "json_schema", "schema": shared.PLACE}}},
    }
    whole = client.client(args).messages.create(**asked)
    shared.is_a_place(whole.content[-1].text)
    with client.client(args).messages.stream(**asked) as stream:
        shared.is_a_place("".join(stream.text_stream))


CHECKS = [
    client.a_message_is_answered,
    client.a_message_streams,
    client.an_alias_applies_its_settings,
    client.tokens_are_counted,
    client.an_unknown_model_is_not_found,
    client.a_model_without_an_engine_is_overloaded,
    models_are_listed,
    a_bearer_token_is_a_key,
    a_wrong_key_is_refused,
    what_the_engine_refuses_has_its_class,
    a_stream_whose_engine_dies_raises,
    a_request_has_an_id,
    the_async_client_talks_in_parallel,
    a_structured_answer_conforms,
    client.thinking_and_text_stream,
    client.tools_are_called,
]
# Over an engine that tells thoughts from text.
THINKING = [client.thinking_and_text_stream, a_structured_answer_conforms]

if __name__ == "__main__":
    with (
        Stack(["--max-model-len", "512", "--tokens", "40"]) as stack,
        Stack(["--reasoning-parser", "qwen3", "--gap", "0ms"]) as thinking,
    ):
        checks = say.bound(CHECKS, stack.arguments("native"))
        checks += say.bound(CHECKS, stack.arguments("translated"))
        for name in ("native", "translated"):
            checks += say.bound(THINKING, thinking.arguments(name, reasoning=True))
        say.run("anthropic", anthropic.__version__, checks)
