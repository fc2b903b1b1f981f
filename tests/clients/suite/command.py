"""Runs a command-line agent: in a home and a folder of its own, with nowhere to go but the gateway."""

import os
import subprocess

# How long one run may take.
LONGEST = 60.0

# Nobody listens at this port of loopback: whoever wants to leave it, fails at once.
NOWHERE = "http://127.0.0.1:9"


def run(words, folder, environment):
    """What it printed, and its exit code. `folder` has its home, and `work` in there is where it works."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    closed = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PATH": os.environ["PATH"],
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1,localhost",
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        words, cwd=work, env=closed | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LONGEST,
    )
    return done


def version(program):
    words = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=LONGEST).stdout.split()
    return next((word for word in words if word[:1].isdigit()), " ".join(words))
