"""Reads forms as an engine does: with Starlette and python-multipart.

Each line of the file given is a JSON object with `type` (the Content-Type) and `body` (base64). Prints for each a line: the
fields as `[name, is_file, base64 of the value]`, or `null` where the form is refused.
"""

import asyncio
import base64
import json
import sys

from starlette.requests import Request


async def fields(content_type: str, body: bytes):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", content_type.encode("latin-1"))]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    try:
        form = await request.form()
    except Exception:
        return None
    found = []
    for name, value in form.multi_items():
        is_file = not isinstance(value, str)
        content = await value.read() if is_file else value.encode("utf-8", "surrogateescape")
        found.append([name, is_file, base64.b64encode(content).decode()])
    return found


async def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            print(json.dumps(await fields(case["type"], base64.b64decode(case["body"]))))


asyncio.run(main())
