"""A page of another origin in a real browser: what `cors` allows works, and nothing works for other origins."""

import contextlib
import http.server
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading

import say
from stack import KEY, Stack, eventually

# How long a page may take.
LONGEST = 60.0

PAGE = pathlib.Path(__file__).with_name("page.html").read_bytes()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Gives out the page, and takes what the page reports."""

    def do_GET(self):
        found = self.path.startswith("/page.html")
        self.send_response(200 if found else 404)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE if found else b"")

    def do_POST(self):
        self.server.reports.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def origin():
    """A web server with the page; `origin` is what a browser calls it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.origin, server.reports = "http://127.0.0.1:%d" % server.server_address[1], queue.Queue()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def program():
    names = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
    return os.environ.get("ENGINEHOUSE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def version():
    said = subprocess.run([program(), "--version"], capture_output=True, text=True, timeout=LONGEST).stdout.split()
    return next((word for word in said if word[:1].isdigit()), "unknown")


def visit(stack, server):
    """What the page of this server saw of the gateway."""
    words = [
        program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={stack.folder / 'browser'}",
        f"{server.origin}/page.html#{stack.gateway},{KEY}",
    ]  # fmt: skip
    home = dict.fromkeys(("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(stack.folder))
    with (stack.folder / "browser.log").open("wb") as log:
        browser = subprocess.Popen(
            words, env=os.environ | home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            eventually("a report of the page", lambda: not server.reports.empty() or browser.poll() is not None, LONGEST)
            return server.reports.get_nowait()
        except (TimeoutError, queue.Empty):
            told = (stack.folder / "browser.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the page reported nothing; the browser said: {told}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, 15)
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(browser.pid, 9)
                browser.wait()


class Seen:
    """What the two pages reported, and the gateway's log."""

    def __init__(self, stack, allowed, other):
        self.page, self.other, self.log = visit(stack, allowed), visit(stack, other), stack.log


def models_are_read(seen):
    """a GET with a key: status, body and the headers that are exposed"""
    got = seen.page["models"]
    assert got["status"] == 200 and "native" in got["text"] and got["headers"]["x-request-id"], got


def a_chat_streams(seen):
    """a POST with a key: the events come one after another"""
    got = seen.page["chat"]
    assert got["status"] == 200 and got["text"].rstrip().endswith("data: [DONE]"), got
    assert got["reads"] > 5, f"all came at once, in {got['reads']} reads"


def responses_and_messages_stream(seen):
    """the other dialects, translated, with the headers of their SDKs"""
    got = seen.page["responses"]
    assert got["status"] == 200 and "response.completed" in got["text"] and got["reads"] > 5, got
    got = seen.page["messages"]
    assert got["status"] == 200 and "message_stop" in got["text"] and got["headers"]["request-id"], got


def errors_are_read(seen):
    """an unknown model, a wrong key, and a model without an engine: their status and message, not a network error"""
    for name, status in (("unknown", 404), ("wrong_key", 401), ("down", 503)):
        got = seen.page[name]
        assert got["status"] == status and json.loads(got["text"])["error"]["message"], (name, got)
    headers = seen.page["down"]["headers"]
    assert headers["retry-after"] or headers["x-should-retry"], headers


def a_preflight_came_first(seen):
    """the browser asked before it sent a key"""
    eventually("a preflight in the log", lambda: "204 OPTIONS /v1/chat/completions" in seen.log(), 5)


def another_origin_reads_nothing(seen):
    """every fetch of a page whose origin is not listed fails, before a request with a key is sent"""
    assert seen.other and all("error" in got for got in seen.other.values()), seen.other
    eventually("a refused preflight in the log", lambda: "403 OPTIONS /v1/chat/completions" in seen.log(), 5)


CHECKS = [
    models_are_read,
    a_chat_streams,
    responses_and_messages_stream,
    errors_are_read,
    a_preflight_came_first,
    another_origin_reads_nothing,
]

if __name__ == "__main__":
    if not program():
        sys.exit("no Chromium")
    with origin() as allowed, origin() as other, Stack(["--gap", "10ms"], origins=[allowed.origin]) as stack:
        seen = Seen(stack, allowed, other)
        say.run("browser", f"chromium {version()}", say.bound(CHECKS, seen))
