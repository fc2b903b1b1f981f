"""Talks with `enginehouse chat` on a terminal of its own: PROGRAM URL ALIAS. Prints what the terminal got."""

import os
import pty
import select
import sys
import time

PATIENCE = 30.0
CTRL_C = "\x03"


class Terminal:
    """A process whose terminal we are."""

    def __init__(self, command):
        self.all = ""
        self.seen = 0
        self.pid, self.side = pty.fork()
        if self.pid == 0:
            os.environ.update({"NO_COLOR": "1", "TERM": "xterm", "LC_ALL": "C.UTF-8"})
            os.environ.pop("ENGINEHOUSE_API_KEY", None)
            os.execv(command[0], command)

    def read(self, until):
        """Reads until `until` has come after what was waited for before."""
        end = time.monotonic() + PATIENCE
        while (at := self.all.find(until, self.seen)) < 0:
            self.piece(end, until)
        self.seen = at + len(until)

    def read_something(self):
        """Reads until anything has come after what was waited for before."""
        end = time.monotonic() + PATIENCE
        while len(self.all) <= self.seen:
            self.piece(end, "anything")

    def piece(self, end, what):
        ready, _, _ = select.select([self.side], [], [], max(0.0, end - time.monotonic()))
        piece = os.read(self.side, 65536) if ready else b""
        if not piece:
            sys.exit(f"waited for {what!r}, got:\n{self.all}")
        self.all += piece.decode(errors="replace")

    def type(self, text):
        os.write(self.side, text.encode())


def main():
    program, url, alias = sys.argv[1:]
    terminal = Terminal([program, "chat", alias, "--url", url])
    terminal.read("> ")
    terminal.type("How are you?\n")
    terminal.read("TTFT ")
    terminal.read("tokens/s")
    terminal.read("> ")
    terminal.type("/sistem x\n")
    terminal.read("There is no command /sistem")
    terminal.type("/system Be brief.\n")
    terminal.read("The system message is set.")
    terminal.read("> ")
    terminal.type("And now?\n")
    terminal.read("And now?\r\n")
    terminal.read_something()
    terminal.type(CTRL_C)
    terminal.read("stopped")
    terminal.read("> ")
    terminal.type("/quit\n")
    _, status = os.waitpid(terminal.pid, 0)
    print(terminal.all)
    print(f"exit {os.waitstatus_to_exitcode(status)}")


main()
