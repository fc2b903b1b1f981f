"""An engine with Chat Completions only, and a model for agents: it calls a tool, and tells what that said."""

import contextlib
import http.server
import json
import re
import threading

# What the file of an agent's task says, and what the engine looks for in the results of tools.
NOTE = "note-4711-gorgonzola"


def _text(content):
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._whole({"object": "list", "data": [{"id": "native", "object": "model", "max_model_len": 200000}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.split("?")[0] != "/v1/chat/completions":
            self._whole({"detail": "Not Found"}, 404)
            return
        self.server.bodies.append(body)
        message, reason = self._message(body)
        if body.get("stream"):
            self._stream(body, message, reason)
        else:
            choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
            self._whole(self._event("chat.completion", [choice]) | {"usage": self._usage()})

    def _message(self, body):
        results = [_text(message["content"]) for message in body["messages"] if message["role"] == "tool"]
        if results:
            said = re.search(NOTE, results[-1])
            return {"content": f"The note says {said[0] if said else results[-1]}."}, "stop"
        offered = {tool["function"]["name"] for tool in body.get("tools") or []}
        for name, arguments in self.server.calls.items():
            if name in offered:
                function = {"name": name, "arguments": json.dumps(arguments)}
                call = {"id": "call_1", "type": "function", "function": function}
                return {"content": None, "tool_calls": [call]}, "tool_calls"
        return {"content": f"No tool of mine among {sorted(offered)}."}, "stop"

    def _stream(self, body, message, reason):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        deltas = [{"role": "assistant", "content": ""}]
        for call in message.get("tool_calls", []):
            first = {"name": call["function"]["name"], "arguments": ""}
            deltas.append({"tool_calls": [{"index": 0, **call, "function": first}]})
            pieces = re.findall(".{1,9}", call["function"]["arguments"])
            deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
        deltas += [{"content": word} for word in re.findall(r"\S+\s*", message["content"] or "")]
        for delta in deltas:
            self._send([{"index": 0, "delta": delta, "finish_reason": None}])
        self._send([{"index": 0, "delta": {}, "finish_reason": reason}])
        if (body.get("stream_options") or {}).get("include_usage"):
            self._send([], usage=self._usage())
        self._piece(b"data: [DONE]\n\n")
        self._piece(b"")

    def _send(self, choices, **more):
        event = self._event("chat.completion.chunk", choices) | more
        self._piece(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _piece(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _whole(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @staticmethod
    def _event(kind, choices):
        return {"id": "chatcmpl-1", "object": kind, "created": 1700000000, "model": "native", "choices": choices}

    @staticmethod
    def _usage():
        return {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A caller that left is no error."""


@contextlib.contextmanager
def running(calls):
    """The engine at a port of its own; `calls`: the arguments of each tool that it knows to call, by name. `url` says
    where it is, `bodies` has the requests that it got."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.calls, server.bodies = calls, []
    server.url = "http://127.0.0.1:%d" % server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
