"""The requests that Open WebUI's backend sends to an OpenAI-compatible server, by the library that it uses, `aiohttp`."""

import asyncio
import base64
import json
import urllib.parse

import aiohttp

import say
import scripted_engine
from stack import KEY, Stack, eventually, get

# With ENABLE_FORWARD_USER_INFO_HEADERS; the name is quoted, blanks excepted.
USER = {
    "X-OpenWebUI-User-Name": urllib.parse.quote("Zoë van der Berg", safe=" "),
    "X-OpenWebUI-User-Id": "f3b0c1de-0000-4000-8000-000000000001",
    "X-OpenWebUI-User-Email": "zoe@example.com",
    "X-OpenWebUI-User-Role": "user",
}
BEARER = {"Authorization": f"Bearer {KEY}"}
HEADERS = {"Content-Type": "application/json"} | USER | BEARER
CHAT = HEADERS | {"X-OpenWebUI-Chat-Id": "5f1e9c52-0000-4000-8000-000000000002"}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()
TASK = '### Task:\nWrite a title of three to five words as JSON: { "title": "..." }\n<chat_history>\n'


def request(args, method, path, **options):
    """Status, headers and text of an answer."""

    async def send():
        async with aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(total=60)) as session:
            async with session.request(method, args.gateway + path, **options) as reply:
                return reply.status, reply.headers, await reply.text()

    return asyncio.run(send())


def chat(args, body, headers=CHAT):
    return request(args, "POST", "/v1/chat/completions", data=json.dumps({"model": args.model} | body), headers=headers)


def streamed(args, body):
    """The events of a streamed chat, which must end properly."""
    asked = {"stream": True, "stream_options": {"include_usage": True}} | body
    status, headers, text = chat(args, asked)
    assert status == 200 and "text/event-stream" in headers["Content-Type"], (status, headers, text)
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]", text
    return [json.loads(event) for event in events[:-1]]


def a_connection_is_verified(args):
    """the settings page asks for the models, with a type for the body that it does not have"""
    status, headers, text = request(args, "GET", "/v1/models", headers=HEADERS)
    assert status == 200 and "application/json" in headers["Content-Type"], (status, text)
    assert args.model in [card["id"] for card in json.loads(text)["data"]], text
    status, _, text = request(args, "GET", "/v1/models", headers=HEADERS | {"Authorization": "Bearer wrong"})
    assert status == 401 and json.loads(text)["error"]["message"], (status, text)


def models_are_listed(args):
    """the list of the model selector: each entry has a name, and none has an empty one"""
    status, _, text = request(args, "GET", "/v1/models", headers=USER | BEARER)
    cards = json.loads(text)["data"]
    assert status == 200 and all(card["id"] and card.get("name", "-") for card in cards), text


def a_chat_streams(args):
    """a turn of a chat with the parameters of the settings, and usage"""
    events = streamed(
        args,
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "How are you?"},
            ],
            "temperature": 0.7,
            "max_tokens": 12,
            "seed": 1,
            "stop": ["\n\n\n"],
        },
    )
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"]), events
    assert events[-1]["usage"]["completion_tokens"] == 12, events[-1]
    assert {event["model"] for event in events} == {args.model}, events


def an_image_is_sent(args):
    """a part of a message is an image, in the message itself"""
    url = f"data:image/png;base64,{PIXEL}"
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert streamed(args, {"messages": [{"role": "user", "content": parts}]})


def titles_tags_and_queries_are_made(args):
    """the tasks behind a chat: not streamed, one long message, with a limit or none"""
    for more in ({"max_tokens": 1000}, {"max_completion_tokens": 1000}, {}):
        task = TASK + "USER: How are you?\nASSISTANT: Fine.\n" * 50 + "</chat_history>"
        status, _, text = chat(args, {"messages": [{"role": "user", "content": task}], "stream": False} | more)
        answer = json.loads(text)
        assert status == 200 and answer["choices"][0]["message"]["content"] and answer["usage"], text


def an_error_is_shown(args):
    """what a user sees is the message of the error, plain and streamed"""
    for stream in (False, True):
        body = {"model": "no-such-model", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        status, headers, text = chat(args, body)
        assert status == 404 and "application/json" in headers["Content-Type"], (status, headers)
        assert "`no-such-model` does not exist" in json.loads(text)["error"]["message"], text


def documents_are_embedded_and_ranked(args):
    """retrieval: embeddings of a batch, and the external reranker"""
    body = {"input": ["one", "two", "three"], "model": args.embed}
    status, _, text = request(args, "POST", "/v1/embeddings", data=json.dumps(body), headers=HEADERS)
    assert status == 200 and len(json.loads(text)["data"]) == 3, (status, text)
    body = {"model": args.embed, "query": "one", "documents": ["one", "two"], "top_n": 2}
    status, _, text = request(args, "POST", "/v1/rerank", data=json.dumps(body), headers=HEADERS)
    ranked = json.loads(text)["results"]
    assert status == 200 and {"index", "relevance_score"} <= set(ranked[0]), (status, text)


def speech_is_transcribed(args):
    """a form with a file"""
    form = aiohttp.FormData({"model": args.model, "language": "en"})
    form.add_field("file", b"RIFF" + bytes(400), filename="speech.wav")
    status, _, text = request(args, "POST", "/v1/audio/transcriptions", data=form, headers=USER | BEARER)
    assert status == 200 and json.loads(text)["text"], (status, text)


def the_stop_button_stops_the_engine(args):
    """its connection is closed in the middle of a stream"""

    async def leave():
        async with aiohttp.ClientSession() as session:
            messages = [{"role": "user", "content": "Hi"}]
            body = {"model": args.model, "messages": messages, "stream": True, "max_tokens": 4000, "ignore_eos": True}
            url = args.gateway + "/v1/chat/completions"
            async with session.post(url, data=json.dumps(body), headers=CHAT) as reply:
                await reply.content.readline()

    aborted = lambda: json.loads(get(args.engine + "/sim/stats"))["aborted"]
    before = aborted()
    asyncio.run(leave())
    eventually("the engine's request to end", lambda: aborted() > before, 2)


def a_tool_is_called(args):
    """native function calling: the call comes in pieces, the next turn has its result"""
    function = {"name": "lookup", "description": "Looks up.", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    messages = [{"role": "user", "content": "Look it up."}]
    events = streamed(args, {"messages": messages, "tools": tools})
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    parts = [part for delta in deltas for part in delta.get("tool_calls") or []]
    arguments = "".join(part["function"]["arguments"] for part in parts)
    assert parts[0]["function"]["name"] == "lookup" and json.loads(arguments) == {"what": "it"}, events
    call = {"id": parts[0]["id"], "type": "function", "function": {"name": "lookup", "arguments": arguments}}
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": scripted_engine.NOTE},
    ]
    events = streamed(args, {"messages": messages, "tools": tools})
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])
    assert text == f"The note says {scripted_engine.NOTE}.", text


CHECKS = [
    a_connection_is_verified,
    models_are_listed,
    a_chat_streams,
    an_image_is_sent,
    titles_tags_and_queries_are_made,
    an_error_is_shown,
    documents_are_embedded_and_ranked,
    speech_is_transcribed,
    the_stop_button_stops_the_engine,
]

if __name__ == "__main__":
    calls = {"lookup": {"what": "it"}}
    with Stack() as stack, scripted_engine.running(calls) as engine, Stack(engine=engine.url) as scripted:
        checks = say.bound(CHECKS, stack.arguments("native"))
        checks += say.bound([a_tool_is_called], scripted.arguments("native"))
        say.run("open-webui", f"its requests, by aiohttp {aiohttp.__version__}", checks)
