"""The `openai` package against an engine's own dialects and against translated ones."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import openai
import pydantic

import openai_client as client
import say
import shared
from stack import Stack


class Place(pydantic.BaseModel):
    city: str


def a_wrong_key_is_refused(args):
    """AuthenticationError, plain and streamed, also for the list of models"""
    api = client.client(args).with_options(api_key="sk-wrong")
    ask = lambda **more: api.chat.completions.create(model=args.model, messages=client.HELLO, **more)
    for call in (ask, lambda: ask(stream=True), api.models.list):
        error = shared.refused(openai.AuthenticationError, call)
        assert error.status_code == 401 and error.body["message"], error.body


def what_the_engine_refuses_has_its_class(args):
    """the class of the exception is that of the engine's status"""
    for status, kind in (
        (400, openai.BadRequestError),
        (403, openai.PermissionDeniedError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
    ):
        args.stack.plan_fault(f"status:{status}")
        error = shared.refused(
            kind, lambda: client.client(args).chat.completions.create(model=args.model, messages=client.HELLO)
        )
        assert error.status_code == status, error


def a_stream_whose_engine_dies_raises(args):
    """an APIError after the text that came, never a stream that looks complete"""
    for stream in (
        lambda api: api.chat.completions.create(model=args.model, messages=client.HELLO, stream=True),
        lambda api: api.completions.create(model=args.model, prompt="One two", stream=True),
        lambda api: api.responses.create(model=args.model, input="Hi", stream=True),
    ):
        args.stack.plan_fault("die-after:8")
        seen = []

        def read():
            seen.extend(event.to_dict() for event in stream(client.client(args)))
            return seen[-1]

        # The Responses API tells of it in an event of its own.
        try:
            last = read()
        except openai.APIError as error:
            assert error.message, error
            assert seen, "the error came before all text"
        else:
            assert last.get("type") in ("response.failed", "error"), last


def a_structured_answer_is_parsed(args):
    """`parse` with a class, in chat and in Responses"""
    api = client.client(args)
    chat = api.chat.completions.parse(model=args.model, messages=client.HELLO, response_format=Place)
    assert isinstance(chat.choices[0].message.parsed, Place), chat
    answer = api.responses.parse(model=args.model, input="Where?", text_format=Place)
    assert isinstance(answer.output_parsed, Place), answer


def the_stream_helper_puts_chat_together(args):
    """`chat.completions.stream`: the whole answer at the end is what came in pieces"""
    asked = {"model": args.model, "messages": client.HELLO, "stream_options": {"include_usage": True}}
    with client.client(args).chat.completions.stream(**asked) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "content.delta")
        whole = stream.get_final_completion()
    assert deltas and deltas == whole.choices[0].message.content and whole.usage.completion_tokens > 0, whole


def embeddings_of_tokens_answer(args):
    """embeddings of token ids, as frameworks send them that count tokens themselves"""
    answer = client.client(args).embeddings.create(model=args.embed, input=[[1, 2, 3], [4, 5]])
    assert [item.index for item in answer.data] == [0, 1], answer


def what_is_not_served_is_not_found(args):
    """NotFoundError of the gateway, with words, for parts of OpenAI's API that vLLM does not have"""
    api = client.client(args)
    for call in (api.files.list, api.batches.list, lambda: api.images.generate(model=args.model, prompt="a cat")):
        error = shared.refused(openai.NotFoundError, call)
        assert error.body and error.body["message"], error.response.text


def audio_is_transcribed(args):
    """a form with a file"""
    answer = client.client(args).audio.transcriptions.create(model=args.model, file=("a.wav", b"RIFF" + bytes(400)))
    assert answer.text, answer


MORE = [
    client.embeddings_answer,
    client.a_model_without_an_engine_is_unavailable,
    a_wrong_key_is_refused,
    what_the_engine_refuses_has_its_class,
    a_stream_whose_engine_dies_raises,
    a_structured_answer_is_parsed,
    the_stream_helper_puts_chat_together,
    client.responses_call_tools,
    client.responses_stream_text_and_reasoning,
    embeddings_of_tokens_answer,
    what_is_not_served_is_not_found,
    audio_is_transcribed,
]
# An engine answers these itself, each in its way.
TRANSLATED = [client.what_no_engine_can_do_is_refused]
# Over an engine that tells thoughts from text.
THINKING = [
    client.chat_streams_reasoning,
    client.responses_stream_text_and_reasoning,
    a_structured_answer_is_parsed,
]

if __name__ == "__main__":
    with (
        Stack(["--max-model-len", "512", "--gap", "10ms", "--tokens", "40"]) as stack,
        Stack(["--reasoning-parser", "qwen3", "--gap", "0ms"]) as thinking,
    ):
        checks = say.bound(client.CHECKS + MORE, stack.arguments("native"))
        checks += say.bound(client.CHECKS + MORE + TRANSLATED, stack.arguments("translated"))
        for name in ("native", "translated"):
            checks += say.bound(THINKING, thinking.arguments(name, reasoning=True))
        say.run("openai", openai.__version__, checks)
