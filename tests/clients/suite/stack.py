"""Starts what a client talks to and ends it again: an engine, the gateway in front of it, all on loopback."""

import argparse
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("ENGINEHOUSE") or str(ROOT / "target/release/enginehouse")

# The only key that the gateway accepts.
KEY = "sk-caller"

# How long a process may take to start, and to end.
PATIENCE = 20.0

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def _stop(*_):
    raise SystemExit("ended by a signal")


# Nothing here leaves loopback, and a time limit must not leave processes behind.
for _name in PROXIES:
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)
signal.signal(signal.SIGTERM, _stop)


def eventually(what, probe, seconds=PATIENCE):
    """What `probe` says as soon as that is something."""
    until = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
    return found


def get(url, key=None, body=None):
    """The text of an answer; a `body` is posted as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"} if data else {})
    if key:
        request.add_header("authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read().decode()


def _answers(url):
    try:
        get(url)
        return True
    except (urllib.error.URLError, OSError):
        return False


def _dies_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Stack:
    """A gateway over one engine. Its names: `native` (the engine's own dialects), `translated` (Responses and Messages
    over the engine's Chat Completions), `down` (no engine); `…-short` answer with 8 tokens at most. `claude-*` and
    `gpt-*` are `translated`.

    `engine`: the base URL of an engine that runs already; without it, a simulated one with these `flags` is started.
    """

    def __init__(self, flags=(), engine=None, origins=()):
        self._flags, self.engine, self._origins = list(flags), engine, list(origins)
        self._running = []

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="enginehouse-clients-"))
        # Bound, so that the port stays ours, and not listening: connections are refused.
        self._nobody = socket.socket()
        self._nobody.bind(("127.0.0.1", 0))
        try:
            self.engine = self.engine or self._sim()
            self._serve()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._nobody.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name, *words):
        """Starts the program; its log, and a function that waits until the process has come so far."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            self._running.append(
                subprocess.Popen(
                    [PROGRAM, *map(str, words)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=_dies_with_parent,
                )
            )
        process = self._running[-1]

        def until(what, probe):
            def lives():
                found = probe()
                if not found and process.poll() is not None:
                    raise RuntimeError(f"the {name} ended with code {process.returncode}: {log.read_text()}")
                return found

            return eventually(what, lives)

        return log, until

    def _sim(self):
        log, until = self._start("sim", "sim", "native", "--port", 0, *self._flags)
        line = until("the address of the engine", lambda: re.search(r"server on (http://\S+)", log.read_text()))
        until("an answer of the engine", lambda: _answers(line[1] + "/health"))
        return line[1]

    def _serve(self):
        short = {"limits": {"max_tokens": 8}, "overrides": {"chat_template_kwargs": {"enable_thinking": False}}}
        host, port = self._nobody.getsockname()
        configuration = {
            "listen": "127.0.0.1:0",
            "admin": {"listen": "127.0.0.1:0"},
            "name": "clients",
            "threads": 2,
            "callers": {"suite": {"keys": [KEY]}},
            "cors": {"origins": self._origins},
            "models": {"native": {"urls": [self.engine]}, "down": {"urls": [f"http://{host}:{port}"]}},
            "aliases": {
                "native-short": {"model": "native", **short},
                "translated": {"model": "native", "dialect": {"responses": "chat", "messages": "chat"}},
                "translated-short": {"model": "translated", **short},
                "claude-*": {"model": "translated"},
                "gpt-*": {"model": "translated"},
                "text-embedding-3-small": {"model": "native"},
            },
        }
        file, ready = self.folder / "gateway.yaml", self.folder / "ready.json"
        file.write_text(json.dumps(configuration))
        words = ["serve", file, "--state-dir", self.folder / "state", "--ready-file", ready]
        self._log, until = self._start("gateway", *words)
        until("the address of the gateway", lambda: ready.exists() and ready.read_text().rstrip().endswith("}"))
        self.gateway = "http://" + json.loads(ready.read_text())["listen"]
        until("a ready engine", lambda: _answers(self.gateway + "/readyz?model=native"))

    def log(self):
        """What the gateway said so far, its access log included."""
        return self._log.read_text()

    def plan_fault(self, kind):
        """Makes the simulated engine's next request fail so."""
        get(self.engine + "/sim/fault", body={"kind": kind})

    def seen(self, path="/v1/chat/completions", count=64):
        """The bodies of the requests that the simulated engine got at `path`, newest first."""
        told = json.loads(get(f"{self.engine}/sim/last_request?n={count}&path={path}"))
        return [json.loads(exchange["body"]) for exchange in told]

    def arguments(self, model, **more):
        """What the checks of the folder above want to know."""
        known = {
            "gateway": self.gateway,
            "engine": self.engine,
            "model": model,
            "short": f"{model}-short",
            "embed": "text-embedding-3-small",
            "down": "down",
            "translated": model == "translated",
            "tools": True,
            "reasoning": False,
            "stack": self,
        }
        return argparse.Namespace(**known | more)
