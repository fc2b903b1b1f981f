"""Where fuzzing begins: corpora made of the recordings in tests/vectors and of what gym's cases send, if they are there.

Writes tests/fuzz/corpus/TARGET/seed-*; what fuzzing itself has found there stays.
"""

import hashlib
import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent

SETTINGS = [
    {},
    {"remove": ["logit_bias", "stream"], "defaults": {"max_tokens": 5}},
    {"limits": {"max_tokens": 8, "stream_options": {"x": 1}}, "defaults": {"chat_template_kwargs": {"a": {"b": 1}}}},
    {"overrides": {"chat_template_kwargs": {"enable_thinking": False}, "temperature": 0.6, "messages": None}},
    {"defaults": {"stream_options": {"include_usage": True}}, "overrides": {"stream_options": {"é\"": "\\"}}},
]

FORMS = [
    [("model", None, "whisper"), ("file", "a.wav", "RIFF\0\1"), ("temperature", None, "0.5"), ("stream", None, "true")],
    [("file", "b.wav", "\r\n--x"), ("max_tokens", None, "99"), ("timestamp_granularities[]", None, "word")],
    [("model", None, "a"), ("model", None, "b"), ("chat_template_kwargs", None, '{"a": {"b": 2}}')],
]

# What a peek has trouble with, if anything: escapes, doubles, numbers, marks.
BODIES = [
    b'\xef\xbb\xbf{"model":"m"}',
    b'{"model":"a","model":"b","stream":false,"stream":true}',
    '{"mod\\u0065l":"\\ud83d\\ude00é","x":[1e400,-0,{"model":1}],"y":"\\u0000"}'.encode(),
    b' { "model" : null , "stream" : 1 } ',
    b'{"max_tokens":"50","temperature":1e2,"a":{"a":{"a":{}}}}',
]


def write(target: str, seed: bytes) -> None:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)


def recordings():
    """Requests' and responses' bodies, as vLLM got and gave them."""
    for file in sorted((TESTS / "vectors").rglob("*.http")):
        text = file.read_bytes()
        request = re.search(rb"### REQUEST\n.*?\n\r?\n(.*?)\n*### RESPONSE HEAD", text, re.S)
        response = re.search(rb"### RESPONSE BODY[^\n]*\n(.*?)(?:\n###|\Z)", text, re.S)
        yield request.group(1) if request else b"", response.group(1) if response else b""


def gym_bodies(value):
    """Everything in gym's cases that looks like a request."""
    if isinstance(value, dict):
        if "messages" in value or "input" in value:
            yield json.dumps(value).encode()
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from gym_bodies(item)


def form(fields) -> bytes:
    parts = []
    for name, file, value in fields:
        file = f'; filename="{file}"' if file else ""
        parts.append(f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{value}\r\n')
    return ("".join(parts) + "--x--\r\n").encode()


def main() -> None:
    bodies, streams = list(BODIES), []
    for request, response in recordings():
        if request.startswith(b"{"):
            bodies.append(request)
        if response:
            streams.append(response)
    cases = TESTS / "gym" / "cases.json"
    if cases.exists():
        bodies.extend(sorted(set(gym_bodies(json.loads(cases.read_text())))))
    assert len(bodies) > 50 and len(streams) > 50, "the recordings were not found"
    for body in bodies:
        write("peek", body)
        for settings in SETTINGS:
            write("splice", json.dumps(settings).encode() + b"\n" + body)
    for stream in streams:
        write("scan", stream[:8192])
        # The recordings have bodies; heads and chunks as uvicorn writes them.
        pieces = [stream[at : at + 700] for at in range(0, min(len(stream), 8192), 700)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        head = b"HTTP/1.1 200 OK\r\ndate: Mon, 01 Jan 2029 00:00:00 GMT\r\nserver: uvicorn\r\n"
        write("answer", b"\x07" + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        write("answer", b"\xff" + head + b"content-length: %d\r\n\r\n" % len(stream[:8192]) + stream[:8192])
    requests = [body for body in bodies if b"\n" not in body]
    for number, body in enumerate(requests):
        answer = streams[number % len(streams)][:8192]
        if b'"input"' in body:
            write("responses", body + b"\n" + answer)
        elif b'"messages"' in body:
            write("messages", body + b"\n" + answer)
        flat = answer.replace(b"\n", b" ")
        for flags in (b"\0\0", b"\1\0", b"\2\0", b"\0\2", b"\0\1", b"\1\x08", b"\0\x10"):
            write("gym", flags + body + b"\n" + flat + b"\n!" + flat)
    for fields in FORMS:
        for settings in SETTINGS:
            line = json.dumps(settings).encode() + b"\nmultipart/form-data; boundary=x\n"
            write("multipart", line + form(fields))
        # What is put in holds the boundary.
        line = json.dumps({"overrides": {"prompt": "a\r\n--x\r\nb"}}).encode() + b"\nmultipart/form-data; boundary=x\n"
        write("multipart", line + form(fields))


main()
