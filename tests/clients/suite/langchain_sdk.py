"""The `langchain-openai` package: chat models over Chat Completions and over Responses, and embeddings."""

import importlib.metadata
import json

import openai
import pydantic
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

import say
from stack import KEY, Stack


class Place(pydantic.BaseModel):
    """A place."""

    city: str


def get_weather(city: str) -> str:
    """The weather somewhere."""
    return f"rain in {city}"


def model(args, **options):
    return ChatOpenAI(
        base_url=args.gateway + "/v1", api_key=KEY, max_retries=0, timeout=60, **{"model": args.model} | options
    )


def chat_answers(args):
    """invoke, with usage and the name that was asked for"""
    answer = model(args, max_tokens=12).invoke("How are you?")
    assert answer.text, answer
    assert answer.usage_metadata["output_tokens"] == 12, answer.usage_metadata
    assert answer.response_metadata["model_name"] == args.model, answer.response_metadata


def chat_streams(args):
    """stream: many chunks, and usage in the last of them"""
    chunks = list(model(args, max_tokens=12, stream_usage=True).stream("How are you?"))
    whole = sum(chunks[1:], chunks[0])
    assert len(chunks) > 5 and whole.text, chunks
    assert whole.usage_metadata["output_tokens"] == 12, whole


def responses_answer(args):
    """the same over the Responses API, whole and streamed"""
    api = model(args, use_responses_api=True)
    answer = api.invoke([("system", "Be brief."), ("user", "How are you?")])
    assert answer.text and answer.usage_metadata["output_tokens"] > 0, answer
    chunks = list(api.stream("How are you?"))
    whole = sum(chunks[1:], chunks[0])
    assert len(chunks) > 5 and whole.text and whole.usage_metadata["output_tokens"] > 0, whole


def batches_answer(args):
    """ten prompts at once"""
    answers = model(args, max_tokens=5).batch([f"Number {n}" for n in range(10)])
    assert all(answer.text for answer in answers), answers


def tools_are_called(args):
    """a forced tool, whole and streamed, and the conversation that goes on from it"""
    for choice in ("get_weather", "any"):
        api = model(args).bind_tools([get_weather], tool_choice=choice)
        answer = api.invoke("The weather in Paris?")
        chunks = list(api.stream("The weather in Paris?"))
        for said in (answer, sum(chunks[1:], chunks[0])):
            assert [call["name"] for call in said.tool_calls] == ["get_weather"], said
            assert isinstance(said.tool_calls[0]["args"]["city"], str) and said.tool_calls[0]["id"], said
    told = ToolMessage(get_weather("Paris"), tool_call_id=answer.tool_calls[0]["id"])
    assert model(args).bind_tools([get_weather]).invoke([("user", "The weather?"), answer, told]).text


def responses_call_tools(args):
    """a forced tool over the Responses API"""
    api = model(args, use_responses_api=True).bind_tools([get_weather], tool_choice="any")
    answer = api.invoke("The weather in Paris?")
    assert [call["name"] for call in answer.tool_calls] == ["get_weather"], answer


def structured_answers(args):
    """with_structured_output by JSON schema, over both APIs"""
    for responses in (False, True):
        api = model(args, use_responses_api=responses).with_structured_output(Place, method="json_schema")
        assert isinstance(api.invoke("Where?"), Place), responses


def embeddings_answer(args):
    """embed_documents and embed_query"""
    api = OpenAIEmbeddings(
        base_url=args.gateway + "/v1", api_key=KEY, model=args.embed, check_embedding_ctx_length=False, max_retries=0
    )
    vectors = api.embed_documents(["one", "two"])
    assert len(vectors) == 2 and len(vectors[0]) == len(api.embed_query("one")) > 1


def errors_have_their_class(args):
    """an unknown model, a wrong key, and a model without an engine"""
    for kind, options in (
        (openai.NotFoundError, {"model": "no-such-model"}),
        (openai.AuthenticationError, {"api_key": "sk-wrong"}),
        (openai.InternalServerError, {"model": "down"}),
    ):
        api = ChatOpenAI(
            **{"base_url": args.gateway + "/v1", "api_key": KEY, "model": args.model, "max_retries": 0} | options
        )
        for call in (lambda: api.invoke("Hi"), lambda: list(api.stream("Hi"))):
            try:
                answer = call()
            except kind as error:
                assert error.body["message"], json.dumps(error.body)
            else:
                raise AssertionError(f"{kind.__name__} was expected; the answer was {answer!r}")


CHECKS = [
    chat_answers,
    chat_streams,
    responses_answer,
    batches_answer,
    tools_are_called,
    responses_call_tools,
    structured_answers,
    embeddings_answer,
    errors_have_their_class,
]

if __name__ == "__main__":
    with Stack() as stack:
        checks = say.bound(CHECKS, stack.arguments("native"))
        checks += say.bound(CHECKS, stack.arguments("translated"))
        say.run("langchain-openai", importlib.metadata.version("langchain-openai"), checks)
