"""Runs a program in a terminal of its own whose bytes take a while in both directions, as over a slow line.

Usage: slow.py MILLISECONDS PROGRAM ARGUMENT...
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
import tty


def main() -> int:
    delay = int(sys.argv[1]) / 1000
    size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
    pid, far = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    fcntl.ioctl(far, termios.TIOCSWINSZ, size)
    before = termios.tcgetattr(0)
    tty.setraw(0)
    waiting = []  # (when it arrives, where to, what)
    open_ends = {0: far, far: 1}
    try:
        while far in open_ends or waiting:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, end, piece = waiting.pop(0)
                os.write(end, piece)
            if far not in open_ends and not waiting:
                # There is nothing left to wait for.
                break
            timeout = max(0, waiting[0][0] - now) if waiting else None
            for end in select.select(list(open_ends), [], [], timeout)[0]:
                try:
                    piece = os.read(end, 65536)
                except OSError:
                    piece = b""
                if piece:
                    waiting.append((time.monotonic() + delay, open_ends[end], piece))
                else:
                    del open_ends[end]
                    if end == far:
                        # Keys have nowhere to go.
                        open_ends.pop(0, None)
                        waiting = [one for one in waiting if one[1] == 1]
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(main())
